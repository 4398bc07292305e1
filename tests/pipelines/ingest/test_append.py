"""Growing a dataset: the bytes of one ingest of all inputs, the parent readable as before, killed or refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from gato_data.growing.parents import folder_of_content, parent_folder
from gato_data.mixing.make import plan_mixture
from gato_data.reading.reader import open_mixture
from gato_data.reading.settings import ReadSettings
from gato_data.verify.dataset import verify_dataset
from gato_pipelines.ingest.run import run
from gato_pipelines.ingest.settings import IngestSettings
from gato_schemas.dataset import read_manifest
from gato_schemas.mixture import encode_mixture
from tests.rlds_inputs import digests, ingest, moving, shards, write

EPISODES = [moving(number, length=8) for number in range(14)]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Three parts of nine episodes."""
    return write(tmp_path / "old" / "rlds", EPISODES[:9], shards=3)


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """Two parts of five further episodes."""
    return write(tmp_path / "new" / "more", EPISODES[9:], shards=2)


@pytest.fixture
def grown(old: Path, tmp_path: Path) -> Path:
    """The dataset of the old input, which is to grow."""
    out = tmp_path / "arm"
    ingest(old, out, source="rlds", holdout=0.3)
    return out


def append(source: Path, out: Path, settings: Any = None, **asked: Any) -> list[str]:
    """Append; returns what is reported."""
    lines: list[str] = []
    given = IngestSettings(**{"workers": 1, "holdout": 0.3, "append": True, **asked})
    run("rlds", settings or {}, source, out, given, report=lines.append)
    return lines


def whole(out: Path, old: Path, new: Path, **settings: Any) -> Path:
    """One ingest of both inputs, by the same name."""
    folder = out.parent / "at-once" / out.name
    run("rlds", settings, [old, new], folder, IngestSettings(workers=1, holdout=0.3))
    return folder


def without_origin(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "dataset.json").read_text())
    return {name: value for name, value in found.items() if name not in ("origin", "checksum")}


def files(out: Path) -> dict[str, str]:
    """The hashes of all files but the manifest and its copy, which name the parent, and the parents."""
    found = digests(out)
    return {n: d for n, d in found.items() if not n.startswith(("parents", "dataset.json", "dataset_copy.json"))}


def test_two_steps_give_the_bytes_of_one_ingest_of_both(grown: Path, old: Path, new: Path) -> None:
    before = digests(grown)
    parent = read_manifest(grown)
    append(new, grown)
    wanted = whole(grown, old, new)
    assert files(grown) == files(wanted)
    assert without_origin(grown) == without_origin(wanted)
    assert read_manifest(grown).content_id == read_manifest(wanted).content_id != parent.content_id
    kept = parent_folder(grown, parent.content_id)
    assert digests(kept) == before
    for folder in (grown, kept):
        verdict = verify_dataset(folder)
        assert verdict.whole, verdict.findings.kept
    assert not (grown / ".ingest").exists()


def test_it_grows_again_and_again(grown: Path, old: Path, new: Path, tmp_path: Path) -> None:
    contents = [read_manifest(grown).content_id]
    append(new, grown)
    contents.append(read_manifest(grown).content_id)
    last = write(tmp_path / "last" / "more", [moving(number, length=6) for number in range(20, 24)])
    append(last, grown)
    folder = tmp_path / "at-once" / "arm"
    run("rlds", {}, [old, new, last], folder, IngestSettings(workers=1, holdout=0.3))
    assert files(grown) == files(folder)
    assert read_manifest(grown).source.inputs == read_manifest(folder).source.inputs
    for content in contents:
        assert read_manifest(folder_of_content(grown, content)).content_id == content


def test_a_mixture_of_the_parent_reads_what_it_read(grown: Path, new: Path, tmp_path: Path) -> None:
    path = tmp_path / "mixture.json"
    path.write_bytes(encode_mixture(plan_mixture([grown], "uniform", folder=tmp_path)))

    def batch() -> list[bytes]:
        with open_mixture(path, settings=ReadSettings(context_length=48)) as reader:
            found = reader.batch(range(64))
            return [found.tokens.tobytes(), found.loss_mask.tobytes()]

    before = batch()
    append(new, grown)
    assert batch() == before


def test_the_shards_there_were_are_the_same_files(grown: Path, new: Path) -> None:
    inodes = [path.stat().st_ino for path in shards(grown)]
    append(new, grown)
    assert set(inodes) < {path.stat().st_ino for path in shards(grown)}
