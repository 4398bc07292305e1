"""Every kind of input at an address: workers that share nothing fetch what is theirs, and write what one would."""

import gzip
from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gato_data.errors import InputError
from gato_data.remote import fetch
from gato_pipelines.containers import ranges
from gato_pipelines.documents.formats import ranges as document_ranges
from gato_pipelines.ingest.run_task import run_task
from gato_pipelines.ingest.settings import IngestSettings
from gato_pipelines.remote import input as remote_input
from gato_pipelines.remote import ranged
from gato_pipelines.remote.ranged import RangedFile
from tests.document_inputs import photo
from tests.lerobot_inputs import FEATURES, columns, feature, write_v3
from tests.object_store import Bucket
from tests.pipelines.containers.test_minari_arrow import write_arrow
from tests.pipelines.containers.test_shard_records import as_parquet
from tests.remote_folders import down, run, up
from tests.rlds_inputs import digests, moving, write

DATA = Path(__file__).parents[2] / "data"
PARTS = 4
RANDOM = np.random.default_rng(0)


def videos(folder: Path) -> Path:
    """Sixteen episodes of LeRobot, whose frames are in one file."""
    frames = RANDOM.integers(0, 255, (16 * 20, 48, 64, 3), np.uint8)
    return write_v3(folder, [columns(20, number) for number in range(16)], frames=frames)


def rows(folder: Path) -> Path:
    """240 episodes of LeRobot, a row group each."""
    episodes = [
        {**columns(20, number), "observation.state": list(RANDOM.standard_normal((20, 100)).astype("f4"))}
        for number in range(240)
    ]
    write_v3(folder, episodes, features={**FEATURES, "observation.state": feature("float32", 100)})
    path = folder / "data/chunk-000/file-000.parquet"
    pq.write_table(pq.read_table(path), path, row_group_size=20)
    return folder


def shards_of_parquet(folder: Path) -> Path:
    """Shards of TFDS in its other file format."""
    made = write(folder / "made", [moving(number, length=400) for number in range(16)], shards=PARTS)
    return as_parquet(made, folder / "in")


def raw(folder: Path) -> Path:
    """Raw files of RL Unplugged, of six episodes."""
    [data] = [path.read_bytes() for path in DATA.glob("rlu_raw/Breakout/run_1-00000-of-*")]
    (folder / "Breakout").mkdir(parents=True)
    for number in range(PARTS):
        path = folder / "Breakout" / f"run_1-{number:05d}-of-{PARTS:05d}"
        path.write_bytes(gzip.compress(3 * gzip.decompress(data), mtime=0))
    return folder / "Breakout"


def episodes_apart(folder: Path) -> Path:
    """Minari's episodes in Arrow, a file each."""
    found = [
        {"observations": RANDOM.standard_normal((201, 20)), "actions": RANDOM.uniform(-1, 1, (200, 2))}
        for _ in range(16)
    ]
    return write_arrow(folder, found)


def captions(folder: Path) -> Path:
    """Pictures with captions as the Hub has them."""
    folder.mkdir(parents=True)
    names = ("astronaut", "cat", "coffee", "rocket")
    table = pa.table(
        {
            "image": [{"bytes": photo(names[number % 4]), "path": None} for number in range(16)],
            "text": [f"The picture {number}." for number in range(16)],
        }
    )
    pq.write_table(table, folder / "train-00000-of-00001.parquet", row_group_size=2, compression="none")
    return folder


KINDS: dict[str, tuple[Callable[[Path], Path], str, dict[str, str]]] = {
    "videos": (videos, "lerobot", {}),
    "rows": (rows, "lerobot", {}),
    "parquet": (shards_of_parquet, "rlds", {}),
    "raw": (raw, "rlds", {}),
    "arrow": (episodes_apart, "rlds", {}),
    "captions": (captions, "hub", {}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_processes_that_share_nothing(
    kind: str, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other, so that the first one scans every part and each writes a quarter of them."""
    make, source, settings = KINDS[kind]
    folder = make(tmp_path / "in")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    monkeypatch.setattr(remote_input, "_SMALL", 1 << 14)
    monkeypatch.setattr(ranged, "AHEAD_BYTES", 1 << 14)  # parts are as much smaller than usual
    monkeypatch.setattr(document_ranges, "PART_BYTES", size // PARTS)
    monkeypatch.setattr(ranges, "RANGE_EPISODES", 60 if kind == "rows" else 4)
    run(folder, tmp_path / "local" / "out", source, settings)
    given, out = bucket.put(folder, f"in/{folder.name}"), f"s3://{bucket.name}/out"
    for task in range(PARTS):
        asked = IngestSettings(runner="array", array_task=f"{task + 1}/{PARTS}", workers=1, holdout=0.3)
        run_task(source, settings, given, out, asked)
    assert bucket.sent("in")[1] < 2.5 * size, "a copy for every process would be four times the content"
    assert down(out, tmp_path / "copy") == digests(tmp_path / "local" / "out")


@pytest.mark.parametrize("small", [1, 1 << 20])
def test_rows_that_are_not_where_they_are_said_to_be(
    small: int, memory: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_input, "_SMALL", small)
    folder = write_v3(
        tmp_path / "in", [columns(9, number) for number in range(5)], files=[0, 0, 1, 1, 2], said=[0, 0, 0, 1, 1]
    )
    run(folder, tmp_path / "local" / "arm", "lerobot")
    run(up(memory, folder, "memory://bucket/in"), "memory://bucket/out/arm", "lerobot")
    assert down("memory://bucket/out/arm", tmp_path / "copy") == digests(tmp_path / "local" / "arm")


def test_what_git_lfs_did_not_fetch_is_told(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    given = up(memory, rows(tmp_path / "in"), "memory://bucket/in")
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    memory.pipe_file("/bucket/in/data/chunk-000/file-000.parquet", pointer)
    with pytest.raises(InputError, match=r"^memory://bucket/in/data/\S+ is a Git LFS pointer, not the file itself"):
        run(given, tmp_path / "out", "lerobot", max_bad=1000)


@pytest.mark.parametrize("make", [videos, rows])
def test_what_is_gone_is_no_dead_letter(
    make: Callable[[Path], Path], memory: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever it goes."""
    monkeypatch.setattr(fetch, "ATTEMPTS", 1)
    monkeypatch.setattr(ranged, "AHEAD_BYTES", 1 << 16)
    monkeypatch.setattr(remote_input, "_SMALL", 1)
    folder, fetch_range, left = make(tmp_path / "in"), RangedFile._fetch, [0]

    def fetched(file: RangedFile, start: int, stop: int) -> bytes:
        left[0] -= 1
        if not left[0]:
            memory.store.clear()
        return fetch_range(file, start, stop)

    monkeypatch.setattr(RangedFile, "_fetch", fetched)
    for fetches in (1, 3, 5, 7):
        given, left[0] = up(memory, folder, "memory://bucket/in"), fetches
        with pytest.raises(InputError, match=r"^memory://bucket/in/(data|videos)/\S+ cannot be read \("):
            run(given, tmp_path / "out", "lerobot", max_bad=1000)
