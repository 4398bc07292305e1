import random
import sys

import numpy as np
import pytest

from gato_data.errors import MissingPackageError, SettingError
from gato_data.image_decoding import decode_images
from gato_pipelines.environments.sokoban_import import import_sokoban
from tests.pipelines.recorders.recorded import SIMULATORS, episodes_of, need, recorder

record = recorder("sokoban")

pytestmark = pytest.mark.usefixtures("gym_sokoban")


@pytest.fixture(scope="module")
def gym_sokoban() -> None:
    need("gym_sokoban", SIMULATORS)


def test_rooms_are_solved(tmp_path):
    recording = record(1, 3, tmp_path / "out", seed=2)
    assert (recording.num_successes, recording.num_terminal) == (3, 3)
    assert recording.directory.config == "boxes_1"
    for episode in episodes_of(recording):
        rewards = episode.tensors["steps/reward"]
        assert rewards[-2] == np.float32(10.9)  # the last box, the room, the step
        assert set(np.unique(episode.tensors["steps/action"])) <= set(range(9))
        frames = decode_images(episode.images["steps/observation/image"], (160, 160, 3))
        assert (frames[1:] != frames[:-1]).any(axis=(1, 2, 3)).all()  # no action is wasted
        assert frames[:, :16, :16].std() < frames.std()


def test_a_solution_that_is_cut_is_no_success(tmp_path):
    recording = record(1, 1, tmp_path / "out", seed=2, max_steps=1)
    assert (recording.num_successes, recording.num_terminal, recording.num_timesteps) == (0, 0, 2)


def test_the_global_random_numbers_are_left_as_they_were(tmp_path):
    random.seed(1)
    np.random.seed(1)
    expected = random.random(), np.random.random()
    random.seed(1)
    np.random.seed(1)
    record(1, 1, tmp_path / "out")
    assert (random.random(), np.random.random()) == expected


def test_nothing_is_printed_and_no_stand_in_stays(tmp_path, capfd):
    record(1, 1, tmp_path / "out")
    assert capfd.readouterr() == ("", "")
    assert getattr(sys.modules.get("pkg_resources"), "__doc__", "") != "A stand-in: setuptools has it no longer."


@pytest.mark.parametrize(("boxes", "max_steps"), [(0, 9), (6, 9), (1, 0)])
def test_settings_that_cannot_be_used(boxes, max_steps, tmp_path):
    with pytest.raises(SettingError, match=f"{boxes} boxes and at most {max_steps} actions: 1 to 5, and 1 or more"):
        record(boxes, 1, tmp_path / "out", max_steps=max_steps)
    assert not (tmp_path / "out").exists()


def test_gym_sokoban_is_optional(monkeypatch):
    monkeypatch.setitem(sys.modules, "gym_sokoban.envs.sokoban_env", None)
    with pytest.raises(MissingPackageError, match=r'needs gym_sokoban: pip install "gato-data\[simulators\]"'):
        import_sokoban()
