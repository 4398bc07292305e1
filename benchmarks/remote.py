"""What reading from an object store costs: requests and bytes of three epochs, beside those of an LRU of the same size.

The store is moto's server on this machine, over HTTP, every answer 30 ms late (pip install 's3fs' 'moto[server]').
With --steps, a `tiny` model is trained from the same address on an empty cache, and the share of its time that it
waited for data is printed.

    python benchmarks/remote.py
    python benchmarks/remote.py --content atari --encoding raw --share 0.25 --steps 40
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from reading_content import make_content, write_dataset
from reading_peers import BATCH

LATENCY = 0.03
SERVER = """
import sys, time
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple
WSGIRequestHandler.protocol_version = "HTTP/1.1"
WSGIRequestHandler.log = lambda *args: None
inner = DomainDispatcherApplication(create_backend_app)
def late(environ, start):
    time.sleep(float(sys.argv[2]))
    return inner(environ, start)
run_simple("127.0.0.1", int(sys.argv[1]), late, threaded=True)
"""


def serve(port: int) -> "subprocess.Popen[bytes]":
    """moto's server; s3fs finds it by the environment."""
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(port), str(LATENCY)])
    os.environ.update(
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}", AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test",
        AWS_DEFAULT_REGION="us-east-1",
    )  # fmt: skip
    time.sleep(5)
    return server


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


def epochs(mixture: Path, cache: Path, share: float, size: int, context_length: int) -> None:
    from gato_data.reading.reader import ReadSettings, open_mixture
    from gato_data.remote.record_cache import open_cache

    limit = max(round(share * size), 2**20)
    settings = ReadSettings(context_length=context_length, cache=cache, cache_size=limit)
    with open_mixture(mixture, settings=settings) as reader:
        windows = 3 * reader.num_windows
        ranges = [range(at, min(at + BATCH, windows)) for at in range(0, windows, BATCH)]
        kept = open_cache(cache)
        begun = kept.requests, kept.fetched
        for _ in reader.stream(ranges):
            pass
        requests, fetched = kept.requests - begun[0], kept.fetched - begun[1]
        assert reader._ahead is not None
        reads = [plan.reads for plan in reader.planner.plan(ranges)]
        records = [reader._ahead._records(each.record, each.shard) for each in reads]
        sizes = [[(r, kept.span(r)[1] - kept.span(r)[0]) for r in batch] for batch in records]
        lru = simulate_lru(sizes, limit)
        print(f"windows, three epochs   {windows:,} of {context_length} tokens, in batches of {BATCH}")
        print(f"requests a window       {requests / windows:.2f}")
        print(f"bytes a window          {fetched / windows:,.0f}")
        print(f"dataset, cache          {size:,} bytes, {limit:,}; the most it held {kept.most_held:,}")
        print(f"fetched                 {fetched:,} bytes; an LRU of the same size {lru:,}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--content", default="atari")
    parser.add_argument("--encoding", default="zlib")
    parser.add_argument("--scale", type=float, default=0.25, help="size of the data")
    parser.add_argument("--share", type=float, default=0.5, help="of the dataset that the cache holds")
    parser.add_argument("--context-length", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=0, help="of a tiny run")
    parser.add_argument("--port", type=int, default=5371)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        write_dataset(root / "data", make_content(args.content, args.scale, root), args.encoding)
        size = sum(path.stat().st_size for path in (root / "data").iterdir() if path.suffix != ".index")
        server = serve(args.port)
        try:
            upload(root / "data", "s3://bucket/data")
            measure(args, root, size)
        finally:
            server.terminate()


def measure(args: argparse.Namespace, root: Path, size: int) -> None:
    from gato_data.mixing.make import plan_mixture
    from gato_data.mixing.mixture_file import write_mixture
    from gato_data.remote.mirror import at_hand

    folder = at_hand("s3://bucket/data", root / "cache")
    write_mixture(root / "mixture.json", plan_mixture([folder], "uniform", folder=root))
    epochs(root / "mixture.json", root / "cache", args.share, size, args.context_length)
    if args.steps:
        from gato_trainer.presets import train_settings
        from gato_trainer.run.train import train

        settings = train_settings("tiny", root / "run", steps=args.steps, device="cpu", log_every=args.steps)
        result = train(root / "mixture.json", settings, quiet=True, cache=root / "empty")
        print(f"data wait, tiny         {result.record['data_wait']:.2%} of {args.steps} steps, from an empty cache")


if __name__ == "__main__":
    main()
