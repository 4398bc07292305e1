"""A dataset is known by its content: another shard in the place of one is noticed, whatever else fits."""

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from gato_data.errors import FormatError, GatoError, MixtureError
from gato_data.mixing.make import add_stage, plan_mixture
from gato_data.mixing.plan import Run, describe
from gato_data.reading.reader import ReadSettings, open_mixture
from gato_data.report.dataset import summarize_dataset
from gato_data.report.shard import summarize_shard
from gato_data.verify.dataset import verify_dataset
from gato_data.verify.findings import Findings
from gato_data.verify.manifest import find_manifest
from gato_data.verify.repair import repair_dataset
from gato_schemas.dataset import encode_manifest, read_manifest
from gato_schemas.mixture import encode_mixture, read_mixture
from tests.gato_data.reading.folders import episodes, write_dataset
from tests.gato_data.verify import planted
from tests.gato_data.verify.planted import INDEX, SHARD, write_manifest
from tests.rlds_inputs import digests

RUN = Run(steps=10, batch_size=4, settings=ReadSettings(context_length=32))
MANIFESTS = ("dataset.json", "dataset_copy.json")


def made(folder: Path, seed: int, encoding: str = "zlib") -> Path:
    """A dataset of states; one of another seed has shards of the same names and sizes and another content."""
    walks = episodes("walker", (9, 4, 30, 6, 5), seed=seed)
    write_dataset(
        folder,
        {"train": [walks[:3], walks[3:4]], "validation": [walks[4:]]},
        name="set",
        encoding=encoding,  # type: ignore[arg-type]
    )
    (folder / "dead_letters.jsonl").write_bytes(b"")
    write_manifest(folder, read_manifest(folder))
    return folder


@pytest.fixture
def twins(tmp_path: Path) -> tuple[Path, Path]:
    """Two datasets whose files have the same names and sizes."""
    one, other = made(tmp_path / "set", 1), made(tmp_path / "other" / "set", 2)
    assert {path.name: path.stat().st_size for path in one.iterdir() if ".tfrecord" in path.name} == {
        path.name: path.stat().st_size for path in other.iterdir() if ".tfrecord" in path.name
    }
    return one, other


def mixed(folder: Path, path: Path) -> Path:
    path.write_bytes(encode_mixture(plan_mixture([folder], "uniform", folder=path.parent, run=RUN)))
    return path


def readers(folder: Path, mixture: Path) -> dict[str, Callable[[], object]]:
    """Everything that has to refuse a dataset that changed."""
    known = read_mixture(mixture)
    return {
        "mix": lambda: describe(plan_mixture([folder], "uniform", folder=mixture.parent), mixture, RUN),
        "a further stage": lambda: describe(add_stage(known, mixture, 8, [], "uniform", run=RUN), mixture, RUN),
        "inspect mixture": lambda: describe(known, mixture, RUN),
        "train": lambda: open_mixture(mixture, settings=RUN.settings),
        "inspect dataset": lambda: summarize_dataset(folder),
    }


def test_what_did_not_change_is_read(twins: tuple[Path, Path], tmp_path: Path) -> None:
    one, _ = twins
    for name, read in readers(one, mixed(one, tmp_path / "mixture.json")).items():
        assert read(), name
    assert verify_dataset(one).whole


@pytest.mark.parametrize("files", [(SHARD,), (SHARD, INDEX)])
def test_a_shard_of_a_twin_is_refused_by_name(twins: tuple[Path, Path], tmp_path: Path, files: tuple[str, ...]) -> None:
    one, other = twins
    mixture = mixed(one, tmp_path / "mixture.json")
    for name in files:
        shutil.copy(other / name, one / name)
    for read in readers(one, mixture).values():
        with pytest.raises(GatoError, match=SHARD):
            read()
    if len(files) == 1:
        with pytest.raises(FormatError, match="damaged, or not the one that its index was written for: record 0"):
            summarize_shard(one / SHARD)
    (finding, *others) = [found for found in verify_dataset(one).findings.kept if found.check == "digest"]
    assert (finding.file, others) == (SHARD, [])
    assert "another shard" in finding.message


def test_another_dataset_under_an_old_mixture(twins: tuple[Path, Path], tmp_path: Path) -> None:
    """Even one that is whole in itself."""
    one, other = twins
    mixture = mixed(one, tmp_path / "mixture.json")
    for name in (SHARD, INDEX):
        shutil.copy(other / name, one / name)
    write_manifest(one, read_manifest(one))
    assert verify_dataset(one).whole
    summarize_dataset(one)
    reading = readers(one, mixture)
    for name in ("a further stage", "inspect mixture", "train"):
        with pytest.raises(MixtureError, match=f"is not what it was when .*: {SHARD} has another content; make"):
            reading[name]()
    reading["mix"]()


def test_many_shards_that_changed_are_counted(twins: tuple[Path, Path], tmp_path: Path) -> None:
    one, other = twins
    mixture = mixed(one, tmp_path / "mixture.json")
    shutil.rmtree(one)
    shutil.copytree(other, one)
    message = f"{SHARD}, set-train.tfrecord-00001-of-00002, set-validation.tfrecord-00000-of-00001 have another content"
    with pytest.raises(MixtureError, match=message):
        open_mixture(mixture)


def test_a_repair_says_what_it_cannot_vouch_for(twins: tuple[Path, Path]) -> None:
    one, other = twins
    for name in (SHARD, INDEX):
        shutil.copy(other / name, one / name)
    before = read_manifest(one)
    mended = repair_dataset(one)
    assert mended.after.whole
    assert mended.doubts == (
        f"{SHARD} is taken as it is: whether its records are those that were ingested nobody can say",
    )
    after = read_manifest(one)
    assert after.content_id != before.content_id
    assert after.splits["train"].shards[0].digest == read_manifest(other).splits["train"].shards[0].digest
    assert (one / SHARD).read_bytes() == (other / SHARD).read_bytes()


def test_a_shard_against_index_and_manifest_waits_for_force(twins: tuple[Path, Path]) -> None:
    one, other = twins
    shutil.copy(other / SHARD, one / SHARD)
    before = digests(one)
    waiting = repair_dataset(one)
    assert (waiting.done, waiting.doubts, waiting.after.whole) == ((), (), False)
    assert digests(one) == before
    forced = repair_dataset(one, force=True)
    assert forced.after.whole
    assert len(forced.doubts) == 1
    assert (one / SHARD).read_bytes() == (other / SHARD).read_bytes()


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny dataset, on a disk that needs not be waited for."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    return planted.tiny(tmp_path / "set")


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :]


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_with_any_byte_damaged_is_still_known(tiny: Path, name: str) -> None:
    """What is found here is what a repair checks the records by, and what it writes."""
    path, manifest = tiny / name, read_manifest(tiny)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(flipped(whole, place))
        findings = Findings()
        assert find_manifest(tiny, findings) == manifest, place
        assert [(finding.file, finding.remedy) for finding in findings.kept] == [(name, "rebuild")], place


@pytest.mark.parametrize(
    ("name", "step"), [("dataset.json", 8), ("dataset_copy.json", 40), ("dead_letters.jsonl", 1), ("features.json", 40)]
)
def test_damage_beside_the_shards_costs_no_record(tiny: Path, name: str, step: int) -> None:
    path, before = tiny / name, digests(tiny)
    whole = path.read_bytes()
    for place in range(0, len(whole), step):
        path.write_bytes(flipped(whole, place))
        mended = repair_dataset(tiny)
        assert not mended.before.whole, place
        assert mended.after.whole, place
        assert mended.doubts == (), place
        assert {file: digest for file, digest in digests(tiny).items() if "/" not in file} == before, place
        shutil.rmtree(tiny / "quarantine")


def test_letters_that_no_index_knows_are_kept_as_far_as_they_can_be_read(tiny: Path) -> None:
    (index,) = tiny.glob("*.index")
    index.unlink()
    path = tiny / "dead_letters.jsonl"
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second.replace(b"{", b"[", 1))
    mended = repair_dataset(tiny)
    assert mended.after.whole
    assert path.read_bytes() == first
    assert mended.doubts[0].startswith("dead_letters.jsonl holds what the indexes and whole lines of it say")
    assert read_manifest(tiny).dead_letters == 1


def test_a_manifest_and_its_copy_that_differ_are_judged_by_the_indexes(tiny: Path) -> None:
    whole = (tiny / "dataset.json").read_bytes()
    other = msgspec.structs.replace(read_manifest(tiny), agents=["nobody"])
    for name in MANIFESTS:
        (tiny / name).write_bytes(encode_manifest(other))
        assert not verify_dataset(tiny).whole
        assert repair_dataset(tiny).after.whole
        assert {(tiny / name).read_bytes() for name in MANIFESTS} == {whole}


@pytest.mark.parametrize("fault", [SHARD, "dataset.json"])
def test_a_repair_that_is_killed_at_any_step_is_run_again(tmp_path: Path, fault: str) -> None:
    """With the same result: every file is renamed into its place, and the kill comes before one of them.

    Only an index may have lost what it said of its input, which the manifest and the list of dead letters keep.
    """
    source = planted.dataset(tmp_path / "source" / "set")
    planted.flip(fault, lambda _: 300)(source)
    whole = tmp_path / "whole"
    shutil.copytree(source, whole)
    assert repair_dataset(whole).after.whole
    step, killed = 0, True
    while killed:
        folder = tmp_path / str(step) / "set"
        shutil.copytree(source, folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "replace", killer(step))
            try:
                repair_dataset(folder)
                killed = False
            except KeyboardInterrupt:
                step += 1
        assert repair_dataset(folder).after.whole, step
        assert settled(folder) == settled(whole), step
    assert step > 1


def settled(folder: Path) -> dict[str, str]:
    """The files of a dataset but its indexes."""
    return {name: digest for name, digest in digests(folder).items() if "/" not in name and ".index" not in name}


def killer(steps: int) -> Callable[[Path, Path], Path]:
    """A `Path.replace` that is interrupted after so many calls."""
    replace, left = Path.replace, [steps]

    def replace_or_die(path: Path, target: Path) -> Path:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return replace(path, target)

    return replace_or_die
