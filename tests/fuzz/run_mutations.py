"""Search longer for metadata that is neither read nor refused: `python -m tests.fuzz.run_mutations --mutations 100`.

What fails is left in the current folder as `mutated-TARGET-SEED.json`, with the traceback on the screen; the same seed
makes it again.
"""

import argparse
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.fuzz.dataset_targets import DATASET_TARGETS
from tests.fuzz.mutate_json import mutate
from tests.fuzz.run_targets import RUN_TARGETS
from tests.fuzz.targets import Target

TARGETS = {**DATASET_TARGETS, **RUN_TARGETS}
"""All that `mutate` makes inputs for; "manifest/verify" is a command that meets a changed manifest."""


@dataclass
class Tally:
    """How the calls of a target ended."""

    well: int = 0
    refused: int = 0
    failed: int = 0


def failures(target: Target, seeds: Iterator[int], tally: Tally) -> Iterator[tuple[int, bytes]]:
    """Seeds and contents that end in anything but success or an error of ours."""
    inputs = target.seeds()
    for seed in seeds:
        data = mutate(inputs[seed % len(inputs)], seed)
        try:
            accepted = target.run(data)
        except Exception:
            tally.failed += 1
            traceback.print_exc(limit=-3)
            yield seed, data
        else:
            tally.well += accepted
            tally.refused += not accepted


def numbers(first: int, mutations: int | None, seconds: float) -> Iterator[int]:
    """Seeds: so many, or for so long."""
    until = time.monotonic() + seconds
    for seed in count(first):
        if (seed - first >= mutations) if mutations else (time.monotonic() > until):
            return
        yield seed


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="beginnings of their names; all if none is given")
    parser.add_argument("--seconds", type=float, default=60, help="for each target")
    parser.add_argument("--mutations", type=int, help="for each target, instead of seconds")
    parser.add_argument("--seed", type=int, default=1_000_000, help="the first one")
    asked = parser.parse_args()
    began, tallies = time.monotonic(), {}
    for name in (name for name in TARGETS if not asked.targets or name.startswith(tuple(asked.targets))):
        tally = tallies[name] = Tally()
        for seed, data in failures(TARGETS[name], numbers(asked.seed, asked.mutations, asked.seconds), tally):
            print(f"FAILED: {name}, seed {seed}", flush=True)
            Path(f"mutated-{name.replace('/', '-')}-{seed}.json").write_bytes(data)
        print(f"{name}: {tally.well:,} ended well, {tally.refused:,} refused, {tally.failed:,} failed", flush=True)
    calls = sum(tally.well + tally.refused + tally.failed for tally in tallies.values())
    failed = sum(tally.failed for tally in tallies.values())
    minutes = (time.monotonic() - began) / 60
    print(f"{calls:,} calls in {minutes:.1f} minutes from seed {asked.seed}")
    sys.exit(f"{failed} failures" if failed else 0)


if __name__ == "__main__":
    main()
