import random
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gato_data.errors import EpisodeError, SettingError
from gato_data.tokenize import TokenizeSettings, ordered, tokenize_episode
from gato_data.tokenizers import columns
from gato_data.vocabulary import Vocabulary
from gato_schemas.episode import Episode, EpisodeSpec, Field
from gato_schemas.sequence import Modality, check
from tests.gato_data import reference
from tests.gato_data.reference import SETTINGS, VOCABULARIES, LetterModel, cases

PAPER, DEFAULTS, MODEL = Vocabulary(), TokenizeSettings(), LetterModel()


def tokens_of(episode, spec, vocabulary=PAPER, chosen=DEFAULTS):
    return tokenize_episode(episode, spec, vocabulary, chosen, MODEL)


@settings(max_examples=60)
@given(cases(ragged=False), VOCABULARIES, SETTINGS)
def test_timesteps_of_one_length_against_the_reference(case, vocabulary, chosen):
    sequence = tokens_of(*case, vocabulary, chosen)
    check(sequence)
    reference.tokenize_episode(*case, vocabulary, chosen).assert_are(sequence)


@settings(max_examples=60)
@given(cases(ragged=True), VOCABULARIES, SETTINGS)
def test_timesteps_of_many_lengths_against_the_reference(case, vocabulary, chosen):
    sequence = tokens_of(*case, vocabulary, chosen)
    check(sequence)
    reference.tokenize_episode(*case, vocabulary, chosen).assert_are(sequence)


@settings(max_examples=40)
@given(cases(ragged=False))
def test_the_length_is_that_of_the_paper(case):
    """L = T (k + m + n + 1 + A), appendix B; the texts of these episodes have 3 letters each."""
    episode, spec = case
    sequence = tokens_of(episode, spec)
    k = sum(3 for f in spec.observations if f.modality == "text")
    m = sum(f.shape[0] * f.shape[1] // 256 for f in spec.observations if f.modality == "image")
    n = sum(int(np.prod(f.shape)) for f in spec.observations if f.modality in ("discrete", "continuous"))
    a = sum(int(np.prod(f.shape)) for f in spec.actions)
    assert sequence.num_tokens == sequence.num_timesteps * (k + m + n + 1 + a)
    assert (sequence.num_patches, sequence.num_timesteps) == (sequence.num_timesteps * m, len(sequence.reward))


@settings(max_examples=40)
@given(cases(ragged=True), st.randoms())
def test_the_order_of_keys_in_the_input_does_not_matter(case, shuffler: random.Random):
    episode, spec = case
    sequence = tokens_of(episode, spec)
    keys, fields = list(episode.observations), list(spec.observations)
    shuffler.shuffle(keys)
    shuffler.shuffle(fields)
    shuffled = replace(episode, observations={key: episode.observations[key] for key in keys})
    again = tokens_of(shuffled, replace(spec, observations=tuple(fields)))
    for name in ("tokens", "loss_mask", "modality", "position", "timestep_starts", "patches", "image_grid"):
        np.testing.assert_array_equal(getattr(again, name), getattr(sequence, name))


def test_nested_keys_are_sorted_level_by_level():
    names = ["b", "a-b", "a/z", "a/b/c", "a", "B", "10", "9", "é"]
    fields = [Field(name, "discrete") for name in names]
    assert [f.name for f in ordered(fields)] == ["10", "9", "B", "a", "a/b/c", "a/z", "a-b", "b", "é"]


def test_text_then_images_then_tensors_of_both_kinds_by_key():
    fields = [
        Field("a", "continuous"),
        Field("b", "discrete"),
        Field("c", "continuous"),
        Field("d", "image", (16, 16, 3)),
        Field("z", "text"),
        Field("e", "image", (16, 16, 3)),
    ]
    assert [f.name for f in ordered(fields)] == ["z", "d", "e", "a", "b", "c"]


@settings(max_examples=40)
@given(cases(ragged=True))
def test_the_mask_is_on_text_and_actions_alone(case):
    sequence = tokens_of(*case)
    trained = sequence.loss_mask.astype(bool)
    action = sequence.position == 65535
    np.testing.assert_array_equal(trained, action | (sequence.modality == Modality.TEXT))
    assert int(sequence.loss_mask.sum()) == np.count_nonzero(action) + np.count_nonzero(
        sequence.modality == Modality.TEXT
    )
    assert not trained[(sequence.modality == Modality.PATCH) | (sequence.modality == Modality.SEPARATOR)].any()


@settings(max_examples=40)
@given(cases(ragged=True))
def test_positions_count_observation_tokens_then_separator_then_actions(case):
    sequence = tokens_of(*case)
    ends = [*sequence.timestep_starts[1:], sequence.num_tokens]
    for start, stop in zip(sequence.timestep_starts, ends, strict=True):
        position = sequence.position[start:stop].tolist()
        n = position.index(65534)
        assert position == [*range(n), 65534, *[65535] * (len(position) - n - 1)]


MIXED = EpisodeSpec(
    (Field("door", "discrete", (2,)), Field("pose", "continuous", (2,))),
    (Field("grip", "discrete"), Field("move", "continuous", (2,))),
)
MIXED_EPISODE = Episode(
    task="task",
    observations={"door": [[7, 0]], "pose": [[0.0, -0.1]]},
    actions={"grip": [1023], "move": [[-1.0, 1.0]]},
)


@pytest.mark.parametrize(
    ("vocabulary", "tokens", "dtype"),
    [
        (Vocabulary(), [7, 0, 32512, 32391, 33024, 1023, 32000, 33023], "uint16"),
        (
            Vocabulary(discrete_ids="separate"),
            [33032, 33025, 32512, 32391, 33024, 34048, 32000, 33023],
            "uint16",
        ),
        (Vocabulary(64_510), [7, 0, 65022, 64901, 65534, 1023, 64510, 65533], "uint16"),
        (Vocabulary(64_511), [7, 0, 65023, 64902, 65535, 1023, 64511, 65534], "int32"),
        (Vocabulary(256_000), [7, 0, 256512, 256391, 257024, 1023, 256000, 257023], "int32"),
    ],
)
def test_ids_in_each_layout_of_the_table(vocabulary, tokens, dtype):
    sequence = tokens_of(MIXED_EPISODE, MIXED, vocabulary)
    assert sequence.tokens.tolist() == tokens
    assert sequence.tokens.dtype == dtype
    assert sequence.modality.tolist() == [2, 2, 3, 3, 4, 2, 3, 3]
    assert sequence.loss_mask.tolist() == [0, 0, 0, 0, 0, 1, 1, 1]
    assert sequence.position.tolist() == [0, 1, 2, 3, 65534, 65535, 65535, 65535]


def test_golden_values_become_ids():
    values = [-0.6285, -5.1349, 3.9317, -3.5854]
    spec = EpisodeSpec((Field("x", "continuous", (4,)),), (Field("u", "continuous", (4,)),))
    episode = Episode(task="t", observations={"x": np.array([values])}, actions={"u": np.array([[-1, -0.5, 0, 0.999]])})
    assert tokens_of(episode, spec).tokens.tolist() == [
        *(32000 + np.array([302, 197, 813, 215])),
        33024,
        *(32000 + np.array([0, 256, 512, 1023])),
    ]


def test_settings_switch_what_the_paper_leaves_open():
    spec = EpisodeSpec((Field("say", "text"), Field("x", "continuous")), (Field("u", "discrete"),))
    episode = Episode(task="t", observations={"say": ["a", ""], "x": [1.0, 1.0]}, actions={"u": [3, 4]})
    plain = tokens_of(episode, spec)
    assert plain.tokens.tolist() == [100, 32744, 33024, 3, 32744, 33024, 4]
    assert plain.loss_mask.tolist() == [1, 0, 0, 1, 0, 0, 1]
    chosen = TokenizeSettings(
        compand_observations=False,
        loss_on_text_observations=False,
        loss_on_separator=True,
        end_of_text_observations=True,
    )
    other = tokens_of(episode, spec, PAPER, chosen)
    assert other.tokens.tolist() == [100, 2, 33023, 33024, 3, 2, 33023, 33024, 4]
    assert other.loss_mask.tolist() == [0, 0, 0, 1, 1, 0, 0, 1, 1]
    assert other.timestep_starts.tolist() == [0, 5]


def test_rewards_are_kept_or_unknown():
    assert np.isnan(tokens_of(MIXED_EPISODE, MIXED).reward).tolist() == [True]
    kept = tokens_of(replace(MIXED_EPISODE, reward=np.array([1.5])), MIXED).reward
    assert (kept.dtype, kept.tolist()) == (np.float32, [1.5])


PIXELS = np.zeros((2, 32, 16, 3), np.uint8)
WIDE = Field("x", "continuous", (2, 2))


@pytest.mark.parametrize(
    ("field", "values", "message"),
    [
        (WIDE, np.full((2, 2, 2), np.nan), r"x is nan at timestep 0, element \[0, 0\]: a finite number is wanted"),
        (WIDE, [[[0, 1], [2, 3]], [[0, 1], [np.inf, 3]]], r"x is inf at timestep 1, element \[1, 0\]"),
        (Field("x", "continuous", low=0.0, high=1.0), [0.0, -np.inf], r"x is -inf at timestep 1: a finite"),
        (Field("x", "continuous"), np.array(["a", "b"]), "x is of type <U1: numbers are wanted"),
        (Field("x", "discrete"), [0, 1024], r"x is 1024 at timestep 1: an integer in \[0, 1024\) is wanted"),
        (Field("x", "discrete", (2,)), [[0, 1], [1, -1]], r"x is -1 at timestep 1, element \[1\]"),
        (Field("x", "discrete"), [0.0, 0.5], "x is 0.5 at timestep 1: an integer"),
        (Field("x", "discrete"), [0.0, np.nan], "x is nan at timestep 1: an integer"),
        (Field("x", "continuous", (3,)), np.zeros((2, 4)), r"x has shape \(4,\) in this episode: \(3,\) is wanted"),
        (Field("x", "discrete"), [0, 1, 2], "different numbers of timesteps: observation x has 3, action u has 2"),
        (Field("x", "image", (32, 16, 3)), PIXELS[:, :16], r"x has shape \(16, 16, 3\) in this episode"),
        (Field("x", "image", (32, 16, 3)), PIXELS.astype(np.float32), r"x is float32 \(2, 32, 16, 3\): uint8"),
        (Field("x", "image", (30, 16, 3)), PIXELS[:, :30], "x is 30x16 pixels: sides that are multiples of 16"),
        (Field("x", "image", (32, 16, 1)), PIXELS[..., :1], r"x has shape \(32, 16, 1\): an image of shape"),
        (Field("x", "image", (32, 16)), PIXELS[..., 0], r"x has shape \(32, 16\): an image of shape"),
    ],
)
def test_what_cannot_be_tokenized_is_named(field, values, message):
    episode = Episode(task="t", observations={"x": np.asarray(values)}, actions={"u": np.array([0, 1])})
    with pytest.raises(EpisodeError, match=message) as error:
        tokens_of(episode, EpisodeSpec((field,), (Field("u", "discrete"),)))
    assert error.value.stage == "tokenize"


def test_what_else_cannot_be_tokenized():
    grip, move = MIXED.actions
    for episode, spec, message in (
        (replace(MIXED_EPISODE, actions={"grip": [1]}), MIXED, "action move is missing: the episode has grip"),
        (replace(MIXED_EPISODE, observations={}), MIXED, "observation door is missing: the episode has none"),
        (replace(MIXED_EPISODE, reward=np.zeros(2)), MIXED, "different numbers of timesteps.*reward has 2"),
        (replace(MIXED_EPISODE, reward=np.zeros((1, 1))), MIXED, r"the reward has shape \(1, 1\)"),
        (MIXED_EPISODE, EpisodeSpec((), ()), "the episode has no timestep"),
        (Episode(task="t", observations={}, actions={"grip": []}), EpisodeSpec((), (grip,)), "no timestep"),
        (
            Episode(task="t", observations={}, actions={"move": ["left"]}),
            EpisodeSpec((), (replace(move, modality="text"),)),
            "action move is text: discrete or continuous is wanted",
        ),
    ):
        with pytest.raises(EpisodeError, match=message):
            tokens_of(episode, spec)


def test_observations_and_actions_may_share_a_name():
    spec = EpisodeSpec((Field("x", "discrete"),), (Field("x", "discrete"),))
    episode = Episode(task="t", observations={"x": [1]}, actions={"x": [2]})
    assert tokens_of(episode, spec).tokens.tolist() == [1, 33024, 2]
    with pytest.raises(EpisodeError, match="action x is missing"):
        tokens_of(replace(episode, actions={}), spec)
    with pytest.raises(EpisodeError, match="observation x has 1, action x has 2"):
        tokens_of(replace(episode, actions={"x": [2, 3]}), spec)


def test_text_needs_a_text_model_of_the_same_vocabulary():
    spec = EpisodeSpec((Field("say", "text"),), (Field("u", "discrete"),))
    episode = Episode(task="t", observations={"say": ["é"]}, actions={"u": [0]})
    with pytest.raises(EpisodeError, match="say is text: a text model is wanted"):
        tokenize_episode(episode, spec, PAPER, DEFAULTS)
    with pytest.raises(SettingError, match="the text model gives id 236, the vocabulary has text ids below 100"):
        tokens_of(episode, spec, Vocabulary(100, "separate"))


@pytest.mark.parametrize("limit", [1, 511, 512])
def test_too_many_observation_tokens(limit):
    spec = EpisodeSpec((Field("x", "discrete", (limit,)),), (Field("u", "discrete"),))
    episode = Episode(task="t", observations={"x": np.zeros((2, limit), int)}, actions={"u": [0, 0]})
    assert tokens_of(episode, spec, PAPER, TokenizeSettings(max_observation_tokens=limit)).num_timesteps == 2
    wide = replace(spec, observations=(*spec.observations, Field("y", "discrete")))
    episode = replace(episode, observations={**episode.observations, "y": [0, 0]})
    with pytest.raises(EpisodeError, match=f"timestep 0 has {limit + 1} observation tokens, at most {limit}"):
        tokens_of(episode, wide, PAPER, TokenizeSettings(max_observation_tokens=limit))


def test_the_timestep_with_too_much_text_is_named():
    spec = EpisodeSpec((Field("say", "text"),), (Field("u", "discrete"),))
    episode = Episode(task="t", observations={"say": ["a", "abcd", "abc"]}, actions={"u": [0, 0, 0]})
    with pytest.raises(EpisodeError, match="timestep 1 has 4 observation tokens, at most 3"):
        tokens_of(episode, spec, PAPER, TokenizeSettings(max_observation_tokens=3))


@pytest.mark.parametrize("limit", [0, -1, 65534, 70000])
def test_a_limit_that_reaches_the_reserved_positions(limit):
    with pytest.raises(SettingError, match="a number from 1 to 65533"):
        TokenizeSettings(max_observation_tokens=limit)


def test_more_tokens_than_offsets_can_count(monkeypatch):
    monkeypatch.setattr(columns, "MAX_TOKENS", 7)
    with pytest.raises(EpisodeError, match="the episode has 8 tokens, at most 7"):
        tokens_of(MIXED_EPISODE, MIXED)


def test_pixels_are_copied_once():
    cameras = tuple(Field(name, "image", (64, 64, 3)) for name in "ab")
    pixels = {f.name: np.zeros((200, *f.shape), np.uint8) for f in cameras}
    episode = Episode(task="t", observations=pixels, actions={"u": np.zeros(200, int)})
    spec = EpisodeSpec(cameras, (Field("u", "discrete"),))
    tokens_of(episode, spec)
    tracemalloc.start()
    sequence = tokens_of(episode, spec)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.1 * sequence.patches.nbytes
