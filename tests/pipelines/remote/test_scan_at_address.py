"""A scan of an input in an object store fetches what it looks into, and what both passes need is fetched once."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gato_data.errors import InputError
from gato_pipelines import control_source
from gato_pipelines.control import bad_fields
from gato_pipelines.ingest.run import plan_only
from gato_pipelines.ingest.settings import IngestSettings
from gato_pipelines.remote import input as remote_input
from tests.object_store import Bucket
from tests.remote_folders import run
from tests.rlds_inputs import digests

LEROBOT = Path(__file__).parents[2] / "data/lerobot/arm-v21"


def books(folder: Path) -> Path:
    """Files that are a document each."""
    for number in range(3):
        (folder / f"{number}.txt").write_text(f"The book {number}. " * 2000)
    return folder


def tables(folder: Path) -> Path:
    """A parquet file of four row groups, of 1 MB."""
    texts = [f"{number} " * 2000 for number in range(100)]
    pq.write_table(pa.table({"text": texts}), folder / "texts.parquet", row_group_size=25, compression="none")
    return folder


def lines(folder: Path) -> Path:
    """Compressed JSON lines, whose documents only reading counts."""
    for number in range(2):
        texts = "".join(json.dumps({"text": f"The line {line} of {number}."}) + "\n" for line in range(500))
        (folder / f"{number}.jsonl.gz").write_bytes(gzip.compress(texts.encode()))
    return folder


@pytest.mark.parametrize(
    ("make", "requests", "share"), [(books, 0, 0.0), (tables, 3, 0.2), (lines, 2, 1.0)], ids=["txt", "parquet", "jsonl"]
)
def test_texts(
    make: Callable[[Path], Path], requests: int, share: float, bucket: Bucket, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(remote_input, "_SMALL", 0)
    (tmp_path / "in").mkdir()
    folder = make(tmp_path / "in")
    size = sum(path.stat().st_size for path in folder.iterdir())
    given = bucket.put(folder, "in")
    plan = plan_only("massivetext", {}, given, tmp_path / "x", IngestSettings()).plan
    scanned = bucket.sent("in")
    assert plan == plan_only("massivetext", {}, folder, tmp_path / "x", IngestSettings()).plan
    assert scanned[0] <= requests
    assert scanned[1] <= share * size
    run(folder, tmp_path / "local" / "out", "massivetext")
    run(given, tmp_path / "remote" / "out", "massivetext")
    assert digests(tmp_path / "remote" / "out") == digests(tmp_path / "local" / "out")
    assert bucket.sent("in")[1] - scanned[1] <= 1.1 * size, "what is scanned is not fetched again"


def test_videos_that_nothing_looks_at_stay_there(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (bad_fields, control_source):
        monkeypatch.setattr(module, "LOOKED_AT", 2)
    given = bucket.put(LEROBOT, "arm-v21")
    plan = plan_only("lerobot", {}, given, tmp_path / "x", IngestSettings()).plan
    assert plan == plan_only("lerobot", {}, LEROBOT, tmp_path / "x", IngestSettings()).plan
    assert bucket.sent("arm-v21/data")[0] == 5
    assert bucket.sent("arm-v21/videos")[0] == 4, "two cameras of the two episodes that are looked at"
    run(LEROBOT, tmp_path / "local" / "arm", "lerobot")
    before = bucket.sent("arm-v21/videos")[0]
    run(given, tmp_path / "remote" / "arm", "lerobot")
    assert bucket.sent("arm-v21/videos")[0] - before == 10
    assert digests(tmp_path / "remote" / "arm") == digests(tmp_path / "local" / "arm")


def test_a_pointer_that_no_scan_opens_is_found_before_it_is_read(bucket: Bucket, tmp_path: Path) -> None:
    given = bucket.put(books(tmp_path), "in")
    bucket.write("in/1.txt", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    with pytest.raises(InputError, match=rf"^{given}/1.txt is a Git LFS pointer, not the file itself"):
        run(given, tmp_path / "out", "massivetext")
