import numpy as np
import pytest

from gato_data.errors import MissingPackageError, SettingError
from gato_data.image_decoding import decode_images
from gato_pipelines.environments.chance import Chance, draw_seed
from gato_pipelines.environments.environment import Step, image_leaf
from gato_pipelines.environments.installed import find_name, import_simulator
from gato_pipelines.environments.play import PlayedEpisode
from gato_pipelines.recorders.recording import as_rlds, kept, recording_features
from gato_pipelines.rlds.features import Kind, Leaf

STATE = Leaf(path="steps/observation/state", kind=Kind.TENSOR, dtype="float32", shape=(2,))
TEXT = Leaf(path="steps/observation/text", kind=Kind.TEXT, dtype="string")
FEATURES = recording_features([Leaf(path="steps/action", kind=Kind.TENSOR, dtype="int64")], (STATE, TEXT), success=True)


def _look(number: float) -> dict[str, object]:
    return {STATE.path: [number, -number], TEXT.path: f"at {number}"}


def test_a_last_observation_without_an_action_gets_zeros():
    play = PlayedEpisode(7, [_look(0), _look(1), _look(2)])
    play.add(Step(3, _look(1), 0.5, is_over=False, is_terminal=False, success=False))
    play.add(Step(2, _look(2), 1.0, is_over=True, is_terminal=True, success=True))
    episode = as_rlds(FEATURES, play)
    steps = {path.removeprefix("steps/"): values.tolist() for path, values in episode.tensors.items()}
    assert steps == {
        "action": [3, 2, 0],
        "reward": [0.5, 1.0, 0.0],
        "discount": [1, 0, 0],
        "is_first": [True, False, False],
        "is_last": [False, False, True],
        "is_terminal": [False, False, True],
        "observation/state": [[0, 0], [1, -1], [2, -2]],
    }
    assert episode.texts == {TEXT.path: ["at 0", "at 1", "at 2"]}
    assert {key: value.item() for key, value in episode.episode.items()} == {
        "episode_id": 7,
        "episode_return": 1.5,
        "success": True,
    }
    assert {path: values.dtype.name for path, values in episode.tensors.items()} == {
        leaf.path: leaf.dtype for leaf in FEATURES.steps if leaf.kind != Kind.TEXT
    }


def test_an_episode_without_its_last_observation_keeps_every_action():
    play = PlayedEpisode(0, [_look(0), _look(1), _look(7)], actions=[3, 2], rewards=[0.5, 1.0], success=False)
    steps = as_rlds(FEATURES, play, shows_end=False).tensors
    assert steps["steps/action"].tolist() == [3, 2]
    assert steps["steps/discount"].tolist() == [1, 1]
    assert steps["steps/is_last"].tolist() == [False, True]
    assert not steps["steps/is_terminal"].any()


def test_pictures_keep_their_colours():
    frame = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    leaf = image_leaf("steps/observation/image", 32, 48)
    stored = kept([leaf, STATE])({leaf.path: frame, STATE.path: [1.0, 2.0]})
    np.testing.assert_array_equal(decode_images([stored[leaf.path]], leaf.shape)[0], frame)
    assert stored[STATE.path] == [1.0, 2.0]


def test_random_numbers_of_an_episode_are_its_own():
    draws = [draw_seed(Chance(seed, number).rng) for seed in (0, 1) for number in (0, 1)]
    assert len({*draws, draw_seed(Chance(0, 0, (1,)).rng)}) == 5
    assert draw_seed(Chance(0, 5, (1,)).of(0).rng) == draw_seed(Chance(0, 0, (1,)).rng)
    assert draw_seed(Chance(1, 1).rng) == draws[-1]


@pytest.mark.parametrize("name", ["pick-place", "PickPlace", "pick place", "pick_place"])
def test_names_in_any_spelling(name):
    assert find_name(name, ["reach", "pick-place"], "task") == "pick-place"


@pytest.mark.parametrize(
    ("name", "message"), [("reech", "no task named 'reech': did you mean 'reach'?"), ("zz", "there are 2, such as 're")]
)
def test_names_that_are_none(name, message):
    with pytest.raises(SettingError, match=message.replace("?", r"\?")):
        find_name(name, ["reach", "pick-place"], "task")


def test_a_package_that_is_missing():
    with pytest.raises(MissingPackageError, match="playing chess needs chess_simulator: pip install it"):
        import_simulator("chess_simulator.board", "chess", "pip install it")
