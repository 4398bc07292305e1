from dataclasses import replace
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gato_data.errors import FormatError
from gato_data.statistics import MAX_ELEMENTS, StatisticsBuilder, merge_statistics
from gato_data.tokenize import TokenizeSettings, tokenize_episode
from gato_data.vocabulary import Vocabulary
from gato_schemas.episode import Episode, EpisodeSpec, Field
from gato_schemas.statistics import Counts, FieldStatistics
from tests.gato_data.reference import VOCABULARIES, LetterModel, cases

PAPER, DEFAULTS, MODEL = Vocabulary(), TokenizeSettings(), LetterModel()


def gather(episodes, spec, vocabulary=PAPER, chosen=DEFAULTS):
    builder = StatisticsBuilder(vocabulary, chosen)
    for episode in episodes:
        builder.add(episode, spec, tokenize_episode(episode, spec, vocabulary, chosen, MODEL))
    return builder.result()


def states(values, task="task"):
    values = np.asarray(values, np.float64)
    return Episode(task=task, observations={"x": values}, actions={"u": np.zeros(len(values), int)})


def spec_of(field):
    return EpisodeSpec((field,), (Field("u", "discrete"),))


def bins_of(row):
    return [bit for bit in range(1024) if int(row.bins, 16) >> bit & 1]


@settings(max_examples=60)
@given(cases(ragged=True), VOCABULARIES)
def test_against_numpy_on_the_raw_values(case, vocabulary):
    episode, spec = case
    rows = {(row.role, row.field): row for row in gather([episode], spec, vocabulary)}
    sequence = tokenize_episode(episode, spec, vocabulary, DEFAULTS, MODEL)
    for role, fields, values in (
        ("observation", spec.observations, episode.observations),
        ("action", spec.actions, episode.actions),
    ):
        for field in fields:
            if field.modality == "image" or 0 in field.shape:
                continue
            raw = [len(text) for text in values[field.name]] if field.modality == "text" else values[field.name]
            raw = np.asarray(raw, np.float64).reshape(sequence.num_timesteps, -1)
            row = rows[role, field.name]
            assert (row.task, row.modality, row.count, row.nan) == ("task", field.modality, len(raw), 0)
            assert row.low == raw.min(axis=0).tolist()
            assert row.high == raw.max(axis=0).tolist()
            np.testing.assert_allclose(row.mean, raw.mean(axis=0), rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(row.m2, raw.var(axis=0) * len(raw), rtol=1e-9, atol=1e-9)
    assert list(rows) == sorted(rows)


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=6),
    st.integers(0, 999),
    st.lists(st.integers(0, 6), max_size=3).map(sorted),
)
def test_any_grouping_merges_to_one_pass(lengths, seed, cuts):
    generator = np.random.default_rng(seed)
    spec = spec_of(Field("x", "continuous", (3,)))
    episodes = [states(generator.normal(size=(n, 3)) * 200 + 1e5 * generator.normal()) for n in lengths]
    (_, whole) = gather(episodes, spec)
    bounds = [0, *cuts, len(episodes)]
    groups = [episodes[first:last] for first, last in pairwise(bounds)]
    (_, merged) = merge_statistics(row for group in groups for row in gather(group, spec))
    for name in ("count", "nan", "low", "high", "saturated", "bins"):
        assert getattr(merged, name) == getattr(whole, name), name
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(merged.m2, whole.m2, rtol=1e-9)
    raw = np.concatenate([episode.observations["x"] for episode in episodes])
    np.testing.assert_allclose(merged.m2, ((raw - raw.mean(axis=0)) ** 2).sum(axis=0), rtol=1e-9)


def sum_by_halves(values):
    while len(values) > 1:
        half = len(values) // 2
        rest = values[2 * half :]
        values = [a + b for a, b in zip(values[:half], values[half:], strict=False)]
        if rest:
            values[0] += rest[0]
    return values[0]


@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), min_size=1, max_size=4))
def test_the_bits_are_the_same_on_every_machine(columns):
    """Nothing is left to a library's order of additions or its kernels: Python's own floats give the same bits."""
    (_, row) = gather([states(column) for column in columns], spec_of(Field("x", "continuous")))
    count, mean, m2 = 0, 0.0, 0.0
    for column in columns:
        column_mean = sum_by_halves(column) / len(column)
        delta, total = column_mean - mean, count + len(column)
        m2 += sum_by_halves([(x - column_mean) * (x - column_mean) for x in column]) + delta * delta * (
            count * len(column) / total
        )
        mean += delta * (len(column) / total)
        count = total
    assert (row.mean, row.m2) == ([mean], [m2])


def test_ids_that_were_used():
    spec = EpisodeSpec((Field("x", "continuous"), Field("d", "discrete")), (Field("u", "continuous"),))
    episode = Episode(
        task="task",
        observations={"x": np.array([0.0, 0.1, -1.0]), "d": np.array([5, 1023, 5])},
        actions={"u": np.array([-1.0, 1.0, 0.0])},
    )
    for vocabulary in (PAPER, Vocabulary(discrete_ids="separate"), Vocabulary(200_000)):
        rows = {row.field: bins_of(row) for row in gather([episode], spec, vocabulary)}
        assert rows == {"x": [279, 512, 632], "d": [5, 1023], "u": [0, 512, 1023]}
    merged = merge_statistics([*gather([episode], spec), *gather([replace(episode, task="other")], spec)])
    assert [(row.task, row.role, row.field) for row in merged] == [
        (task, role, field)
        for task in ("other", "task")
        for role, field in (("action", "u"), ("observation", "d"), ("observation", "x"))
    ]


@pytest.mark.parametrize(
    ("field", "chosen", "saturated"),
    [
        (Field("x", "continuous", (2,)), DEFAULTS, [1, 2]),
        (Field("x", "continuous", (2,), compand=False), DEFAULTS, [1, 3]),
        (Field("x", "continuous", (2,)), TokenizeSettings(compand_observations=False), [1, 3]),
        (Field("x", "continuous", (2,), low=-300.0, high=300.0), DEFAULTS, [0, 1]),
        (Field("x", "continuous", (2,), low=(0.0, -300.0), high=(400.0, 5.0)), DEFAULTS, [2, 1]),
    ],
)
def test_values_beyond_what_can_be_told_apart_are_counted(field, chosen, saturated):
    values = [[-256.001, 0], [256, 301], [-1, 3], [1, -257], [0.5, -1]]
    values[1][0] = 1
    rows = gather([states(values)], spec_of(field), chosen=chosen)
    assert rows[1].saturated == saturated


def test_discrete_values_never_saturate():
    episode = Episode(task="t", observations={"x": np.array([0, 1023])}, actions={"u": np.array([1, 1])})
    assert [row.saturated for row in gather([episode], spec_of(Field("x", "discrete")))] == [[0], [0]]


def test_a_field_of_many_elements_is_counted_as_one():
    generator = np.random.default_rng(0)
    width = MAX_ELEMENTS + 1
    wide = generator.normal(size=(2, width))
    wide[0, 7] = 300
    settings_ = TokenizeSettings(max_observation_tokens=2000)
    (_, row) = gather([states(wide)], spec_of(Field("x", "continuous", (width,))), chosen=settings_)
    assert (row.count, row.high, row.saturated) == (2 * width, [300.0], [1])
    np.testing.assert_allclose(row.mean, [wide.mean()], rtol=1e-12)
    bounds = Field("x", "continuous", (width,), low=(-10.0,) * width, high=tuple(np.full(width, 10.0).tolist()))
    assert gather([states(wide)], spec_of(bounds), chosen=settings_)[1].saturated == [1]


def test_pixels_are_counted_from_their_histogram():
    pixels = np.random.default_rng(0).integers(3, 250, 10_000)
    image = Field("camera", "image", (16, 16, 3))
    episode = Episode(
        task="t",
        observations={"camera": np.zeros((1, 16, 16, 3), np.uint8)},
        actions={"u": np.array([0])},
        histograms={"camera": np.bincount(pixels, minlength=256)},
    )
    (_, row) = gather([episode, episode], spec_of(image))
    assert (row.count, row.low, row.high) == (20_000, [pixels.min()], [pixels.max()])
    assert row.mean == [pixels.sum() / 10_000]
    np.testing.assert_allclose(row.m2, [2 * pixels.var() * 10_000], rtol=1e-12)
    assert bins_of(row) == sorted(set(pixels.tolist()))
    assert [row.field for row in gather([replace(episode, histograms={})], spec_of(image))] == ["u"]


def test_many_pixels_do_not_overflow():
    histogram = np.zeros(256, np.int64)
    histogram[[0, 255]] = 10**12
    episode = Episode(
        task="t",
        observations={"camera": np.zeros((1, 16, 16, 3), np.uint8)},
        actions={"u": np.array([0])},
        histograms={"camera": histogram},
    )
    (_, row) = gather([episode], spec_of(Field("camera", "image", (16, 16, 3))))
    assert (row.count, row.mean, row.m2) == (2 * 10**12, [127.5], [127.5**2 * 2e12])


def test_values_near_the_end_of_float64_stay_storable():
    spec = spec_of(Field("x", "continuous"))
    rows = gather([states([1.7e308, -1.7e308, 1.7e308]), states([1e200, 1.0])], spec)
    stored = msgspec.json.decode(msgspec.json.encode(rows), type=list[FieldStatistics])
    assert stored == rows
    (_, merged) = merge_statistics([*stored, *stored])
    assert np.isfinite([*merged.mean, *merged.m2]).all()
    assert (merged.low, merged.high, merged.count, merged.saturated) == ([-1.7e308], [1.7e308], 10, [8])


def test_nan_of_episodes_that_were_left_out_are_counted():
    builder = StatisticsBuilder(PAPER, DEFAULTS)
    spec = EpisodeSpec((Field("x", "continuous", (2,)), Field("d", "discrete")), (Field("u", "continuous"),))
    episode = Episode(
        task="t",
        observations={"x": np.array([[np.nan, 1], [np.inf, np.nan]]), "d": np.array([0, 1])},
        actions={"u": np.array(["left", "up"])},
    )
    builder.count_nan(episode, spec)
    rows = {row.field: row for row in builder.result()}
    assert {name: (row.nan, row.count) for name, row in rows.items()} == {"x": (2, 0)}
    assert (rows["x"].low, rows["x"].mean, rows["x"].bins) == ([], [], "0")
    good = replace(episode, observations={"x": np.ones((2, 2)), "d": np.array([0, 1])}, actions={"u": np.zeros(2)})
    builder.add(good, spec, tokenize_episode(good, spec, PAPER, DEFAULTS))
    merged = {row.field: row for row in merge_statistics([*builder.result(), rows["x"]])}
    assert (merged["x"].nan, merged["x"].count, merged["x"].mean) == (4, 2, [1.0, 1.0])


def test_episodes_without_actions_or_observations():
    field = Field("x", "continuous")
    for spec in (EpisodeSpec((field,), ()), EpisodeSpec((), (field,))):
        episode = Episode(task="t", observations={"x": np.ones(2)}, actions={"x": np.ones(2)})
        assert [(row.field, row.count) for row in gather([episode], spec)] == [("x", 2)]


def test_rows_that_do_not_go_together():
    (_, row) = gather([states([[1, 2]])], spec_of(Field("x", "continuous", (2,))))
    for other in (
        {"saturated": [0]},
        {"mean": [1.0]},
        {"low": []},
    ):
        with pytest.raises(ValueError, match="statistics of field 'x' have lists of different lengths"):
            msgspec.structs.replace(row, **other)
    (narrow,) = gather([states([[1]])], spec_of(Field("x", "continuous", (1,))))[1:]
    with pytest.raises(FormatError, match="statistics of task observation x differ in their number of elements"):
        merge_statistics([row, narrow])


def test_counts_are_summed():
    one = Counts(episodes=1, records=2, timesteps=3, images=4, patches=5, tokens=6, loss_tokens=7)
    two = msgspec.structs.replace(one, tokens_by_modality=(1, 2, 3, 4, 5))
    assert sum([], Counts()) == Counts()
    assert sum([one, two, two], Counts()) == Counts(
        episodes=3,
        records=6,
        timesteps=9,
        images=12,
        patches=15,
        tokens=18,
        loss_tokens=21,
        tokens_by_modality=(2, 4, 6, 8, 10),
    )
