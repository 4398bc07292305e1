from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from gato_data import detokenize
from gato_data.errors import EpisodeError
from gato_data.tokenize import TokenizeSettings, tokenize_episode
from gato_data.tokenizers import continuous
from gato_data.vocabulary import Vocabulary
from gato_schemas.episode import Episode, EpisodeSpec, Field
from tests.gato_data.reference import VOCABULARIES, LetterModel, cases

PAPER, DEFAULTS, MODEL = Vocabulary(), TokenizeSettings(), LetterModel()


def assert_comes_back(found, raw, field, *, compand):
    """Discrete values exactly, continuous ones as the centre of their bin, in the field's range."""
    assert found.shape == raw.shape
    if field.modality == "discrete":
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, raw)
        return
    bins = continuous.encode(raw, compand=compand, low=field.low, high=field.high)
    centres = continuous.decode(bins, compand=compand)
    wanted = centres if field.low is None else continuous.unscale(centres, field.low, field.high)
    np.testing.assert_array_equal(found, wanted)


@settings(max_examples=80)
@given(cases(ragged=True), VOCABULARIES)
def test_everything_but_text_comes_back(case, vocabulary):
    episode, spec = case
    sequence = tokenize_episode(episode, spec, vocabulary, DEFAULTS, MODEL)
    actions = detokenize.actions(sequence, spec, vocabulary)
    assert set(actions) == {field.name for field in spec.actions}
    for field in spec.actions:
        assert_comes_back(actions[field.name], episode.actions[field.name], field, compand=False)
    tensors = detokenize.tensors(sequence, spec, vocabulary, DEFAULTS)
    fields = {f.name: f for f in spec.observations if f.modality in ("discrete", "continuous")}
    assert set(tensors) in (set(fields), set())
    for name, found in tensors.items():
        assert_comes_back(found, episode.observations[name], fields[name], compand=fields[name].compand)
    frames = iter(detokenize.frames(sequence))
    images = sorted((f for f in spec.observations if f.modality == "image"), key=lambda f: f.name.split("/"))
    for t in range(sequence.num_timesteps):
        for field in images:
            height, width = field.content or field.shape[:2]
            np.testing.assert_array_equal(next(frames), episode.observations[field.name][t][:height, :width])
    assert next(frames, None) is None


SPEC = EpisodeSpec(
    (Field("door", "discrete"), Field("pose", "continuous", (2,))),
    (Field("grip", "discrete"), Field("move", "continuous", (2,), low=-2.0, high=2.0)),
)
EPISODE = Episode(
    task="task",
    observations={"door": np.array([7, 8]), "pose": np.array([[0.1, -3.0], [0.0, 256.0]])},
    actions={"grip": np.array([0, 5]), "move": np.array([[-2.0, 0.0], [9.0, 1.999]])},
)
SEQUENCE = tokenize_episode(EPISODE, SPEC, PAPER, DEFAULTS)


def test_values_of_known_tokens():
    actions = detokenize.actions(SEQUENCE, SPEC, PAPER)
    assert actions["grip"].tolist() == [0, 5]
    assert actions["move"].tolist() == [[-1023 / 512, 1 / 512], [1023 / 512, 1023 / 512]]
    tensors = detokenize.tensors(SEQUENCE, SPEC, PAPER, DEFAULTS)
    assert tensors["door"].tolist() == [7, 8]
    np.testing.assert_allclose(tensors["pose"], EPISODE.observations["pose"], rtol=0.011, atol=0.0002)


def test_companding_is_undone_only_where_it_was_done():
    linear = TokenizeSettings(compand_observations=False)
    sequence = tokenize_episode(EPISODE, SPEC, PAPER, linear)
    pose = detokenize.tensors(sequence, SPEC, PAPER, linear)["pose"]
    assert (pose * 1024).tolist() == [[103, -1023], [1, 1023]]


def test_ids_of_one_field():
    field = SPEC.actions[1]
    values = detokenize.decode_ids(np.array([32000, 33023], np.uint16), replace(field, low=None), PAPER)
    assert values.tolist() == [[-1023 / 1024, 1023 / 1024]]
    for ids in (np.array([31999, 32000]), np.array([[32000], [33024]])):
        with pytest.raises(EpisodeError, match=r"move has id (31999|33024): ids in \[32000, 33024\) are wanted"):
            detokenize.decode_ids(ids, replace(field, shape=()), PAPER)


def actions(sequence):
    return detokenize.actions(sequence, SPEC, PAPER)


def tensors(sequence):
    return detokenize.tensors(sequence, SPEC, PAPER, DEFAULTS)


NO_POSITIONS = np.zeros(14, np.uint16)


@pytest.mark.parametrize(
    ("decode", "columns", "message"),
    [
        (actions, {"tokens": SEQUENCE.tokens + np.uint16(2000)}, r"grip has id 2000: ids in \[0, 1024\) are wanted"),
        (actions, {"position": NO_POSITIONS}, "0 action tokens for 2 timesteps of 3 were found"),
        (tensors, {"position": NO_POSITIONS}, "0 separators for 2 timesteps were found"),
        (tensors, {"position": np.roll(SEQUENCE.position, -2)}, "2 separators for 2 timesteps were found, or too near"),
    ],
)
def test_sequences_of_another_specification(decode, columns, message):
    with pytest.raises(EpisodeError, match=message):
        decode(replace(SEQUENCE, **columns))
