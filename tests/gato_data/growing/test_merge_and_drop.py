"""Merging and dropping: the bytes of one ingest, what is counted, and what is refused."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gato_data.errors import FormatError, GatoError, InputError, MixtureError, OutputError
from gato_data.growing.drop import drop
from gato_data.growing.merge import merge
from gato_data.verify.dataset import verify_dataset
from gato_schemas.dataset import read_manifest
from gato_schemas.index import index_path, read_index
from tests.rlds_inputs import digests, episode, flip, ingest, moving, shards, write

BAD = episode(np.full((5, 2), np.nan, np.float32))
EPISODES = [moving(number, length=4 + number) for number in range(12)]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Seven and five episodes of one task; a bad one among the first."""
    root = tmp_path_factory.mktemp("inputs")
    one = write(root / "one", [*EPISODES[:3], BAD, *EPISODES[3:7]], shards=2)
    return one, write(root / "two", EPISODES[7:], shards=2)


@pytest.fixture(scope="module")
def pair(inputs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A dataset of each input."""
    root = tmp_path_factory.mktemp("pair")
    for number, folder in enumerate(inputs):
        ingest(folder, root / f"{number}", source="rlds", max_bad=1)
    return root / "0", root / "1"


def whole(folder: Path) -> bool:
    verdict = verify_dataset(folder)
    assert verdict.whole, verdict.findings.kept
    return verdict.whole


def returns(folder: Path) -> list[float]:
    indexes = [read_index(index_path(path)) for path in shards(folder)]
    return [value for index in indexes for value in index.episode_return[index.chunk == 0].tolist()]


def test_a_merge_has_the_shards_of_one_ingest(
    inputs: tuple[Path, Path], pair: tuple[Path, Path], tmp_path: Path
) -> None:
    merged = merge(pair, tmp_path / "merged" / "arm")
    from gato_pipelines.ingest.run import run
    from gato_pipelines.ingest.settings import IngestSettings

    at_once = tmp_path / "at-once" / "arm"
    run("rlds", {}, list(inputs), at_once, IngestSettings(workers=1, max_bad=1))
    wanted = read_manifest(at_once)
    assert merged.manifest.content_id == wanted.content_id
    assert merged.manifest.statistics == wanted.statistics
    assert merged.manifest.account == wanted.account
    assert (merged.manifest.dead_letters, merged.copies) == (1, 0)
    assert {name: task.counts for name, task in merged.manifest.tasks.items()} == {
        name: task.counts for name, task in wanted.tasks.items()
    }
    assert merged.manifest.tasks["arm"].scores == wanted.tasks["arm"].scores
    assert whole(tmp_path / "merged" / "arm")


def test_datasets_of_different_tasks_and_sources(library: Path, tmp_path: Path) -> None:
    with pytest.raises(MixtureError, match="is of family"):
        merge([library / "pong", library / "walker"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    made = merge([library / "pong", library / "walker"], tmp_path / "out", family="atari").manifest
    parents = [read_manifest(library / name) for name in ("pong", "walker")]
    assert made.totals.tokens == sum(parent.totals.tokens for parent in parents)
    assert list(made.tasks) == sorted({*parents[0].tasks, *parents[1].tasks})
    assert made.origin is not None
    assert [parent.content_id for parent in made.origin.parents] == [parent.content_id for parent in parents]
    assert read_manifest(tmp_path / "out") == made


def test_copies_are_counted_and_left_out(inputs: tuple[Path, Path], pair: tuple[Path, Path], tmp_path: Path) -> None:
    again = write(tmp_path / "again", [EPISODES[1], moving(50), EPISODES[8]])
    ingest(again, tmp_path / "third", source="rlds")
    kept = merge([*pair, tmp_path / "third"], tmp_path / "kept")
    assert (kept.copies, kept.leaks, kept.manifest.totals.episodes) == (2, 0, 15)
    less = merge([*pair, tmp_path / "third"], tmp_path / "less", copies="drop")
    assert (less.copies, less.manifest.totals.episodes) == (2, 13)
    assert less.manifest.origin is not None
    assert less.manifest.origin.left_out == 2
    assert whole(tmp_path / "kept")
    assert whole(tmp_path / "less")


def test_the_same_datasets_give_the_same_bytes(pair: tuple[Path, Path], tmp_path: Path) -> None:
    merge(pair, tmp_path / "a" / "arm")
    merge(pair, tmp_path / "b" / "arm")
    assert digests(tmp_path / "a" / "arm") == digests(tmp_path / "b" / "arm")


@pytest.mark.parametrize(
    ("settings", "asked", "message"),
    [
        ({"action_range": (-2.0, 2.0)}, {}, r"action 'action' of task 'arm' has the range none in .* and -2:2 in "),
        ({}, {"patch_encoding": "raw"}, r"have different settings \(patch_encoding.name is 'zlib' and 'raw'\)"),
        ({}, {"discrete_ids": "separate"}, "ids of discrete values"),
        ({"final_step": "drop"}, {}, "the final timesteps of task 'arm' have 'keep' in "),
        ({"family": "sokoban"}, {}, "--family"),
    ],
)
def test_what_does_not_go_together_is_refused(
    inputs: tuple[Path, Path],
    pair: tuple[Path, Path],
    tmp_path: Path,
    settings: object,
    asked: dict[str, object],
    message: str,
) -> None:
    ingest(inputs[1], tmp_path / "other", source="rlds", settings=settings, **asked)
    with pytest.raises(MixtureError, match=message):
        merge([pair[0], tmp_path / "other"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_wrong_folders_are_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="wants two datasets"):
        merge(pair[:1], tmp_path / "out")
    with pytest.raises(InputError, match="all of them: give every dataset once"):
        merge([pair[0], pair[0]], tmp_path / "out")
    with pytest.raises(OutputError, match="which is only read"):
        merge(pair, pair[0] / "inside")
    with pytest.raises(OutputError, match="holds a dataset"):
        drop(pair[0], "return<5", pair[1])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("dear diary")
    with pytest.raises(OutputError, match=r"is not empty \(it holds 'notes.txt'\)"):
        merge(pair, tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "dear diary"
    with pytest.raises(FormatError, match="does not exist"):
        drop(tmp_path / "nothing", "return<5", tmp_path / "out")


def test_damage_is_found_while_it_is_copied(pair: tuple[Path, Path], tmp_path: Path) -> None:
    import shutil

    shutil.copytree(pair[0], tmp_path / "bad")
    path = shards(tmp_path / "bad")[0]
    flip(path, path.stat().st_size - 100)
    with pytest.raises(FormatError, match="is not the shard that its manifest was written for"):
        merge([tmp_path / "bad", pair[1]], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_dropping_leaves_the_others_as_they_are(pair: tuple[Path, Path], tmp_path: Path) -> None:
    before = digests(pair[0])
    made = drop(pair[0], "return<6", tmp_path / "good")
    assert made.episodes == 2
    assert returns(tmp_path / "good") == [value for value in returns(pair[0]) if not value < 6]
    parent = read_manifest(pair[0])
    assert made.manifest.totals.episodes == parent.totals.episodes - 2
    assert made.manifest.dead_letters == parent.dead_letters == 1
    assert made.manifest.origin is not None
    assert (made.manifest.origin.where, made.manifest.origin.left_out) == ("return<6", 2)
    texts = {note.text: note.count for note in made.manifest.account}
    assert texts["episodes were dropped: return<6"] == 2
    assert whole(tmp_path / "good")
    assert digests(pair[0]) == before


def test_a_task_goes_with_its_shards_and_its_place_in_the_tables(library: Path, tmp_path: Path) -> None:
    merge([library / "pong", library / "walker"], tmp_path / "both", family="atari")
    gone = next(iter(read_manifest(library / "pong").tasks))
    made = drop(tmp_path / "both", f"task={gone}", tmp_path / "rest")
    assert made.tasks == (gone,)
    assert gone not in made.manifest.tasks
    left = read_manifest(tmp_path / "both").tasks
    assert {n: t.counts for n, t in made.manifest.tasks.items()} == {n: t.counts for n, t in left.items() if n != gone}


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("", "no condition was given"),
        ("return>1000", "none of the 7 episodes of .* meets 'return>1000'"),
        ("return>0", "all of the 7 episodes of .* meet 'return>0'"),
        ("task=leg", "has no task 'leg'"),
        ("colour=red", "no view by 'colour'"),
        ("not-in=pong", "merge --copies drop"),
    ],
)
def test_conditions_that_mean_nothing_are_refused(
    pair: tuple[Path, Path], tmp_path: Path, where: str, message: str
) -> None:
    with pytest.raises(GatoError, match=message):
        drop(pair[0], where, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["merge", "drop"])
def test_killed_half_way_it_starts_anew(pair: tuple[Path, Path], tmp_path: Path, command: str) -> None:
    before, out = [digests(folder) for folder in pair], tmp_path / "out"
    code = (
        "import os, signal\nfrom gato_cli.main import main\nfrom gato_data.growing import assemble as a\n"
        "a.write_manifest = lambda *x: os.kill(os.getpid(), signal.SIGKILL)\nmain()"
    )
    given = {"merge": ["merge", *map(str, pair)], "drop": ["drop", str(pair[0]), "--where", "return<6"]}[command]
    killed = subprocess.run([sys.executable, "-c", code, *given, "--out", str(out)], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert shards(out)
    with pytest.raises(FormatError, match=r"has no dataset\.json"):
        read_manifest(out)
    made = merge(pair, out) if command == "merge" else drop(pair[0], "return<6", out)
    assert read_manifest(out) == made.manifest
    assert whole(out)
    assert not (out / ".ingest").exists()
    assert [digests(folder) for folder in pair] == before
