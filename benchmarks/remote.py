"""What reading from an object store costs: bytes of three epochs, beside an LRU cache of the same size and a peer.

The store is moto's server on this machine, over HTTP, every answer 30 ms late. It counts what it sends; the LRU, and
the best that a cache of whole records could do, are simulated over the same records in the same order. With --peer,
mosaicml-streaming reads windows cut beforehand, as many as there are in the epochs and as long, with a cache of the
same size. Its packages do not go together with ours, so it has an environment of its own, whose Python is given:

    python -m venv mosaic && mosaic/bin/pip install mosaicml-streaming

With --steps, a `tiny` model is trained from the same address on an empty cache, and the share of its time that it
waited for data is printed.

    python benchmarks/remote.py --scale 3 --peer mosaic/bin/python --steps 25
    python benchmarks/remote.py --scale 3 --share 0.5 --chunk-tokens 1024
    python benchmarks/remote.py --content state --share 0.25
"""

import argparse
import heapq
import json
import os
import subprocess
import sys
import tempfile
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from reading_content import make_content, write_dataset
from reading_peers import LENGTH, Content, packed

from gato_data.errors import SettingError
from gato_data.sizes import parse_size
from tests.object_store import ObjectStore, serve

HERE = Path(__file__).parent
LATENCY = 0.03
EPOCHS = 3


def upload(folder: Path, address: str) -> None:
    import fsspec

    files = fsspec.filesystem("s3")
    files.mkdir(address.partition("://")[2].partition("/")[0])
    for path in folder.iterdir():
        files.put_file(str(path), f"{address}/{path.name}")


def simulate_lru(batches: Iterable[list[tuple[tuple[int, int], int]]], limit: int) -> int:
    """Bytes that a cache fetches that drops what was used longest ago."""
    kept: OrderedDict[tuple[int, int], int] = OrderedDict()
    held = fetched = 0
    for batch in batches:
        for record, size in batch:
            if record in kept:
                kept.move_to_end(record)
                continue
            fetched, held = fetched + size, held + size
            kept[record] = size
            while held > limit:
                held -= kept.popitem(last=False)[1]
    return fetched


def simulate_best(batches: Sequence[list[tuple[tuple[int, int], int]]], limit: int) -> int:
    """Bytes that a cache fetches that drops what is needed last (Belady), after every batch, and knows all batches."""
    times: dict[tuple[int, int], deque[int]] = {}
    for time, batch in enumerate(batches):
        for record, _ in batch:
            times.setdefault(record, deque()).append(time)
    kept: dict[tuple[int, int], int] = {}
    held = fetched = 0
    heap: list[tuple[int, tuple[int, int]]] = []
    for batch in batches:
        for record, size in batch:
            times[record].popleft()
            if record not in kept:
                kept[record] = size
                fetched, held = fetched + size, held + size
            heapq.heappush(heap, (-times[record][0] if times[record] else -len(batches), record))
        while held > limit:
            following, record = heapq.heappop(heap)
            if record in kept and -following == (times[record][0] if times[record] else len(batches)):
                held -= kept.pop(record)
    return fetched


def read_epochs(store: ObjectStore, mixture: Path, cache: Path, limit: int, batch: int) -> int:
    """Read three epochs of a mixture and print what that took; the number of windows."""
    from gato_data.reading.reader import ReadSettings, open_mixture
    from gato_data.remote.record_cache import open_cache

    settings = ReadSettings(context_length=LENGTH, cache=cache, cache_size=limit)
    with open_mixture(mixture, settings=settings) as reader:
        windows = EPOCHS * reader.num_windows
        ranges = [range(at, min(at + batch, windows)) for at in range(0, windows, batch)]
        begun = store.sent()
        for _ in reader.stream(ranges):
            pass
        requests, fetched = (now - before for now, before in zip(store.sent(), begun, strict=True))
        kept = open_cache(cache)
        assert reader._ahead is not None
        reads = [plan.reads for plan in reader.planner.plan(ranges)]
        records = [reader._ahead._records(each.record, each.shard) for each in reads]
        sizes = [[(r, kept.span(r)[1] - kept.span(r)[0]) for r in each] for each in records]
    asked = [size for each in sizes for _, size in each]
    print(f"windows, three epochs    {windows:,} of {LENGTH} tokens, in batches of {batch}")
    print(f"records of a window      {len(asked) / windows:.2f}, {sum(asked) / windows:,.0f} bytes")
    print(f"cache, the most it held  {limit:,} bytes, {kept.most_held:,}")
    print(f"requests a window        {requests / windows:.2f}")
    print(f"fetched                  {fetched:,} bytes, {fetched / windows:,.0f} a window")
    print(f"the best for records     {simulate_best(sizes, limit):,} bytes")
    print(f"an LRU of the same size  {simulate_lru(sizes, limit):,} bytes")
    return windows


def read_peer(
    store: ObjectStore, python: str, content: Content, root: Path, limit: int, windows: int, batch: int
) -> None:
    """Let mosaicml-streaming read as many windows."""
    (root / "windows").mkdir()
    count = windows // EPOCHS
    while len(list((root / "windows").iterdir())) < count:  # one epoch of ours has some windows more than a plain cut
        begun = len(list((root / "windows").iterdir()))
        for number, window in zip(range(begun, count), content.windows(), strict=False):
            (root / "windows" / f"{number:08d}").write_bytes(packed(window))
    begun_bytes = store.sent("peer/")[1]
    script = [python, str(HERE / "remote_mosaic.py"), str(root), "s3://peer/mds", str(limit), str(EPOCHS)]
    subprocess.run([*script, str(batch)], check=True)
    print(f"mosaicml-streaming       {store.sent('peer/')[1] - begun_bytes:,} bytes")


def train_tiny(mixture: Path, root: Path, steps: int) -> None:
    """Train a tiny model from an empty cache and print how long it waited."""
    from gato_trainer.presets import train_settings
    from gato_trainer.run.train import train

    settings = train_settings("tiny", root / "run", steps=steps, device="cpu", log_every=steps)
    train(mixture, settings, quiet=True, cache=root / "empty")
    log = [json.loads(line) for line in (root / "run" / "log.jsonl").read_text().splitlines()]
    lines = [line for line in log if "data_wait" in line]
    for what, some in (("first step", lines[:1]), ("further steps", lines[1:])):
        seconds = sum(line["seconds"] for line in some)
        waited = sum(line["data_wait"] * line["seconds"] for line in some)
        print(f"data wait, {what:13} {waited:.2f} of {seconds:.1f} s, a tiny run of {steps} steps, empty cache")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--content", default="atari", help="atari, state, photos or text")
    parser.add_argument("--encoding", default="zlib")
    parser.add_argument("--chunk-tokens", type=int, help="most tokens of a record, as of ingest")
    parser.add_argument("--cache-size", type=parse_size, help="of the cache, instead of a share")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the data")
    parser.add_argument("--share", type=float, default=0.75, help="of the dataset that the cache holds")
    parser.add_argument("--batch-size", type=int, default=16, help="of the epochs")
    parser.add_argument("--folder", type=Path, help="where recordings stay for the next time")
    parser.add_argument("--peer", metavar="PYTHON", help="that has mosaicml-streaming")
    parser.add_argument("--steps", type=int, default=0, help="of a tiny run")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, serve(LATENCY) as store:
        root = Path(temporary)
        os.environ.update(store.environment)
        content = make_content(args.content, args.scale, args.folder or root)
        write_dataset(root / "data", content, args.encoding, args.chunk_tokens)
        upload(root / "data", "s3://bucket/data")
        try:
            measure(args, store, content, root)
        except SettingError as error:
            sys.exit(f"{error}. Here --share raises it as well, and --chunk-tokens makes records shorter")


def measure(args: argparse.Namespace, store: ObjectStore, content: Content, root: Path) -> None:
    from gato_data.mixing.make import plan_mixture
    from gato_data.mixing.mixture_file import write_mixture
    from gato_data.remote.mirror import at_hand

    folder = at_hand("s3://bucket/data", root / "cache")
    mixture = root / "mixture.json"
    write_mixture(mixture, plan_mixture([folder], "uniform", folder=root))
    shards = [path for path in (root / "data").iterdir() if ".tfrecord-" in path.name and path.suffix != ".index"]
    size = sum(path.stat().st_size for path in shards)
    print(f"dataset                  {args.content}, {args.encoding}, {size:,} bytes in {len(shards)} shards")
    limit = args.cache_size or max(round(args.share * size), 2**20)
    windows = read_epochs(store, mixture, root / "cache", limit, args.batch_size)
    if args.peer:
        import fsspec

        fsspec.filesystem("s3").mkdir("peer")
        read_peer(store, args.peer, content, root, limit, windows, args.batch_size)
    if args.steps:
        train_tiny(mixture, root, args.steps)


if __name__ == "__main__":
    main()
