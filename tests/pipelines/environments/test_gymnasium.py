"""Environments of gymnasium's interface: spaces as features, wrong ones in one sentence."""

from pathlib import Path

import numpy as np
import pytest

from gato_data.errors import EpisodeError, InputError, SettingError
from gato_pipelines.environments.chance import Chance
from gato_pipelines.environments.play import play_episodes
from gato_pipelines.environments.players import Players
from gato_pipelines.recorders.gymnasium import Recorder
from gato_pipelines.rlds.features import Kind
from tests.pipelines.recorders.recorded import SIMULATORS, episodes_of, need

need("gymnasium", SIMULATORS)

from gymnasium import spaces  # noqa: E402

from gato_pipelines.environments.gymnasium import Gymnasium  # noqa: E402
from gato_pipelines.environments.spaces import leaves_of, value_of, values_of  # noqa: E402
from tests.pipelines.rollout import corridor  # noqa: E402

PATH = "steps/observation"
SPACE = spaces.Dict(
    {
        "camera": spaces.Box(0, 255, (16, 32, 3), np.uint8),
        "grid": spaces.Box(0, 10, (7, 7, 3), np.uint8),
        "joints": spaces.Tuple((spaces.Box(-1, 1, (2,), np.float64), spaces.MultiDiscrete([3, 4]))),
        "lights": spaces.MultiBinary(3),
        "mission": spaces.Text(30),
        "mode": spaces.Discrete(3, start=2),
    }
)


def test_every_space_becomes_features() -> None:
    found = {leaf.path.removeprefix(PATH + "/"): leaf for leaf in leaves_of(SPACE, PATH)}
    assert {name: (leaf.kind, leaf.dtype, leaf.shape, leaf.value_range) for name, leaf in found.items()} == {
        "camera": (Kind.IMAGE, "uint8", (16, 32, 3), ""),
        "grid": (Kind.TENSOR, "uint8", (7, 7, 3), "[0, 10]"),
        "joints/0": (Kind.TENSOR, "float64", (2,), "[-1, 1]"),
        "joints/1": (Kind.TENSOR, "int64", (2,), "[0, 3]"),
        "lights": (Kind.TENSOR, "int8", (3,), "[0, 1]"),
        "mission": (Kind.TEXT, "string", (), ""),
        "mode": (Kind.TENSOR, "int64", (), "[2, 4]"),
    }


def test_values_go_there_and_back() -> None:
    SPACE.seed(0)
    value = SPACE.sample()
    found = values_of(value, SPACE, PATH)
    assert sorted(found) == [leaf.path for leaf in sorted(leaves_of(SPACE, PATH), key=lambda leaf: leaf.path)]
    back = value_of({**found, f"{PATH}/mission": value["mission"]}, spaces.Dict({"joints": SPACE["joints"]}), PATH)
    np.testing.assert_array_equal(back["joints"][0], value["joints"][0])
    np.testing.assert_array_equal(back["joints"][1], value["joints"][1])


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (spaces.Sequence(spaces.Discrete(2)), "observation is a Sequence space; Box, Discrete, MultiBinary"),
        (spaces.Discrete(5, start=-1), "observation counts from -1 to 3: only 0 to 1023 have ids"),
        (spaces.Discrete(2000), "observation counts from 0 to 1999: only 0 to 1023 have ids"),
        (spaces.Box(-1, 1, (2, 0)), r"observation has the shape \(2, 0\): it never has a value"),
    ],
)
def test_spaces_that_are_no_tokens(space: spaces.Space, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        leaves_of(space, PATH)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("nan", f"{corridor.NAME}: observation/place holds nan: finite numbers are wanted"),
        ("shape", r"observation/place is float32 of shape \(3,\): its space says float32 of \(1,\)"),
    ],
)
def test_what_is_not_of_its_space_is_one_sentence(damage: str, message: str) -> None:
    made = Gymnasium(corridor.NAME)
    made.env.damage = damage
    with pytest.raises(EpisodeError, match=message):
        made.reset(Chance(0, 0))


@pytest.mark.parametrize(
    ("space", "value"),
    [
        (spaces.Discrete(3), 1.5),
        (spaces.Discrete(3), 3),
        (spaces.MultiDiscrete([2, 3]), [0, 3]),
        (spaces.MultiBinary(2), [0, 2]),
        (spaces.Box(0, 9, (1,), np.int64), [0.5]),
        (spaces.Box(0, 255, (1,), np.uint8), [300]),
    ],
)
def test_no_value_is_bent_to_its_space(space: spaces.Space, value: object) -> None:
    with pytest.raises(EpisodeError, match=r"^observation is .*: its space says"):
        values_of(value, space, PATH)


def test_whole_numbers_of_any_type_are_counted() -> None:
    assert [values_of(value, spaces.Discrete(3), PATH)[PATH].item() for value in (1, 1.0, True, np.uint8(1))] == [1] * 4
    assert value_of({PATH: np.uint8(1)}, spaces.Discrete(3), PATH) == 1
    with pytest.raises(EpisodeError, match=r"observation 0\.9 came, the environment takes Discrete\(3\)"):
        value_of({PATH: np.array(0.9)}, spaces.Discrete(3), PATH)


def test_bounded_actions_are_clipped_and_others_refused() -> None:
    box = spaces.Box(-2, 2, (2,), np.float32)
    assert value_of({"steps/action": [-9, 1]}, box, "steps/action").tolist() == [-2, 1]
    with pytest.raises(EpisodeError, match=r"action of shape \(3,\) came, the environment takes \(2,\)"):
        value_of({"steps/action": [1, 2, 3]}, box, "steps/action")
    with pytest.raises(EpisodeError, match=r"action 7 came, the environment takes Discrete\(2\)"):
        value_of({"steps/action": 7}, spaces.Discrete(2), "steps/action")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("CartPol-v1", SettingError, r"gymnasium knows no environment 'CartPol-v1'[.] Did you mean 'CartPole-v1'"),
        ("nowhere:make", SettingError, "no module 'nowhere' for 'nowhere:make': name its folder in PYTHONPATH"),
        (f"{corridor.__name__}:mak", SettingError, r"has no function 'mak'[.] Did you mean 'make'"),
        (
            f"{corridor.__name__}:nothing",
            SettingError,
            "made a NoneType without observation_space",
        ),
        (f"{corridor.__name__}:unseen", SettingError, "the space of observations of .*:unseen is empty"),
        (f"{corridor.__name__}:unrewarded", InputError, r"failed in its first step \(TypeError"),
        (f"{corridor.__name__}:broken", InputError, r"failed in being made \(RuntimeError: no corridor today\)"),
    ],
)
def test_what_cannot_be_made(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Gymnasium(name)


def test_a_recording_with_a_player_of_ones_own(tmp_path: Path) -> None:
    recording = Recorder(corridor.NAME, expert=corridor.EXPERT).record(4, tmp_path / "expert")
    assert (recording.num_successes, recording.num_terminal) == (4, 4)
    assert recording.policy == f"the player {corridor.EXPERT}"
    episode = episodes_of(recording)[0]
    goal = int(episode.tensors["steps/observation/goal"][0])
    assert set(episode.tensors["steps/action"][:-1].tolist()) == {goal}
    assert set(episode.texts["steps/observation/mission"]) == {f"go {'right' if goal else 'left'}"}
    chance = Recorder(corridor.NAME).record(4, tmp_path / "chance")
    assert chance.policy == "a random player"
    with pytest.raises(SettingError, match=r"no expert of .*:make is known here: --actor random plays it"):
        Recorder(corridor.NAME, actor="expert").record(4, tmp_path / "none")


def test_success_that_is_told_at_the_end_alone(tmp_path: Path) -> None:
    made = Gymnasium(f"{corridor.__name__}:late")
    assert not made.knows_success
    (play,) = play_episodes([made], Players("random"), [Chance(0, 0)])
    assert play.success is not None
    assert Recorder(f"{corridor.__name__}:late").record(2, tmp_path / "late").num_successes is None


def test_what_an_environment_prints_is_no_result(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Gymnasium(corridor.NAME)
    reset = made.env.reset

    def chatty(**given: object) -> object:
        print("a layout was discarded")
        return reset(**given)

    monkeypatch.setattr(made.env, "reset", chatty)
    made.reset(Chance(0, 0))
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "a layout was discarded\n")
