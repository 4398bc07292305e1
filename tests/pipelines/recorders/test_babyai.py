import numpy as np
import pytest

from gato_data.errors import MissingPackageError, SettingError
from gato_pipelines.environments.babyai import BabyAI, levels
from gato_pipelines.environments.chance import Chance, draw_seed
from gato_pipelines.recorders.babyai import Recorder, task_name
from tests.pipelines.recorders.recorded import SIMULATORS, episodes_of, need, recorder

record = recorder("babyai")

pytestmark = pytest.mark.usefixtures("minigrid")


@pytest.fixture(scope="module")
def minigrid() -> None:
    need("minigrid", SIMULATORS)


def test_the_bot_solves_what_the_mission_says(tmp_path):
    recording = record("GoToLocal", 5, tmp_path / "out", seed=1)
    assert (recording.num_successes, recording.num_terminal) == (5, 5)
    for episode in episodes_of(recording):
        (mission,) = set(episode.texts["steps/observation/mission"])
        assert mission.startswith("go to ")
        assert 0 < episode.tensors["steps/reward"][-2] <= 1
        image = episode.tensors["steps/observation/image"]
        assert image.shape == (episode.num_timesteps, 7, 7, 3)
        assert image.max() <= 10
        assert set(np.unique(episode.tensors["steps/action"])) <= set(range(7))


def test_an_episode_is_what_minigrid_plays(tmp_path):
    """Every observation again, from the actions alone."""
    import gymnasium

    (episode,) = episodes_of(record("put-next-local", 1, tmp_path / "out", seed=9))
    env = gymnasium.make("BabyAI-PutNextLocal-v0", disable_env_checker=True)
    observation, _ = env.reset(seed=draw_seed(Chance(9, 0).rng))
    for at, action in enumerate(episode.tensors["steps/action"]):
        np.testing.assert_array_equal(episode.tensors["steps/observation/image"][at], observation["image"])
        assert episode.tensors["steps/observation/direction"][at] == observation["direction"]
        assert episode.texts["steps/observation/mission"][at] == observation["mission"]
        if at < episode.num_timesteps - 1:
            observation, reward, *_ = env.step(int(action))
            assert episode.tensors["steps/reward"][at] == np.float32(reward)


def test_features_are_those_that_the_source_reads():
    names = [leaf.path.removeprefix("steps/observation/") for leaf in BabyAI.observations if "observation" in leaf.path]
    assert names == ["direction", "image", "mission"]


def test_there_is_a_name_for_every_level():
    found = levels()
    assert len(found) > 90
    assert found["GoToObjS6"] == "BabyAI-GoToObjS6-v1"
    assert (task_name("GoToLocal"), task_name("OneRoomS8")) == ("go-to-local", "one-room-s8")


@pytest.mark.parametrize("level", ["GoToLocal", "go-to-local", "BabyAI-GoToLocal-v0", "gotolocal"])
def test_levels_in_any_spelling(level, tmp_path):
    assert record(level, 1, tmp_path / "out").directory.config == "go-to-local"


def test_a_level_that_the_bot_cannot_solve(tmp_path):
    with pytest.raises(SettingError, match="minigrid's bot cannot solve KeyInBox: it gave up 20 layouts"):
        record("KeyInBox", 1, tmp_path / "out")


def test_a_layout_on_which_the_bot_plans_for_ever_is_given_up():
    class Drawn:
        """Random numbers that are known."""

        def __init__(self, seed: int) -> None:
            self.seed = seed

        def integers(self, _: int) -> int:
            return self.seed

    recorder, level = Recorder("UnlockToUnlock"), BabyAI("UnlockToUnlock")
    assert recorder.play(level, "expert", Chance(0, 0, rng=Drawn(4))).gave_up
    solved = recorder.play(level, "expert", Chance(0, 0, rng=Drawn(2)))
    assert (solved.gave_up, solved.success) == (False, True)


def test_an_unknown_level(tmp_path):
    with pytest.raises(SettingError, match=r"no BabyAI level named 'GoToLokal': did you mean 'GoToLocal'\?"):
        record("GoToLokal", 1, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_printed(tmp_path, capfd):
    record("GoTo", 4, tmp_path / "out")  # minigrid tells of layouts that it discards
    assert capfd.readouterr() == ("", "")


def test_minigrid_is_optional(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "minigrid", None)
    with pytest.raises(MissingPackageError, match=r'needs minigrid: pip install "gato-data\[simulators\]"'):
        record("GoToLocal", 1, tmp_path / "out")
