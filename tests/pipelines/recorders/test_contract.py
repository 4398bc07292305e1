"""What every recorder keeps to: the RLDS contract, the same bytes again, and a dataset of tokens in the end."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from gato_cli.main import cli
from gato_data.errors import OutputError, SettingError
from gato_pipelines.recorders.recording import Recording
from gato_schemas.dataset import TaskInfo
from tests.pipelines.live import compare
from tests.pipelines.recorders.recorded import CASES, Case, episodes_of
from tests.rlds_inputs import digests, ingest


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture(scope="module")
def recording(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return case.record(2, tmp_path_factory.mktemp(case.recorder) / "rlds", seed=3, shards=2)


def test_episodes_keep_the_rlds_contract(case: Case, recording: Recording) -> None:
    episodes = episodes_of(recording)
    assert len(episodes) == len(recording.returns) == 2
    assert recording.num_timesteps == sum(episode.num_timesteps for episode in episodes)
    assert recording.num_terminal == sum(bool(episode.tensors["steps/is_terminal"][-1]) for episode in episodes)
    for number, episode in enumerate(episodes):
        steps = {path.removeprefix("steps/"): values for path, values in episode.tensors.items()}
        length = episode.num_timesteps
        assert length > 1
        assert np.flatnonzero(steps["is_first"]).tolist() == [0]
        assert np.flatnonzero(steps["is_last"]).tolist() == [length - 1]
        terminal = bool(steps["is_terminal"][-1])
        assert not steps["is_terminal"][:-1].any()
        actions = length - 1 if case.final else length
        assert not steps["action"][actions:].any()
        assert not steps["reward"][actions:].any()
        assert steps["discount"].tolist() == [1] * (actions - 1) + [0 if terminal else 1] + [0] * (length - actions)
        assert float(episode.episode["episode_return"]) == recording.returns[number] == steps["reward"].sum()
        assert int(episode.episode["episode_id"]) == number


def test_it_says_who_played_and_in_what(case: Case, recording: Recording) -> None:
    folder = recording.directory
    metadata = json.loads((folder.path / "metadata.json").read_bytes())
    assert metadata["policy"] == recording.policy
    assert (metadata["seed"], metadata["module"]) == (3, f"gato_pipelines.recorders.{case.recorder}")
    versions = [value for key, value in metadata.items() if key.startswith(case.package.removesuffix("_suite"))]
    assert versions or case.package == "procgen", metadata
    assert all(isinstance(version, str) and version[0].isdigit() for version in versions)
    assert "Recorded with" in folder.licence
    assert "polic" in folder.description or recording.policy in folder.description


def test_successes_are_those_of_the_episodes(recording: Recording) -> None:
    flags = [episode.episode.get("success") for episode in episodes_of(recording)]
    if recording.num_successes is None:
        assert flags == [None, None]
    else:
        assert sum(map(bool, flags)) == recording.num_successes


def test_same_seed_same_bytes(case: Case, recording: Recording, tmp_path: Path) -> None:
    again = case.record(2, tmp_path / "again", seed=3, shards=2)
    assert digests(again.directory.path) == digests(recording.directory.path)
    other = case.record(2, tmp_path / "other", seed=4, shards=2)
    assert digests(other.directory.path) != digests(recording.directory.path)


def test_an_episode_does_not_depend_on_how_many_follow(case: Case, recording: Recording, tmp_path: Path) -> None:
    one = case.record(1, tmp_path / "one", seed=3).directory.split("train").shards[0]
    assert one.path.read_bytes() == recording.directory.split("train").shards[0].path.read_bytes()


def test_two_episodes_differ(recording: Recording) -> None:
    first, second = recording.directory.split("train").shards
    assert first.path.read_bytes() != second.path.read_bytes()


def test_tfds_reads_the_same_episodes(recording: Recording) -> None:
    import tensorflow_datasets as tfds

    config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    theirs = tfds.builder_from_directory(recording.directory.path).as_dataset("train", read_config=config)
    for episode, mine in zip(theirs, episodes_of(recording), strict=True):
        steps = list(tfds.as_numpy(episode["steps"]))
        np.testing.assert_array_equal([step["action"] for step in steps], mine.tensors["steps/action"])
        np.testing.assert_array_equal([step["reward"] for step in steps], mine.tensors["steps/reward"])


def test_it_becomes_tokens_that_can_be_looked_at(case: Case, recording: Recording, tmp_path: Path) -> None:
    summary = ingest(recording.directory.path, tmp_path / "out", source=case.source)
    assert compare(tmp_path / "out", [recording.directory.path]) == summary.manifest.totals.timesteps
    totals = summary.manifest.splits["train"].totals
    timesteps = recording.num_timesteps - 2 * case.final
    assert (totals.episodes, totals.timesteps) == (2, timesteps)
    assert totals.tokens - totals.tokens_by_modality[0] == case.tokens * timesteps
    (task,) = summary.manifest.tasks.values()
    check_of_play(case, recording, task)
    assert task.final_step is not None
    assert task.final_step.policy == ("drop" if case.final else "keep")
    shown = CliRunner().invoke(cli, ["inspect", "dataset", str(tmp_path / "out")])
    assert shown.exit_code == 0, shown.output
    assert f"timesteps    {timesteps}\n" in shown.stdout


def check_of_play(case: Case, recording: Recording, task: TaskInfo) -> None:
    """What of a recording a run needs to play in the same simulator."""
    environment, scores = task.environment, task.scores
    assert environment is not None
    assert (environment.family, environment.policy) == (case.recorder.replace("_", "-"), recording.policy)
    assert environment.options["seed"] == 3
    assert set(environment.versions) >= ({case.package} - {"procgen"})
    assert str(case.name).lower() in (environment.id.lower(), str(environment.options.get("boxes")))
    assert scores is not None
    assert scores.episodes == 2
    assert scores.mean_return == pytest.approx(np.mean(recording.returns))
    assert scores.expert_return == max(recording.returns)
    assert scores.success_rate == (None if recording.num_successes is None else recording.num_successes / 2)
    discrete = {field.name for field in task.actions if field.modality == "discrete"}
    assert task.action_values.keys() == discrete
    assert task.images.keys() == {field.name for field in task.observations if field.modality == "image"}


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_seeds_out_of_range(case: Case, seed: int, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=f"seed {seed} is not between 0 and 2147483647"):
        case.record(1, tmp_path / "out", seed=seed)


def test_a_folder_of_something_else_is_left_alone(case: Case, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match="nothing of this recorder's"):
        case.record(1, tmp_path, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
