"""Images per CPU second of `gato-data ingest coco-captions`, beside what it is measured against.

    ours    the whole ingest: Beam pipeline, annotations, decoding, fitting, tokens, zlib, index, manifest; one process
    raw     the same without zlib (--patch-encoding raw)
    bare    Pillow: open, convert to RGB, resize; nothing is written
    draft   the same, with JPEGs decoded at a half, quarter or eighth of their size, as ours are

The photographs are JPEGs of the size that COCO's have (640 x 426), put together from the six of the tests, or a folder
of one's own. Each way runs in a process of its own, in turn; the fastest of `--rounds` counts. CPU time is of the
whole process, start-up left out.

    python benchmarks/captions.py
    python benchmarks/captions.py --photos my-photos
"""

import argparse
import io
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PHOTOS = Path(__file__).parents[1] / "tests" / "data" / "photos"
HEIGHT, WIDTH = 426, 640
SIZE = 192


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=500, help="number of photographs (default 500)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, the fastest counts (default 3)")
    parser.add_argument("--photos", type=Path, help="a folder of .jpg files instead")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--input", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        report(args.way, args.input)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        write_coco(path, args.photos or make_photos(path / "photos", args.images))
        rounds = [{way: run(way, path) for way in WAYS} for _ in range(args.rounds)]
    results = {way: min((found[way] for found in rounds), key=lambda run: run["seconds"]) for way in WAYS}
    show(results)
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


def make_photos(folder: Path, count: int) -> Path:
    """Photographs of COCO's size, four real ones in each, so that they are as hard to decode as real ones."""
    from PIL import Image

    folder.mkdir()
    tiles = [Image.open(path).convert("RGB") for path in sorted(PHOTOS.glob("*.jpg"))]
    draw = random.Random(0)
    for number in range(count):
        photo = Image.new("RGB", (WIDTH, HEIGHT))
        for place, tile in enumerate(draw.sample(tiles, 4)):
            left, top = draw.randrange(tile.width - 63), draw.randrange(tile.height - 63)
            piece = tile.crop((min(left, tile.width - 320), min(top, tile.height - 213), tile.width, tile.height))
            photo.paste(piece.resize((320, 213)), (place % 2 * 320, place // 2 * 213))
        data = io.BytesIO()
        photo.save(data, "JPEG", quality=90)
        (folder / f"{number:012d}.jpg").write_bytes(data.getvalue())
    return folder


def write_coco(folder: Path, photos: Path) -> None:
    """Annotations with one caption a photograph."""
    names = sorted(path.name for path in photos.glob("*.jpg"))
    images = [{"id": number, "file_name": str(photos / name)[1:]} for number, name in enumerate(names)]
    captions = [{"id": n, "image_id": n, "caption": f"A red cup of coffee, number {n}."} for n in range(len(names))]
    (folder / "captions_train2014.json").write_text(json.dumps({"images": images, "annotations": captions}))


def run(way: str, path: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--way", way, "--input", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def report(way: str, path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        images, seconds = WAYS[way](path, Path(folder))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"images": images, "seconds": seconds, "peak_mb": peak}))


def ours(path: Path, out: Path, encoding: str = "zlib") -> tuple[int, float]:
    import apache_beam  # noqa: F401  (start-up is not what is compared)
    import cv2  # noqa: F401
    import PIL.JpegImagePlugin  # noqa: F401
    import sentencepiece  # noqa: F401

    from gato_pipelines.ingest.run import IngestSettings
    from gato_pipelines.ingest.run import run as ingest

    settings = {"images": "/", "image_size": (SIZE, SIZE)}
    ingest_settings = IngestSettings(workers=1, patch_encoding="raw" if encoding == "raw" else "zlib")
    start = time.process_time()
    summary = ingest("coco-captions", settings, path, out / "dataset", ingest_settings)
    return summary.manifest.splits["train"].totals.images, time.process_time() - start


def raw(path: Path, out: Path) -> tuple[int, float]:
    return ours(path, out, "raw")


def bare(path: Path, out: Path, *, draft: bool = False) -> tuple[int, float]:
    import PIL.JpegImagePlugin  # noqa: F401
    from PIL import Image

    images = json.loads((path / "captions_train2014.json").read_text())["images"]
    start = time.process_time()
    for image in images:
        with Image.open("/" + image["file_name"]) as photo:
            if draft:
                photo.draft(None, (SIZE, SIZE))
            photo.convert("RGB").resize((SIZE, SIZE))
    return len(images), time.process_time() - start


def draft(path: Path, out: Path) -> tuple[int, float]:
    return bare(path, out, draft=True)


WAYS = {"ours": ours, "raw": raw, "bare": bare, "draft": draft}


def show(results: dict[str, dict[str, float]]) -> None:
    print(f"{'way':<6}{'images':>8}{'CPU s':>8}{'images / CPU s':>16}{'peak MB':>9}")
    for way, found in results.items():
        rate = found["images"] / found["seconds"]
        print(f"{way:<6}{found['images']:>8,}{found['seconds']:>8.2f}{rate:>16,.0f}{found['peak_mb']:>9,.0f}")
    for way in ("ours", "raw"):
        print(f"{way} takes {results[way]['seconds'] / results['bare']['seconds']:.2f} times the CPU time of bare")


if __name__ == "__main__":
    main()
