import io

import numpy as np
import pytest
from PIL import Image

from gato_data.errors import MissingPackageError, SettingError
from gato_pipelines.environments.babyai import BabyAI, levels
from gato_pipelines.environments.chance import Chance, draw_seed
from gato_pipelines.environments.players import Players
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


@pytest.mark.parametrize("pixels", [False, True])
def test_features_are_those_that_sources_read(pixels):
    seen = BabyAI("GoToLocal", pixels=pixels).observations
    assert [leaf.path.removeprefix("steps/observation/") for leaf in seen] == ["direction", "image", "mission"]


def test_pixels_show_a_cell_in_a_patch(tmp_path):
    """The same episode twice: cells that are the same symbols are the same pixels."""
    (symbols,) = episodes_of(record("GoToLocal", 1, tmp_path / "symbols", seed=3))
    (pixels,) = episodes_of(record("GoToLocal", 1, tmp_path / "pixels", seed=3, pixels=True))
    np.testing.assert_array_equal(pixels.tensors["steps/action"], symbols.tensors["steps/action"])
    assert pixels.texts == symbols.texts
    shown: dict[tuple[int, ...], set[bytes]] = {}
    for frame, cells in zip(
        pixels.images["steps/observation/image"], symbols.tensors["steps/observation/image"], strict=True
    ):
        picture = np.asarray(Image.open(io.BytesIO(frame)))
        assert picture.shape == (112, 112, 3)
        for column, row in np.ndindex(7, 7):
            patch = picture[16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
            if (column, row) != (3, 6):  # where the agent is
                shown.setdefault(tuple(cells[column, row]), set()).add(patch.tobytes())
    assert len(shown) > 3
    assert {len(patches) for patches in shown.values()} == {1}


def test_the_bot_goes_on_from_wherever_chance_leads(tmp_path):
    recording = record("GoToLocal", 6, tmp_path / "out", seed=2, noise=0.5)
    assert recording.policy == "minigrid's BabyAIBot, disturbed by chance in 50 % of the timesteps"
    assert recording.num_successes >= 5
    lengths = [episode.num_timesteps for episode in episodes_of(recording)]
    assert sum(lengths) > sum(
        episode.num_timesteps for episode in episodes_of(record("GoToLocal", 6, tmp_path / "alone", seed=2))
    )


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
    assert recorder.play(level, Players("expert"), Chance(0, 0, rng=Drawn(4))).gave_up
    solved = recorder.play(level, Players("expert"), Chance(0, 0, rng=Drawn(2)))
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
