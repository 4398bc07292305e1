"""Growing a dataset: the bytes of one ingest of all inputs, the parent readable as before, killed or refused."""

import contextlib
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gato_data
from gato_data.errors import GatoError, MixtureError, OutputError, SettingError
from gato_data.growing.merge import merge
from gato_data.growing.parents import folder_of_content, parent_folder
from gato_data.mixing.make import plan_mixture
from gato_data.reading.reader import open_mixture
from gato_data.reading.settings import ReadSettings
from gato_data.verify.dataset import verify_dataset
from gato_pipelines.ingest import append as appending
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
    for task in found["tasks"].values():
        assert task["final_step"].pop("reason")  # tells the episodes of both inputs apart
    return {name: value for name, value in found.items() if name not in ("origin", "checksum")}


def files(out: Path) -> dict[str, str]:
    """The hashes of all files but the parents, the manifest, which names them, and what is made of all of it."""
    found = digests(out)
    others = ("parents", "dataset.json", "dataset_copy.json", "README.md", "croissant.json")
    return {n: d for n, d in found.items() if not n.startswith(others)}


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


def test_what_stands_there_already_is_not_appended_again(grown: Path, new: Path) -> None:
    append(new, grown)
    before = digests(grown)
    assert append(new, grown)[-1] == f"{grown} has all of these episodes already: nothing was appended"
    assert digests(grown) == before


def test_copies_are_told_and_counted(grown: Path, tmp_path: Path) -> None:
    again = write(tmp_path / "again", [EPISODES[0], EPISODES[1], moving(30, length=8)])
    assert append(again, grown)[-1] == f"2 of 3 new episodes stand in {grown} already, and now twice"
    assert read_manifest(grown).totals.episodes == 12


def without_work(found: dict[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in found.items() if not name.startswith(".ingest")}


def test_a_range_that_covers_the_new_values_is_kept_and_another_one_refused(tmp_path: Path, old: Path) -> None:
    out = tmp_path / "arm"
    ingest(old, out, source="rlds", settings={"action_range": "minmax"}, holdout=0.3)
    within = write(tmp_path / "within", [moving(number, length=4) for number in (2, 5)])
    append(within, out, {"action_range": "minmax"})
    assert files(out) == files(whole(out, old, within, action_range="minmax"))
    before = digests(out)
    beyond = write(tmp_path / "beyond", [moving(99)])
    with pytest.raises(MixtureError, match=r"action 'action' of task 'arm' has the range .* so that equal ids mean"):
        append(beyond, out, {"action_range": "minmax"})
    assert without_work(digests(out)) == before


@pytest.mark.parametrize(
    ("settings", "asked", "message"),
    [
        ({}, {"holdout": 0.2}, r"was made with other settings \(holdout was 0.3, now 0.2\)"),
        ({"action_range": "minmax"}, {}, "has the range none in "),
        ({}, {"patch_encoding": "raw"}, r"other settings \(patch_encoding"),
        ({}, {"discrete_ids": "separate"}, r"other settings \(vocabulary"),
        ({}, {"name": "leg"}, "is called arm: append without --name"),
    ],
)
def test_other_settings_are_refused_by_name(
    grown: Path, new: Path, settings: dict[str, Any], asked: dict[str, Any], message: str
) -> None:
    before = digests(grown)
    with pytest.raises(GatoError, match=message):
        append(new, grown, settings, **asked)
    assert without_work(digests(grown)) == before


def test_what_is_no_dataset_of_ingests_is_refused(grown: Path, new: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="holds no dataset to append to"):
        append(new, tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    ingest(new, tmp_path / "more", source="rlds")
    merge([grown, tmp_path / "more"], tmp_path / "both")
    with pytest.raises(OutputError, match="was made by gato-data merge, not of inputs"):
        append(new, tmp_path / "both")
    with pytest.raises(SettingError, match="append leaves what is there as it is"):
        IngestSettings(append=True, overwrite=True)


class Killed(BaseException):
    """What nothing catches, as a kill."""


@pytest.mark.parametrize("links", range(0, 54, 6))
def test_wherever_it_is_killed_the_dataset_is_whole_and_the_same_command_ends_it(
    grown: Path, new: Path, monkeypatch: pytest.MonkeyPatch, links: int
) -> None:
    before, link, done = read_manifest(grown), appending.link, 0

    def dies(source: Path, target: Path) -> None:
        nonlocal done
        if (done := done + 1) > links:
            raise Killed
        link(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(appending, "link", dies)
        with contextlib.suppress(Killed):
            append(new, grown)
    manifest = read_manifest(grown)
    assert read_manifest(folder_of_content(grown, before.content_id)) == before
    if manifest == before:
        verdict = verify_dataset(grown)
        assert verdict.whole, verdict.findings.kept
    assert sum(len(gato_data.open(grown, split=split).episodes) for split in manifest.splits) == (
        manifest.totals.episodes
    )
    append(new, grown)
    assert read_manifest(grown).totals.episodes == 14
    verdict = verify_dataset(grown)
    assert verdict.whole, verdict.findings.kept
    assert len(verdict.findings.notes) == 1
    assert not (grown / ".ingest").exists()


def test_killed_while_it_writes_it_goes_on(grown: Path, old: Path, new: Path) -> None:
    before = digests(grown)
    code = (
        "import os, signal\nfrom gato_cli.main import main\nfrom gato_pipelines.ingest import dataset_writer as d\n"
        "d.commit_grown = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\nmain()"
    )
    arguments = ["ingest", "rlds", str(new), "--out", str(grown), "--holdout", "0.3", "--append", "--workers", "1"]
    killed = subprocess.run([sys.executable, "-c", code, *arguments], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert without_work(digests(grown)) == before
    assert verify_dataset(grown).whole
    assert "2 parts behind 3, 2 finished already" in append(new, grown)
    assert files(grown) == files(whole(grown, old, new))
