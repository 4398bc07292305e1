import sys

import numpy as np
import pytest

from gato_data.errors import MissingPackageError, SettingError
from gato_pipelines.environments.dm_control import tasks
from gato_pipelines.environments.dm_control_controllers import CONTROLLERS, NOISE
from tests.pipelines.recorders.recorded import MUJOCO, episodes_of, need, recorder

record = recorder("dm_control")

pytestmark = pytest.mark.usefixtures("dm_control")


@pytest.fixture(scope="module")
def dm_control() -> None:
    need("dm_control", MUJOCO)


def test_the_controller_swings_the_pole_up_and_keeps_it_there(tmp_path):
    recording = record("cartpole-swingup", 2, tmp_path / "out", seed=5)
    assert recording.num_timesteps == 2002
    assert (recording.num_terminal, recording.num_successes) == (0, None)
    for episode in episodes_of(recording):
        upright = episode.tensors["steps/observation/position"][:, 1]  # cosine of the pole's angle
        assert upright[0] < -0.99
        assert upright[-300:].min() > 0.99


def test_a_disturbed_controller_shows_ways_back_and_says_so(tmp_path):
    alone = record("cartpole-balance", 1, tmp_path / "alone", max_steps=300)
    disturbed = record("cartpole-balance", 1, tmp_path / "disturbed", max_steps=300, noise=0.25)
    assert disturbed.policy == f"{alone.policy}, disturbed by chance in 25 % of the timesteps"
    (before,), (after,) = episodes_of(alone), episodes_of(disturbed)
    leans = [np.abs(episode.tensors["steps/observation/position"][:, 2]).mean() for episode in (before, after)]
    assert leans[1] > 2 * leans[0]  # sine of the pole's angle
    actions = after.tensors["steps/action"]
    assert actions.dtype == np.float32
    assert np.abs(actions).max() <= 1


def test_noise_that_cannot_be_is_one_sentence(tmp_path):
    with pytest.raises(SettingError, match=r"noise in a share of 1\.5 of the timesteps: 0 to 1 was wanted"):
        record("cartpole-balance", 1, tmp_path, noise=1.5)
    with pytest.raises(SettingError, match=r"noise 0\.1 disturbs an expert, and cheetah-run is played by chance"):
        record("cheetah-run", 1, tmp_path, noise=0.1)


@pytest.mark.parametrize(
    ("task", "least"),
    [
        ("cartpole-balance", 990),
        ("cartpole-balance_sparse", 990),
        ("cartpole-swingup", 840),
        ("cartpole-swingup_sparse", 700),
        ("pendulum-swingup", 800),
        ("point_mass-easy", 800),
        ("point_mass-hard", 600),
        ("reacher-easy", 900),
        ("reacher-hard", 900),
    ],
)
def test_controllers_earn_what_experts_do(task, least, tmp_path):
    recording = record(task, 2, tmp_path / "out")
    assert min(recording.returns) > least
    assert recording.policy == CONTROLLERS[task][0]


def test_there_is_a_controller_for_the_tasks_of_that_list_only():
    assert {"cartpole-swingup", "reacher-hard"} <= CONTROLLERS.keys() <= set(tasks())


def test_other_tasks_are_played_by_noise(tmp_path):
    recording = record("cheetah-run", 1, tmp_path / "out", max_steps=300)
    assert recording.policy == NOISE == "random noise, no expert"
    (episode,) = episodes_of(recording)
    actions = episode.tensors["steps/action"][:-1]
    assert actions.shape == (300, 6)
    assert np.abs(actions).max() == 1
    assert 0.3 < actions.std() < 0.7
    assert np.corrcoef(actions[1:, 0], actions[:-1, 0])[0, 1] > 0.7


def test_an_episode_is_what_dm_control_plays(tmp_path):
    """Every observation again, from the actions alone."""
    from dm_control import suite

    from gato_pipelines.environments.chance import Chance, draw_seed

    (episode,) = episodes_of(record("manipulator-bring_ball", 1, tmp_path / "out", seed=2, max_steps=12))
    env = suite.load("manipulator", "bring_ball", task_kwargs={"random": draw_seed(Chance(2, 0).rng)})
    timestep = env.reset()
    for at, action in enumerate(episode.tensors["steps/action"]):
        for name, value in timestep.observation.items():
            np.testing.assert_array_equal(
                episode.tensors[f"steps/observation/{name}"][at], np.ravel(value).astype(np.float32)
            )
        if at < episode.num_timesteps - 1:
            timestep = env.step(action)
    assert episode.tensors["steps/observation/arm_pos"].shape == (13, 16)


@pytest.mark.parametrize("task", ["cartpole-swingup", "Cartpole Swingup", "cartpole_swingup"])
def test_tasks_in_any_spelling(task, tmp_path):
    assert record(task, 1, tmp_path / "out", max_steps=1).directory.config == "cartpole_swingup"


@pytest.mark.parametrize(
    ("task", "settings", "message"),
    [
        ("cartpole-swingupp", {}, r"no DM Control task named 'cartpole-swingupp': did you mean 'cartpole-swingup'\?"),
        ("cartpole-swingup", {"max_steps": 0}, "at most 0 actions: 1 or more were wanted"),
    ],
)
def test_settings_that_cannot_be_used(task, settings, message, tmp_path):
    with pytest.raises(SettingError, match=message):
        record(task, 1, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_dm_control_is_optional(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "dm_control.suite", None)
    with pytest.raises(MissingPackageError, match=r'needs dm_control: pip install "gato-data\[simulators-mujoco\]"'):
        record("cartpole-swingup", 1, tmp_path / "out")
