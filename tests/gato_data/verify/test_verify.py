"""Whole datasets pass, every planted fault is caught by its name and place, and a repair loses nothing."""

import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_data.errors import FormatError, InputError
from gato_data.verify.dataset import verify_dataset
from gato_data.verify.repair import repair_dataset
from gato_schemas.dataset import read_manifest
from gato_schemas.index_rows import COLUMNS
from gato_schemas.sequence import Modality
from gato_schemas.tfrecord import read_records
from tests.gato_data.verify import planted, planted_columns
from tests.gato_data.verify.planted import INDEX, SHARD
from tests.rlds_inputs import digests

MODALITY = COLUMNS.index("modality")
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 14282\n"


@pytest.mark.parametrize("encoding", ["zlib", "raw"])
@pytest.mark.parametrize("large_ids", [False, True])
@pytest.mark.parametrize(
    ("kind", "chunk_tokens"),
    [("pong", None), ("pong", 20), ("walker", None), ("told", 60), ("captions", None), ("captions", 10), ("pages", 7)],
)
def test_whole_data_passes(
    tmp_path: Path, kind: str, chunk_tokens: int | None, encoding: Literal["zlib", "raw"], large_ids: bool
) -> None:
    folder = planted.dataset(tmp_path / "set", kind, (9, 40, 30, 6, 5), encoding, chunk_tokens, large_ids)
    verdict = verify_dataset(folder)
    assert [finding.message for finding in verdict.findings.kept] == []
    assert verdict.whole
    splits = read_manifest(folder).splits
    assert verdict.counts.tokens == sum(split.totals.tokens for split in splits.values())
    assert verdict.counts.episodes == 5
    assert verdict.bytes == sum(shard.size for split in splits.values() for shard in split.shards)
    before = digests(folder)
    assert repair_dataset(folder).done == ()
    assert digests(folder) == before


def test_what_an_ingest_made_passes(breakout: Path) -> None:
    verdict = verify_dataset(breakout)
    assert [finding.message for finding in verdict.findings.kept] == []
    assert verdict.counts.episodes == 6


def at(record: int, byte: int) -> Callable[[Path], int]:
    return lambda folder: planted.starts(folder)[record] + byte


def end_of(record: int) -> Callable[[Path], int]:
    return lambda folder: planted.starts(folder)[record + 1] - 1


def bump(found: dict[str, Any], *path: str | int) -> None:
    for key in path[:-1]:
        found = found[key]  # type: ignore[index]
    found[path[-1]] += 1  # type: ignore[index]


FAULTS: dict[str, tuple[Callable[[Path], None], str, str, int | None]] = {
    "a flipped bit in a record": (planted.flip(SHARD, at(1, 40)), "checksum", SHARD, 1),
    "a flipped bit in a length": (planted.flip(SHARD, at(1, 1)), "checksum", SHARD, 1),
    "a flipped bit in the checksum of a length": (planted.flip(SHARD, at(1, 9)), "checksum", SHARD, 1),
    "a flipped bit in the checksum of a record": (planted.flip(SHARD, end_of(1)), "checksum", SHARD, 1),
    "truncated inside a record": (planted.content(SHARD, lambda data, _: data[:-9]), "truncated", SHARD, 2),
    "truncated between two records": (
        planted.content(SHARD, lambda data, folder: data[: planted.starts(folder)[2]]),
        "truncated",
        SHARD,
        2,
    ),
    "appended bytes": (planted.content(SHARD, lambda data, _: data + b"appended"), "truncated", SHARD, 3),
    "a tail of zeros": (planted.content(SHARD, lambda data, _: data[:-500] + bytes(500)), "checksum", SHARD, 2),
    "two records swapped": (planted.content(SHARD, planted.swapped), "digest", SHARD, None),
    "a Git-LFS pointer": (planted.content(SHARD, lambda *_: POINTER), "foreign", SHARD, None),
    "a gzip file": (planted.content(SHARD, lambda *_: b"\x1f\x8b\x08 and so on"), "foreign", SHARD, None),
    "a foreign file": (planted.content(SHARD, lambda *_: b"episode,reward\n" * 9), "foreign", SHARD, None),
    "a missing shard": (planted.unlink(SHARD), "missing", SHARD, None),
    "a missing index": (planted.unlink(INDEX), "missing", INDEX, None),
    "a flipped bit in an index": (planted.flip(INDEX, lambda _: 700), "index", INDEX, None),
    "a truncated index": (planted.content(INDEX, lambda data, _: data[:-40]), "index", INDEX, None),
    "an index of another version": (planted.header_of_index(version=9), "index", INDEX, None),
    "a pointer for an index": (planted.content(INDEX, lambda *_: POINTER), "index", INDEX, None),
    "the index of another shard": (
        planted.content(INDEX, lambda _, folder: (folder / INDEX.replace("00000-of", "00001-of")).read_bytes()),
        "index",
        INDEX,
        None,
    ),
    "another fingerprint": (planted.header_of_index(fingerprint="x"), "index", INDEX, None),
    "a wrong offset in the index": (planted.row_of_index("columns", 3), "index", SHARD, 1),
    "a wrong length in the index": (planted.row_of_index("column_bytes", 9, (1, MODALITY)), "index", SHARD, 1),
    "a wrong hash in the index": (planted.row_of_index("episode_hash", 3), "index", SHARD, 1),
    "a wrong total in the manifest": (
        planted.manifest(lambda found: bump(found, "splits", "train", "totals", "tokens")),
        "manifest",
        "dataset.json",
        None,
    ),
    "a wrong size in the manifest": (
        planted.manifest(lambda found: bump(found, "splits", "train", "shards", 0, "size")),
        "manifest",
        "dataset.json",
        None,
    ),
    "a wrong number of dead letters": (
        planted.manifest(lambda found: bump(found, "dead_letters")),
        "manifest",
        "dead_letters.jsonl",
        None,
    ),
    "an action beyond its range": (planted.column("tokens", 7, 1024), "tokens", SHARD, 1),
    "an id where a patch is": (planted.column("tokens", 0, 5), "tokens", SHARD, 1),
    "another separator": (planted.column("tokens", 6, 33025), "tokens", SHARD, 1),
    "a patch that is trained on": (planted.column("loss_mask", 0, 1), "mask", SHARD, 1),
    "an action that is not trained on": (planted.column("loss_mask", 7, 0), "mask", SHARD, 1),
    "a mask that is neither 0 nor 1": (planted.column("loss_mask", 7, 2), "mask", SHARD, 1),
    "positions that do not count up": (planted.column("position", 3, 4), "positions", SHARD, 1),
    "a patch position that its image does not give": (
        planted.column("patch_position", (2, 1), 3),
        "patches",
        SHARD,
        1,
    ),
    "an action that is continuous": (planted.column("modality", 7, 3), "tokens", SHARD, 1),
    "a damaged patch block under a good checksum": (planted.payload(planted.damage_block), "patches", SHARD, 1),
    "a record of an older version": (planted.payload(planted.of_an_older_version), "record", SHARD, 1),
    "a record that is none": (planted.payload(planted.no_example), "record", SHARD, 1),
    "a missing chunk": (planted.changing(lambda found: found[:1] + found[2:]), "chunks", SHARD, 0),
    "chunks in another order": (planted.changing(lambda found: [found[1], found[0], *found[2:]]), "chunks", SHARD, 0),
    "an episode twice": (planted.changing(lambda found: [*found, *found]), "chunks", SHARD, None),
    "other features for TFDS": (
        planted.content("features.json", lambda data, _: data.replace(b"uint16", b"uint32")),
        "tfds",
        "features.json",
        None,
    ),
    "other spaces in a TFDS file": (
        planted.content("dataset_info.json", lambda data, _: data.replace(b"  ", b" ")),
        "tfds",
        "dataset_info.json",
        None,
    ),
    "a damaged manifest": (planted.flip("dataset.json", lambda _: 300), "manifest", "dataset.json", None),
    "half a manifest": (
        planted.content("dataset.json", lambda data, _: data[: len(data) // 2]),
        "manifest",
        "dataset.json",
        None,
    ),
    "a pointer for a manifest": (planted.content("dataset.json", lambda *_: POINTER), "manifest", "dataset.json", None),
    "a missing manifest": (planted.unlink("dataset.json"), "manifest", "dataset.json", None),
    "a manifest of another version": (
        planted.content("dataset.json", lambda data, _: data.replace(b'"version": 3', b'"version": 2')),
        "manifest",
        "dataset.json",
        None,
    ),
    "other spaces in the manifest": (
        planted.content("dataset.json", lambda data, _: data.replace(b"  ", b"\t")),
        "manifest",
        "dataset.json",
        None,
    ),
    "another task in the manifest": (
        planted.manifest(lambda found: found.update(tasks={"pang": found["tasks"]["pong"]})),
        "manifest",
        "dataset.json",
        None,
    ),
    "a damaged copy of the manifest": (
        planted.flip("dataset_copy.json", lambda _: 300),
        "manifest",
        "dataset_copy.json",
        None,
    ),
    "a missing copy of the manifest": (planted.unlink("dataset_copy.json"), "manifest", "dataset_copy.json", None),
    "a line that is no dead letter": (
        planted.content("dead_letters.jsonl", lambda *_: b"oops\n"),
        "dead letters",
        "dead_letters.jsonl",
        None,
    ),
    "a shard that the manifest does not name": (
        lambda folder: shutil.copy(folder / SHARD, folder / SHARD.replace("00002", "00003")) and None,
        "stray",
        SHARD.replace("00002", "00003"),
        None,
    ),
    **planted_columns.FAULTS,
}
WHOLE = {
    "two records swapped",
    "an action beyond its range",
    "an id where a patch is",
    "another separator",
    "a patch that is trained on",
    "an action that is not trained on",
    "a mask that is neither 0 nor 1",
    "positions that do not count up",
    "a patch position that its image does not give",
    "an action that is continuous",
    "a damaged patch block under a good checksum",
    "a record that is none",
    "a record of an older version",
    "a missing chunk",
    "chunks in another order",
    "an episode twice",
    "a shard that the manifest does not name",
    *planted_columns.FAULTS,
}
"""Faults of records that are as they were written: a repair leaves them alone unless it is forced."""
CHUNKED = {"a missing chunk", "chunks in another order", "an episode twice"}
UNMENDABLE = {"a Git-LFS pointer", "a gzip file", "a foreign file", "a missing shard"}


@pytest.fixture(params=FAULTS)
def fault(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """A dataset with one planted fault."""
    name: str = request.param
    folder = planted.dataset(tmp_path / "set", chunk_tokens=40 if name in CHUNKED else None)
    FAULTS[name][0](folder)
    return name, folder


def test_a_planted_fault_is_caught(fault: tuple[str, Path]) -> None:
    name, folder = fault
    _, check, file, record = FAULTS[name]
    findings = verify_dataset(folder).findings.kept
    found = [(finding.check, finding.file, finding.record) for finding in findings]
    assert (check, file) in {(check, file) for check, file, _ in found}
    if record is not None:
        assert (check, file, record) in found
        (first, *_) = [finding for finding in findings if (finding.check, finding.record) == (check, record)]
        assert first.byte is not None
        assert first.place == f"{file}, record {record}, byte {first.byte}"


def test_at_least_twenty_faults_are_planted() -> None:
    assert len(FAULTS) >= 20


def kept_records(folder: Path) -> set[bytes]:
    return {
        raw.data
        for path in folder.iterdir()
        if ".tfrecord-" in path.name and not path.name.endswith(".index")
        for raw in read_records(path)
    }


def test_a_repair_mends_it_and_loses_nothing(fault: tuple[str, Path]) -> None:
    name, folder = fault
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    if name in WHOLE:
        waiting = repair_dataset(folder)
        assert waiting.done == ()
        assert {finding.remedy for finding in waiting.after.findings.kept} == {"force"}
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    result = repair_dataset(folder, force=name in WHOLE)
    if name in UNMENDABLE:
        assert not result.after.whole
        assert {finding.remedy for finding in result.after.findings.kept} == {"none"}
    else:
        assert [finding.message for finding in result.after.findings.kept] == []
        assert result.done
    aside = [path.read_bytes() for path in sorted((folder / "quarantine").glob("*"))]
    now = [path.read_bytes() for path in folder.iterdir() if path.is_file()]
    for file, data in before.items():
        if data in now or data in aside:
            continue
        assert ".tfrecord-" in file or file == "dead_letters.jsonl", file
        assert not file.endswith(".index")
        records = kept_records(folder)
        rest = data
        for piece in aside:
            rest = rest.replace(piece, b"", 1)
        for record in records:
            rest = rest.replace(record, b"", 1)
        assert len(rest) <= 16 * 9, "only frames are left: everything else stands in the shard or in the quarantine"
    again = digests(folder)
    assert repair_dataset(folder).done == ()
    assert digests(folder) == again


def test_good_neighbours_stay(tmp_path: Path) -> None:
    folder = planted.dataset(tmp_path / "set")
    whole = [raw.data for raw in read_records(folder / SHARD)]
    FAULTS["a flipped bit in a record"][0](folder)
    result = repair_dataset(folder)
    assert [raw.data for raw in read_records(folder / SHARD)] == [whole[0], whole[2]]
    manifest = read_manifest(folder)
    assert manifest.dead_letters == 1
    assert manifest.splits["train"].totals.episodes == 3
    assert manifest.tasks["pong"].counts.episodes == 4
    (letter,) = [json.loads(line) for line in (folder / "dead_letters.jsonl").read_text().splitlines()]
    assert (letter["source"], letter["key"], letter["stage"], letter["count"]) == (SHARD, "record 1", "verify", 1)
    copy = folder / letter["reason"].rpartition(" ")[2]
    assert whole[1][100:] in copy.read_bytes()
    assert result.after.counts.records == 4


def test_an_episode_of_chunks_goes_as_a_whole(tmp_path: Path) -> None:
    folder = planted.dataset(tmp_path / "set", chunk_tokens=20)
    first = planted.records(folder)[0]
    assert first.num_chunks > 2
    planted.flip(SHARD, at(1, 40))(folder)
    repair_dataset(folder)
    assert first.episode_id not in {record.episode_id for record in planted.records(folder)}
    assert read_manifest(folder).dead_letters == 1
    assert len(list((folder / "quarantine").glob(f"{SHARD}.*-*.*"))) == first.num_chunks


def test_a_frame_that_is_damaged_costs_no_record(tmp_path: Path) -> None:
    for name in (
        "a flipped bit in a length",
        "a flipped bit in the checksum of a length",
        "a flipped bit in the checksum of a record",
    ):
        folder = planted.dataset(tmp_path / name / "set")
        before = digests(folder)
        FAULTS[name][0](folder)
        repair_dataset(folder)
        assert digests(folder) == before, name


def test_without_an_index_the_next_record_is_searched_for(tmp_path: Path) -> None:
    folder = planted.dataset(tmp_path / "set")
    starts = planted.starts(folder)
    planted.flip(SHARD, at(1, 1))(folder)
    (folder / INDEX).unlink()
    findings = verify_dataset(folder).findings.kept
    assert [(found.check, found.record, found.byte) for found in findings if found.file == SHARD] == [
        ("truncated", 1, starts[1])
    ]
    assert f"{starts[2] - starts[1]} bytes are no record" in findings[-1].message
    repair_dataset(folder)
    assert len(planted.records(folder)) == 2


@pytest.mark.parametrize(
    "damage", [planted_columns.behind("tokens"), planted_columns.in_form("tokens", planted_columns.deflated)]
)
@pytest.mark.parametrize(("kind", "encoding"), [("walker", "zlib"), ("pong", "raw")])
def test_tokens_that_are_read_in_place_have_one_form(
    tmp_path: Path, kind: str, encoding: Literal["zlib", "raw"], damage: Callable[[Path], None]
) -> None:
    folder = planted.dataset(tmp_path / "set", kind, encoding=encoding)
    damage(folder)
    findings = verify_dataset(folder).findings.kept
    assert ("record", SHARD, 2) in {(found.check, found.file, found.record) for found in findings}
    assert any("tokens" in found.message for found in findings)
    assert repair_dataset(folder, force=True).after.whole
    assert len(planted.records(folder)) == 2


MESSAGES = {
    "a patch index out of range": "column patch_index names patch 180 of 180",
    "a distinct patch that is never used": "distinct patch 179 of 180 is never used",
    "two distinct patches that are equal": "distinct patches 3 and 7 are equal",
    "two distinct patches of one hash": "distinct patches 3 and 7 differ and have one hash",
    "a hash that lies": "distinct patch 4 has the hash",
    "distinct patches in another order": "patch 0 is distinct patch 179, before distinct patch 0 has appeared",
    "pixels behind the last patch": "patch block 0 has something behind its last patch",
    "garbage behind a column": "column modality has bytes behind the end of its zlib stream",
    "a column that is stored": "the zlib stream of column position is not deflated",
    "a record of an older version": "column patch_index is missing: the record is of an older format version",
}


@pytest.mark.parametrize("name", MESSAGES)
def test_what_is_wrong_with_a_record_is_said(tmp_path: Path, name: str) -> None:
    folder = planted.dataset(tmp_path / "set")
    FAULTS[name][0](folder)
    assert any(MESSAGES[name] in found.message for found in verify_dataset(folder).findings.kept)


def test_an_unknown_task_is_caught(tmp_path: Path) -> None:
    folder = planted.dataset(tmp_path / "set")
    planted.manifest(lambda found: found.update(tasks={"pang": found["tasks"]["pong"]}))(folder)
    shutil.copy(folder / "dataset.json", folder / "dataset_copy.json")
    findings = verify_dataset(folder).findings.kept
    assert any("task 'pong' or agent" in finding.message for finding in findings)
    before = digests(folder)
    assert not repair_dataset(folder).after.whole
    changed = {name for name, digest in digests(folder).items() if before.get(name) != digest}
    assert not any(".tfrecord-" in name for name in changed), "the records are whole"


def test_text_has_its_own_range(tmp_path: Path) -> None:
    folder = planted.dataset(tmp_path / "set", "told")
    token = planted.first_of(Modality.TEXT, folder)
    planted.column("tokens", token, 32000)(folder)
    (finding,) = verify_dataset(folder).findings.kept
    assert finding.message.startswith(f"id 32000 at token {token} is no text id ([0, 32000))")


def test_a_document_has_no_positions(tmp_path: Path) -> None:
    folder = planted.dataset(tmp_path / "set", "captions")
    planted.column("position", 3, 3)(folder)
    (finding,) = verify_dataset(folder).findings.kept
    assert (finding.check, finding.record) == ("positions", 1)


@pytest.mark.parametrize("damage", ["missing", "damaged", "another version", "a pointer"])
def test_without_a_manifest_nothing_can_be_checked(tmp_path: Path, damage: str) -> None:
    folder = planted.dataset(tmp_path / "set")
    path = folder / "dataset.json"
    (folder / "dataset_copy.json").unlink()
    if damage == "missing":
        path.unlink()
    elif damage == "damaged":
        path.write_bytes(path.read_bytes()[:-50])
    elif damage == "a pointer":
        path.write_bytes(POINTER)
    else:
        path.write_text(path.read_text().replace('"version": 3', '"version": 2'))
    with pytest.raises(FormatError, match=r"dataset\.json"):
        verify_dataset(folder)


def test_an_ingest_that_did_not_finish_is_no_lost_manifest(tmp_path: Path) -> None:
    folder = planted.dataset(tmp_path / "set")
    (folder / "dataset.json").unlink()
    (folder / ".ingest").mkdir()
    with pytest.raises(FormatError, match="its ingest did not finish"):
        verify_dataset(folder)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no dataset folder"):
        verify_dataset(tmp_path / "nothing")


def test_other_files_are_noted(tmp_path: Path) -> None:
    folder = planted.dataset(tmp_path / "set")
    (folder / "notes.md").write_text("mine")
    verdict = verify_dataset(folder)
    assert verdict.whole
    assert verdict.findings.notes == ["notes.md is no file of a dataset"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small dataset of text, images and state; not to be changed."""
    return planted.dataset(tmp_path_factory.mktemp("bits") / "set", "told", (3, 2, 4, 2, 2))


class TestAnyBit:
    """One bit anywhere in a shard or an index is noticed, and a repair makes the dataset whole."""

    @given(data=st.data())
    def test_flipped(self, source: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
        folder = tmp_path_factory.mktemp("flipped") / "set"
        shutil.copytree(source, folder)
        path = folder / data.draw(st.sampled_from([SHARD, INDEX]))
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(content) * 8 - 1))
        content[place // 8] ^= 1 << place % 8
        path.write_bytes(content)
        assert not verify_dataset(folder).whole
        assert repair_dataset(folder).after.whole
        shutil.rmtree(folder)

    @given(data=st.data())
    def test_cut_in_the_header_of_a_record(
        self, source: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        folder = tmp_path_factory.mktemp("header") / "set"
        shutil.copytree(source, folder)
        path, starts = folder / SHARD, planted.starts(folder)
        path.write_bytes(path.read_bytes()[: starts[2] + data.draw(st.integers(0, 13))])
        assert repair_dataset(folder).after.whole
        assert len(planted.records(folder)) == 2
        assert read_manifest(folder).dead_letters == 1
        shutil.rmtree(folder)

    @given(data=st.data())
    def test_cut_short(self, source: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
        folder = tmp_path_factory.mktemp("cut") / "set"
        shutil.copytree(source, folder)
        path = folder / SHARD
        starts = planted.starts(folder)
        size = data.draw(st.sampled_from(starts[1:-1]) | st.integers(13, starts[-1] - 1))
        path.write_bytes(path.read_bytes()[:size])
        assert not verify_dataset(folder).whole
        result = repair_dataset(folder)
        if size > starts[1]:
            assert result.after.whole
            held = sum(end <= size for _, end in pairwise(starts))
            assert len(planted.records(folder)) == held
            assert read_manifest(folder).dead_letters == 3 - held
        shutil.rmtree(folder)


def test_memory_is_that_of_a_record(tmp_path: Path) -> None:
    """A shard of 300 records is checked in little more memory than one of 3."""
    import tracemalloc

    peaks = []
    for number, sizes in enumerate(([20] * 5, [20] * 302)):
        made = planted.folders.episodes("pong", sizes)
        folder = tmp_path / str(number) / "set"
        splits = {"train": [made[:-2], made[-2:-1]], "validation": [made[-1:]]}
        planted.folders.write_dataset(folder, splits, name="set", encoding="raw")
        (folder / "dead_letters.jsonl").write_bytes(b"")
        planted.write_manifest(folder, read_manifest(folder))
        tracemalloc.start()
        assert verify_dataset(folder).whole
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    size = (tmp_path / "1" / "set" / SHARD).stat().st_size
    assert size > 20 * (peaks[1] - peaks[0])
    assert np.all(np.array(peaks) > 0)
