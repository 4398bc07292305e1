"""CPU time to fill batches of 64 windows of 1024 tokens, ready in torch tensors: ours beside the usual loaders.

The same content is written for every reader. `atari` is real: 28 episodes of seven games, played at random, of up to
920 timesteps each; ours gives every distinct patch once, the others carry all of them. `photos` are captioned ones,
where nearly every patch is distinct. Each measurement is a process
of its own, the readers take turns, and the median over the rounds counts. CPU time is of the whole process, all
threads, so other work on the machine and idle cores matter little. `ratio` is to the flat memory map of the same
round, the limit for anything that reads all patches from files. `cold` drops the files from the page cache first and
measures wall time of a few random batches.

    python benchmarks/reading.py                                     all contents, all readers that are installed
    python benchmarks/reading.py --content text --readers "flat memory map;ours, raw;LitData" --rounds 5

Peers: pip install litdata mosaicml-streaming webdataset grain array_record tensorflow (best in another environment).
"""

import argparse
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from reading_peers import BATCH, READERS, Content

BATCHES = {"atari": (64, 192), "state": (200, 800), "photos": (8, 24), "text": (200, 800)}
"""Batches before the clock starts, and on the clock."""
COLD_BATCHES = {"atari": 2, "state": 16, "photos": 2, "text": 16}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--content", help="comma-separated, of: " + ", ".join(BATCHES), default=",".join(BATCHES))
    parser.add_argument("--readers", help="semicolon-separated names; all by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="size of the data")
    parser.add_argument("--data", type=Path, help="keep the files here and use them again")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--measure", nargs=3, metavar=("READER", "CONTENT", "KIND"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        measure(args.measure[0], args.measure[1], args.data, args.measure[2] == "cold")
        return
    names = args.readers.split(";") if args.readers else list(READERS)
    for name in names:
        if READERS[name].missing:
            print(f"left out: {name} ({', '.join(READERS[name].missing)} not installed)", file=sys.stderr)
    names = [name for name in names if not READERS[name].missing]
    results = {}
    with tempfile.TemporaryDirectory() as temporary:
        for content in args.content.split(","):
            folder = (args.data or Path(temporary)) / content
            prepare(folder, content, names, args.scale)
            results[content] = compare(folder, content, names, args.rounds)
            show(content, results[content])
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


def prepare(folder: Path, content: str, names: list[str], scale: float) -> None:
    """Write the files of every reader that are not there yet."""
    made: Content | None = None
    for name in names:
        own = own_folder(folder, name)
        if (own / "done").exists():
            continue
        if made is None:
            from reading_content import make_content

            made = make_content(content, scale, folder)
        own.mkdir(parents=True, exist_ok=True)
        READERS[name].write(own, made)
        (own / "done").touch()
    os.sync()


def own_folder(folder: Path, name: str) -> Path:
    """Where a reader keeps its files."""
    return folder / re.sub(r"[^a-z]+", "-", name.lower())


def measure(name: str, content: str, folder: Path, cold: bool) -> None:
    """Read with one reader and print what it took; the time of importing it does not count."""
    for module in READERS[name].needs:
        importlib.import_module(module)
    folder = own_folder(folder, name)
    for path in folder.rglob("*"):
        if path.is_file():
            (drop_from_cache if cold else read_into_cache)(path)
    start = time.perf_counter()
    batches = READERS[name].batches(folder, None)
    next(batches)
    opened = time.perf_counter()
    if cold:
        read_before = bytes_read()
        tokens = sum(islice(batches, COLD_BATCHES[content]))
        wall = time.perf_counter() - opened
        print(json.dumps({"wall": wall, "tokens": tokens, "read": bytes_read() - read_before, "open": opened - start}))
        os._exit(0)
    before, timed = BATCHES[content]
    for _ in islice(batches, before):
        pass
    cpu, wall = time.process_time(), time.perf_counter()
    tokens = sum(islice(batches, timed))
    result = {
        "cpu": time.process_time() - cpu,
        "wall": time.perf_counter() - wall,
        "tokens": tokens,
        "memory": peak_memory(),
    }
    print(json.dumps(result), flush=True)
    os._exit(0)  # some loaders leave threads behind that never end


def drop_from_cache(path: Path) -> None:
    """Ask the kernel to forget a file's pages; they are clean, so it can."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_into_cache(path: Path) -> None:
    """Read a file once."""
    with path.open("rb", buffering=0) as file:
        while file.read(2**22):
            pass


def peak_memory() -> int:
    """Bytes; getrusage would count what the parent held when it started this process."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024  # type: ignore[index]


def bytes_read() -> int:
    """Bytes that this process has had fetched from the disk."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("read_bytes"):
            return int(line.split()[1])
    return 0


def compare(folder: Path, content: str, names: list[str], rounds: int) -> dict[str, Any]:
    """Measure every reader in every round."""
    runs: dict[str, dict[str, list[dict[str, float]]]] = {name: {"hot": [], "cold": []} for name in names}
    for _ in range(rounds):
        for kind in ("hot", "cold"):
            for name in names:
                command = [sys.executable, __file__, "--measure", name, content, kind, "--data", str(folder)]
                done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
                if done.returncode:
                    sys.exit(f"{name} on {content} failed:\n{done.stderr[-2000:]}")
                runs[name][kind].append(json.loads(done.stdout.splitlines()[-1]))
    return {name: summary(runs, name) for name in names}


def summary(runs: dict[str, dict[str, list[dict[str, float]]]], name: str) -> dict[str, float]:
    """Medians over the rounds; ratios are taken within a round."""
    hot, cold = runs[name]["hot"], runs[name]["cold"]
    limit = runs.get("flat memory map", runs[name])

    def cost(run: dict[str, float], clock: str) -> float:
        return run[clock] / run["tokens"]

    return {
        "cpu_us_per_1024_tokens": median(cost(run, "cpu") for run in hot) * 1024e6,
        "ratio": median(cost(a, "cpu") / cost(b, "cpu") for a, b in zip(hot, limit["hot"], strict=True)),
        "tokens_per_cpu_second": median(1 / cost(run, "cpu") for run in hot),
        "cold_ms_per_1024_tokens": median(cost(run, "wall") for run in cold) * 1024e3,
        "cold_ratio": median(cost(a, "wall") / cost(b, "wall") for a, b in zip(cold, limit["cold"], strict=True)),
        "cold_open_ms": median(run["open"] for run in cold) * 1e3,
        "cold_kb_per_1024_tokens": median(run["read"] / run["tokens"] for run in cold) * 1.024,
        "memory_mb": median(run["memory"] for run in hot) / 2**20,
    }


def show(content: str, rows: dict[str, dict[str, float]]) -> None:
    """One line a reader."""
    print(f"\n{content}: batches of {BATCH} x 1024")
    heads = ("CPU us/window", "ratio", "Mtokens/s", "cold ms", "ratio", "cold kB", "open ms", "MB")
    print("reader".ljust(22) + "".join(head.rjust(len(head) + 3) for head in heads))
    for name, row in rows.items():
        values = (
            f"{row['cpu_us_per_1024_tokens']:.1f}",
            f"{row['ratio']:.2f}",
            f"{row['tokens_per_cpu_second'] / 1e6:.2f}",
            f"{row['cold_ms_per_1024_tokens']:.3f}",
            f"{row['cold_ratio']:.2f}",
            f"{row['cold_kb_per_1024_tokens']:.0f}",
            f"{row['cold_open_ms']:.0f}",
            f"{row['memory_mb']:.0f}",
        )
        print(name.ljust(22) + "".join(v.rjust(len(head) + 3) for v, head in zip(values, heads, strict=True)))


if __name__ == "__main__":
    main()
