from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from gato_data.errors import FormatError, InputError
from gato_data.report.encode import plain
from gato_data.report.facts import patches_line
from gato_data.report.shard import summarize_shard
from gato_schemas.index import encode_index, read_index
from gato_schemas.record import decode_record
from gato_schemas.statistics import Counts
from gato_schemas.tfrecord import frame, read_records
from tests.gato_data.report.folders import robot_folder, write_folder

TRAIN = "arm-train.tfrecord-00000-of-00002"


def copy(folder: Path, to: Path, *, index: bool = True) -> Path:
    for name in (TRAIN, TRAIN + ".index") if index else (TRAIN,):
        (to / name).write_bytes((folder / name).read_bytes())
    return to / TRAIN


def test_the_index_and_the_shard_say_the_same(arm: Path, tmp_path: Path) -> None:
    with_index = summarize_shard(arm / TRAIN)
    without = summarize_shard(copy(arm, tmp_path, index=False))
    assert with_index.from_index
    assert not without.from_index
    assert with_index.records == without.records
    assert with_index.totals == without.totals
    assert with_index.totals.tokens == 77


def test_all_records_are_counted_whatever_the_limit(arm: Path, tmp_path: Path) -> None:
    for path in (arm / TRAIN, copy(arm, tmp_path, index=False)):
        summary = summarize_shard(path, limit=1)
        assert [record.episode_id for record in summary.records] == ["robot/00000/000000"]
        assert summary.totals.records == 2


def test_a_missing_shard(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no shard"):
        summarize_shard(tmp_path / "nothing")
    with pytest.raises(InputError, match="is a folder, a shard file was wanted"):
        summarize_shard(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git-LFS pointer"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"PAR1 a parquet file, say", "is not a TFRecord file"),
        (b"\x05", "truncated"),
    ],
)
def test_what_is_no_shard(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "shard"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=message):
        summarize_shard(path)


def test_a_truncated_shard(arm: Path, tmp_path: Path) -> None:
    path = copy(arm, tmp_path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(FormatError, match=r"is truncated: it has \d+ bytes, its index says \d+"):
        summarize_shard(path)
    (tmp_path / (TRAIN + ".index")).unlink()
    with pytest.raises(FormatError, match=r"truncated inside record 1 .*: record 0 is whole, look at them with"):
        summarize_shard(path)


def test_a_tfrecord_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "shard"
    header, footer = frame(b"\x0a\x03\x0a\x01x")
    path.write_bytes(header + b"\x0a\x03\x0a\x01x" + footer)
    with pytest.raises(FormatError, match="record 0 of shard is not a record of gato-data"):
        summarize_shard(path)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("modality", np.array([1, 1, 1, 1, 2, 3, 3, 4, 3, 3, 9] * 3, np.uint8)),
        ("timestep_starts", np.array([0, 40, 11], np.int32)),
        ("timestep_starts", np.array([-4, 0, 11], np.int32)),
        ("image_grid", np.array([[0, 2, 2, 32, 32], [4, 9, 9, 32, 32], [8, 2, 2, 32, 32]], np.int32)),
    ],
)
def test_columns_that_point_elsewhere(arm: Path, tmp_path: Path, column: str, value: np.ndarray) -> None:
    raw = next(iter(read_records(arm / TRAIN)))
    old = getattr(decode_record(raw.data, "zlib").sequence, column)
    assert old.shape == value.shape
    data = raw.data.replace(old.tobytes(), value.tobytes(), 1)
    header, footer = frame(data)
    (tmp_path / "shard").write_bytes(header + data + footer)
    with pytest.raises(FormatError, match=f"record 0 of shard is not a record of gato-data: .*{column}"):
        summarize_shard(tmp_path / "shard")


def test_an_index_that_lies(arm: Path, tmp_path: Path) -> None:
    path = copy(arm, tmp_path)
    found = read_index(arm / (TRAIN + ".index"))
    for name, values, message in (
        ("task", [7, 0], "a record has task number 7 of 1"),
        ("offset", [2**63, 0], "points outside its shard"),
        ("length", [12, 2**32 - 1], "points outside its shard"),
    ):
        arrays = {**found.arrays, name: np.array(values, found.arrays[name].dtype)}
        (tmp_path / (TRAIN + ".index")).write_bytes(encode_index(found.header, arrays))
        with pytest.raises(FormatError, match=message):
            summarize_shard(path)


def test_an_index_of_another_version(arm: Path, tmp_path: Path) -> None:
    path = copy(arm, tmp_path)
    found = read_index(arm / (TRAIN + ".index"))
    header = msgspec.structs.replace(found.header, version=9)
    (tmp_path / (TRAIN + ".index")).write_bytes(encode_index(header, found.arrays))
    with pytest.raises(FormatError, match="index version 9, this program reads version 3"):
        summarize_shard(path)


def test_an_id_that_lies_deep_in_its_record_is_left_out_of_the_list(tmp_path: Path) -> None:
    content = robot_folder()
    agents = ["a" * 5000]
    folder = write_folder(tmp_path / "deep", replace(content, agents=agents))
    summary = summarize_shard(folder / TRAIN)
    assert [record.episode_id for record in summary.records] == [None, None]
    assert [record.tokens for record in summary.records] == [33, 44]


@pytest.mark.parametrize(
    ("counts", "encoding", "line"),
    [
        (Counts(patches=28_740, distinct_patches=2_370), "zlib", "28,740, 8.2% distinct, zlib"),
        (Counts(patches=28_740, distinct_patches=2_370), None, "28,740, 8.2% distinct"),
        (Counts(), "raw", "none"),
    ],
)
def test_the_share_of_distinct_patches(counts: Counts, encoding: str | None, line: str) -> None:
    assert patches_line(counts, encoding) == line
    assert plain(counts)["distinct_patches"] == counts.distinct_patches
