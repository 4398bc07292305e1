"""What it costs to check every record when it is first read: CPU time of one epoch, with it and without.

The files are in the page cache, the worst case for the share that checking takes; every round opens the mixture anew,
and the least time over the rounds counts, so that other work on the machine matters little.

    python benchmarks/first_touch.py                      screens (zlib and raw), states and text
    python benchmarks/first_touch.py --content state --rounds 5
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from reading import read_into_cache
from reading_content import make_content, write_dataset, write_mixture
from reading_peers import BATCH

CONTENT = {
    "atari": ("atari", "zlib"),
    "atari-raw": ("atari", "raw"),
    "state": ("state", "zlib"),
    "text": ("text", "zlib"),
}


def epoch(mixture: Path, verify: str, context_length: int) -> tuple[float, int]:
    """CPU seconds of one epoch of batches, and its windows."""
    from gato_data.reading.reader import ReadSettings, open_mixture

    settings = ReadSettings(verify=verify, context_length=context_length)  # type: ignore[arg-type]
    with open_mixture(mixture, settings=settings) as reader:
        ranges = [range(at, min(at + BATCH, reader.num_windows)) for at in range(0, reader.num_windows, BATCH)]
        start = time.process_time()
        for _ in reader.stream(ranges):
            pass
        return time.process_time() - start, reader.num_windows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--content", help="comma-separated, of: " + ", ".join(CONTENT), default=",".join(CONTENT))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=0.25, help="size of the data")
    parser.add_argument("--context-length", type=int, default=1024)
    args = parser.parse_args()
    for name in args.content.split(","):
        kind, encoding = CONTENT[name]
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / kind
            write_dataset(folder, make_content(kind, args.scale, Path(temporary)), encoding)
            mixture = Path(temporary) / "mixture.json"
            write_mixture(folder, mixture)
            size = sum(path.stat().st_size for path in folder.iterdir())
            for path in folder.iterdir():
                read_into_cache(path)
            best = dict.fromkeys(("frames", "touched"), float("inf"))
            windows = 0
            for _ in range(args.rounds):
                for verify in best:
                    seconds, windows = epoch(mixture, verify, args.context_length)
                    best[verify] = min(best[verify], seconds)
            without, checked = (seconds / windows * 1e6 for seconds in best.values())
            print(
                f"{name}: {size / 1e6:.0f} MB, {windows:,} windows; {without:.1f} us of CPU a window, checked "
                f"{checked:.1f} ({checked / without - 1:+.1%})",
                flush=True,
            )


if __name__ == "__main__":
    main()
