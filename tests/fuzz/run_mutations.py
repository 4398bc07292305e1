"""Search longer for metadata that is neither read nor refused: `python -m tests.fuzz.run_mutations --seconds 600`.

What fails is left in the current folder as `mutated-TARGET-SEED.json`, with the traceback on the screen.
"""

import argparse
import sys
import time
import traceback
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from tests.fuzz.mutate_json import mutate
from tests.fuzz.run_targets import RUN_TARGETS
from tests.fuzz.targets import Target


def failures(target: Target, seconds: float, first: int) -> Iterator[tuple[int, bytes]]:
    """Seeds and contents that end in anything but success or an error of ours."""
    seeds, until = target.seeds(), time.monotonic() + seconds
    for seed in count(first):
        if time.monotonic() > until:
            print(f"  {seed - first:,} mutations")
            return
        data = mutate(seeds[seed % len(seeds)], seed)
        try:
            target.run(data)
        except Exception:
            traceback.print_exc(limit=-3)
            yield seed, data


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"of {', '.join(RUN_TARGETS)}; all if none is given"
    )
    parser.add_argument("--seconds", type=float, default=60, help="for each target")
    parser.add_argument("--seed", type=int, default=1_000_000, help="the first one")
    asked = parser.parse_args()
    failed = 0
    for name in asked.targets or RUN_TARGETS:
        print(name)
        for seed, data in failures(RUN_TARGETS[name], asked.seconds, asked.seed):
            Path(f"mutated-{name}-{seed}.json").write_bytes(data)
            failed += 1
    sys.exit(f"{failed} failures" if failed else 0)


if __name__ == "__main__":
    main()
