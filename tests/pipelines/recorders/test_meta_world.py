import sys

import numpy as np
import pytest

from gato_data.errors import MissingPackageError, SettingError
from gato_pipelines.environments.meta_world import tasks
from gato_pipelines.rlds.features import parse_features
from tests.pipelines.recorders.recorded import MUJOCO, episodes_of, need, recorder

record = recorder("meta_world")

pytestmark = pytest.mark.usefixtures("metaworld")


@pytest.fixture(scope="module")
def metaworld() -> None:
    need("metaworld", MUJOCO)


def test_the_expert_reaches_the_goal(tmp_path):
    recording = record("reach", 2, tmp_path / "out", max_steps=60)
    assert (recording.num_successes, recording.num_terminal, recording.num_timesteps) == (2, 0, 122)
    first, second = episodes_of(recording)
    goals = [episode.tensors["steps/observation"][0, 36:] for episode in (first, second)]
    assert np.abs(goals[0] - goals[1]).max() > 0.01
    for episode in (first, second):
        assert np.abs(episode.tensors["steps/action"]).max() <= 1
        assert episode.tensors["steps/reward"][-2] > episode.tensors["steps/reward"][0]


def test_an_episode_that_is_cut_early_is_no_success(tmp_path):
    assert record("pick-place", 1, tmp_path / "out", max_steps=5).num_successes == 0


def test_features_as_they_are_stored(tmp_path):
    record("drawer-open", 1, tmp_path / "out", max_steps=2)
    leaves = {leaf.path: leaf for leaf in parse_features((tmp_path / "out" / "features.json").read_bytes()).leaves}
    assert (leaves["steps/observation"].dtype, leaves["steps/observation"].shape) == ("float64", (39,))
    assert leaves["steps/observation"].encoding == "zlib"
    assert leaves["steps/action"].shape == (4,)


def test_tasks_with_and_without_their_version(tmp_path):
    assert len(tasks()) == 50
    assert record("Pick_Place-v3", 1, tmp_path / "out", max_steps=2).directory.config == "pick-place"


@pytest.mark.parametrize(
    ("task", "settings", "message"),
    [
        ("reech", {}, r"no Meta-World task named 'reech': did you mean 'reach'\?"),
        ("reach", {"max_steps": 0}, "at most 0 actions: 1 to 500 were wanted"),
        ("reach", {"max_steps": 501}, "at most 501 actions: 1 to 500 were wanted"),
    ],
)
def test_settings_that_cannot_be_used(task, settings, message, tmp_path):
    with pytest.raises(SettingError, match=message):
        record(task, 1, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_metaworld_is_optional(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "metaworld.policies", None)
    with pytest.raises(MissingPackageError, match=r'needs metaworld: pip install "gato-data\[simulators-mujoco\]"'):
        record("reach", 1, tmp_path / "out")
