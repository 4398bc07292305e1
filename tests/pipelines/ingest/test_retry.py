"""Dead letters tried again: the bytes of an ingest that never met the fault, whatever happens in between."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gato_data.errors import OutputError, SettingError
from gato_data.verify.dataset import verify_dataset
from gato_data.verify.repair import repair_dataset
from gato_pipelines.ingest import commit as committing
from gato_pipelines.ingest import dataset_writer, job_file
from gato_pipelines.ingest import retry as retrying
from gato_pipelines.ingest import run as ingesting
from gato_pipelines.ingest.settings import IngestSettings
from tests.rlds_inputs import digests, episode, flip, ingest, moving, shards, truncate, write

BAD = episode(np.full((5, 2), np.nan, np.float32))
EPISODES = [moving(number, length=8) for number in range(8)]


def again(source: Path, out: Path, **asked: Any) -> list[str]:
    """The same ingest with --retry-dead-letters; returns what it reports."""
    lines: list[str] = []
    settings = IngestSettings(**{"workers": 1, "holdout": 0.3, "retry_dead_letters": True, **asked})
    ingesting.run("rlds", {}, source, out, settings, report=lines.append)
    return lines


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """Four parts of two episodes."""
    return write(tmp_path / "good" / "rlds", EPISODES, shards=4)


@pytest.fixture
def wanted(good: Path, tmp_path: Path) -> dict[str, str]:
    ingest(good, tmp_path / "undisturbed" / "out", source="rlds", holdout=0.3)
    return digests(tmp_path / "undisturbed" / "out")


def damage_one_bit(path: Path) -> None:
    flip(path, path.stat().st_size - 40)


def cut_off(path: Path) -> None:
    truncate(path, path.stat().st_size - 40)


@pytest.fixture(params=[damage_one_bit, cut_off])
def damaged(request: pytest.FixtureRequest, good: Path, tmp_path: Path) -> Path:
    """The same input with a fault in its second and its last file."""
    source = tmp_path / "rlds"
    shutil.copytree(good, source)
    damage: Callable[[Path], None] = request.param
    for number in (1, 3):
        damage(shards(source)[number])
    return source


@pytest.fixture
def out(damaged: Path, tmp_path: Path) -> Path:
    """A complete dataset without the damaged episodes."""
    made = ingest(damaged, tmp_path / "out", source="rlds", holdout=0.3, max_bad=2)
    assert made.manifest.dead_letters == 2
    return tmp_path / "out"


def mend(source: Path, good: Path, *numbers: int) -> None:
    for number in numbers:
        shutil.copy(shards(good)[number], shards(source)[number])


def inodes(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in shards(out)}


def test_the_result_is_that_of_an_ingest_without_the_fault(
    damaged: Path, out: Path, good: Path, wanted: dict[str, str]
) -> None:
    before = inodes(out)
    mend(damaged, good, 1, 3)
    assert again(damaged, out) == [
        "2 episodes left out so far: 2 of 4 parts are made anew",
        "2 of 2 could be used now",
    ]
    assert digests(out) == wanted
    kept = {name for name, inode in inodes(out).items() if before[name] == inode}
    assert kept == {name for name in before if "00000-of" in name or "00002-of" in name}
    assert verify_dataset(out).whole


def test_half_of_them_mended(damaged: Path, out: Path, good: Path, wanted: dict[str, str]) -> None:
    before = digests(out)
    mend(damaged, good, 1)
    with pytest.raises(OutputError) as raised:
        again(damaged, out)
    assert str(raised.value) == (
        f"1 of 8 episodes still could not be used, --max-bad allows 0: {out} is left as it was; mend the rest of the "
        "input, or give --max-bad 1"
    )
    assert {name: digest for name, digest in digests(out).items() if not name.startswith(".ingest")} == before
    assert again(damaged, out, max_bad=1)[-1] == "1 of 2 could be used now"
    assert len((out / "dead_letters.jsonl").read_text().splitlines()) == 1
    mend(damaged, good, 3)
    again(damaged, out)
    assert digests(out) == wanted


def test_nothing_to_retry(good: Path, tmp_path: Path, wanted: dict[str, str]) -> None:
    out = tmp_path / "undisturbed" / "out"
    assert again(good, out) == [f"{out} has no dead letters: there is nothing to try again"]
    assert digests(out) == wanted


@pytest.mark.parametrize("suffix", ["", ".index"])
def test_a_lost_shard_is_made_anew_without_any_dead_letter(
    good: Path, tmp_path: Path, wanted: dict[str, str], suffix: str
) -> None:
    out = tmp_path / "undisturbed" / "out"
    (out / f"{shards(out)[1].name}{suffix}").unlink()
    again(good, out)
    assert digests(out) == wanted


def test_no_dataset(good: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="holds no dataset whose dead letters could be tried again"):
        again(good, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_other_settings_and_other_input(damaged: Path, out: Path, good: Path, tmp_path: Path) -> None:
    before = digests(out)
    with pytest.raises(OutputError, match=r"other settings \(holdout was 0.3, now 0.5\): choose another --out"):
        again(damaged, out, holdout=0.5)
    mend(damaged, good, 1, 3)
    write(tmp_path / "longer", [moving(number, length=9) for number in range(8)], shards=4)
    shutil.copy(shards(tmp_path / "longer")[0], shards(damaged)[0])
    with pytest.raises(OutputError, match=r"00000-of-00004 has no dead letters and is not what .* was made from"):
        again(damaged, out)
    assert digests(out) == before


def test_not_together_with_overwrite() -> None:
    with pytest.raises(SettingError, match="give one of them"):
        IngestSettings(overwrite=True, retry_dead_letters=True)


def test_an_ingest_with_too_many_dead_letters_goes_on(
    damaged: Path, good: Path, tmp_path: Path, wanted: dict[str, str]
) -> None:
    with pytest.raises(OutputError, match="--retry-dead-letters"):
        ingest(damaged, tmp_path / "out", source="rlds", holdout=0.3)
    mend(damaged, good, 1, 3)
    again(damaged, tmp_path / "out")
    assert digests(tmp_path / "out") == wanted


def test_a_repaired_dataset_is_filled_up_again(good: Path, tmp_path: Path, wanted: dict[str, str]) -> None:
    out = tmp_path / "undisturbed" / "out"
    flip(shards(out)[2], 300)
    repair_dataset(out)
    again(good, out)
    shutil.rmtree(out / "quarantine")
    assert digests(out) == wanted


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it, and nothing is cleaned up after it."""


@pytest.mark.parametrize("damaged", [cut_off], indirect=True)
@pytest.mark.parametrize("through", [{}, {"retry_dead_letters": False}], ids=["retry", "plain"])
def test_killed_at_every_step_of_the_move(
    damaged: Path, out: Path, good: Path, wanted: dict[str, str], tmp_path: Path, through: dict[str, Any]
) -> None:
    """After any number of renames and removals the same command, or the one without the option, ends the same."""
    mend(damaged, good, 1, 3)
    done, complete = 0, False
    while not complete:
        copy = tmp_path / f"killed-{done}" / "out"
        shutil.copytree(out, copy)
        complete = _killed_after(done, damaged, copy)
        again(damaged, copy, **({} if (copy / "dataset.json").exists() else through))
        assert digests(copy) == wanted, done
        done += 1
    assert done == 1 + 4 + 8 + 1  # the manifest, four indexes, four shards with their new indexes


def _killed_after(steps: int, source: Path, out: Path) -> bool:
    """Run a retry until so many files were removed or renamed in the dataset's folder; whether it came to its end."""
    left = [steps]

    def counting(original: Callable[..., Any]) -> Callable[..., Any]:
        def step(path: Path, *arguments: Any, **options: Any) -> Any:
            if not left[0]:
                raise Killed
            left[0] -= 1
            return original(path, *arguments, **options)

        return step

    move = retrying.move_in

    def moving_in(*arguments: Any) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "unlink", counting(Path.unlink))
            patch.setattr(Path, "replace", counting(Path.replace))
            move(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset_writer, "move_in", moving_in)
        try:
            again(source, out)
        except Killed:
            return False
    return True


def test_interrupted_before_the_move_it_stays_complete(
    damaged: Path, out: Path, good: Path, wanted: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digests(out)
    mend(damaged, good, 1, 3)

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(dataset_writer, "check_better", killed)
        with pytest.raises(Killed):
            again(damaged, out)
    assert {name: digest for name, digest in digests(out).items() if not name.startswith(".ingest")} == before
    written: list[str] = []
    write_part = job_file.write_part
    with monkeypatch.context() as patch:
        patch.setattr(job_file, "write_part", lambda job, number: (written.append(number), write_part(job, number)))
        again(damaged, out)
    assert not written  # what the first one wrote is used
    assert digests(out) == wanted


def test_the_manifest_comes_last(damaged: Path, out: Path, good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mend(damaged, good, 1, 3)
    written: list[str] = []
    write = committing.write_durably
    monkeypatch.setattr(committing, "write_durably", lambda path, *how: (written.append(path.name), write(path, *how)))
    again(damaged, out)
    others = ["dead_letters.jsonl", "croissant.json", "README.md", "features.json", "dataset_info.json"]
    assert written == [*others, "dataset_copy.json", "dataset.json"]
    assert json.loads((out / "dataset.json").read_text())["dead_letters"] == 0
