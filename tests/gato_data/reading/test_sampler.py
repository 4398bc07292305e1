"""Shares are exact at any sample number, whatever the weights, ranks and stages."""

import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_data.errors import MixtureError, SettingError
from gato_data.reading.sampler import BLOCK, WEIGHT_SUM, Sampler, Stage, Tree, integer_weights, rank_samples

HEAVY = np.random.default_rng(5).pareto(0.5, 604).tolist()
"""604 weights of which the largest is many million times the smallest."""
FIBONACCI = [float(n) for n in (1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987)]
"""The deepest tree for its size."""
HALF = [0.5, *[0.5 / 603] * 603]
VANISHING = [1.0, *[1e-20] * 603]
"""Roundings of hundreds of weights that all go the same way."""


def worst_error(weights: list[float], samples: int) -> Fraction:
    """Against the weights as they were given, not as the tree rounds them."""
    counts = Tree(weights).counts(samples)
    assert sum(counts) == samples
    share = samples / sum(map(Fraction, weights))
    return max(abs(count - share * Fraction(weight)) for count, weight in zip(counts, weights, strict=True))


@pytest.mark.parametrize("samples", [0, 1, 7, 604, 10**5 + 3, 10**9 + 7, 10**12])
@pytest.mark.parametrize("weights", [HEAVY, FIBONACCI, HALF, VANISHING, [1.0], [1.0, 1e-9], [1.0] * 100])
def test_no_count_is_more_than_two_from_its_ideal(weights: list[float], samples: int) -> None:
    assert worst_error(weights, samples) < 2


@given(
    st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=40),
    st.integers(0, 10**12),
)
def test_counts_are_exact_for_any_weights(weights: list[float], samples: int) -> None:
    assert worst_error(weights, samples) < 2
    tree = Tree(weights)
    counts = tree.counts(samples)
    assert [tree.count(number, samples) for number in range(len(weights))] == counts


@pytest.mark.parametrize("weights", [HEAVY, FIBONACCI, HALF, VANISHING, [0.0, 3.0, 5e-324]])
def test_integer_weights_are_within_one_of_their_shares(weights: list[float]) -> None:
    integers, share = integer_weights(weights), WEIGHT_SUM / sum(map(Fraction, weights))
    assert sum(integers) == WEIGHT_SUM
    assert all(abs(number - share * Fraction(w)) < 1 for number, w in zip(integers, weights, strict=True))


def test_draws_are_numbered_without_gaps() -> None:
    tree, samples = Tree(HEAVY), 3 * BLOCK + 11
    dataset, draw = tree.draw(np.arange(samples))
    assert np.bincount(dataset, minlength=604).tolist() == tree.counts(samples)
    order = np.lexsort((draw, dataset))
    counts = np.bincount(dataset, minlength=604)
    expected = np.arange(samples) - np.repeat(np.cumsum(counts) - counts, counts)
    assert np.array_equal(draw[order], expected)


def test_far_samples_and_any_order_give_the_same_draws() -> None:
    tree = Tree(HEAVY)
    far = 10**12 + np.random.default_rng(0).permutation(3000)
    dataset, draw = tree.draw(far)
    order = np.argsort(far)
    again = Tree(HEAVY).draw(np.sort(far))
    assert np.array_equal(dataset[order], again[0])
    assert np.array_equal(draw[order], again[1])
    for number in (0, 1, 77):
        assert draw[number] == tree.count(int(dataset[number]), int(far[number]))


def test_no_dataset_starves() -> None:
    """The rarest of 604 is drawn as soon as its share comes to two draws."""
    rarest = int(np.argmin(HEAVY))
    needed = int(3 * sum(HEAVY) / HEAVY[rarest])
    assert Tree(HEAVY).count(rarest, needed) >= 1
    assert min(Tree([*FIBONACCI]).counts(20_000)) >= 6


def test_a_weight_of_zero_is_never_drawn() -> None:
    dataset, _ = Tree([1.0, 0.0, 2.0]).draw(np.arange(10_000))
    assert np.bincount(dataset, minlength=3).tolist() == [3333, 0, 6667]


def test_small_batches_are_near_their_shares() -> None:
    """Not only the whole stream: every batch of 100 has the right composition to within 2 of each dataset."""
    weights = [5.0, 3.0, 1.0, 1.0]
    dataset, _ = Tree(weights).draw(np.arange(100_000))
    counts = np.stack([(dataset.reshape(-1, 100) == n).sum(axis=1) for n in range(4)], axis=1)
    assert np.abs(counts - [50, 30, 10, 10]).max() <= 2


@pytest.mark.parametrize("weights", [[], [0.0], [0.0, 0.0]])
def test_weights_without_a_sum_are_refused(weights: list[float]) -> None:
    with pytest.raises(MixtureError, match="all weights are zero"):
        Tree(weights)


def test_stages_carry_the_counts_on() -> None:
    stages = [Stage(0, (1.0, 1.0, 0.0)), Stage(1000, (1.0, 3.0, 4.0)), Stage(70_000, (0.0, 1.0, 0.0))]
    sampler = Sampler(stages)
    dataset, draw = sampler.draw(np.arange(100_000))
    for number in range(3):
        mine = draw[dataset == number]
        assert np.array_equal(mine, np.arange(len(mine)))
    assert np.bincount(dataset[:1000], minlength=3).tolist() == [500, 500, 0]
    assert np.bincount(dataset[1000:70_000], minlength=3).tolist() == [8625, 25_875, 34_500]
    assert set(dataset[70_000:].tolist()) == {1}
    for samples in (0, 999, 1000, 1001, 69_999, 70_000, 99_999):
        assert sampler.counts(samples) == np.bincount(dataset[:samples], minlength=3).tolist()
    for number, wanted in ((0, 600), (1, 40_000), (2, 0)):
        found = sampler.first_sample(number, wanted, 100_000)
        assert found == np.flatnonzero((dataset == number) & (draw == wanted))[0]
    assert sampler.first_sample(0, 10**6, 100_000) is None


def test_a_later_stage_changes_nothing_before() -> None:
    before = Sampler([Stage(0, (1.0, 2.0))]).draw(np.arange(5000))
    after = Sampler([Stage(0, (1.0, 2.0, 0.0)), Stage(4000, (0.0, 0.0, 1.0))]).draw(np.arange(4000))
    assert np.array_equal(before[0][:4000], after[0])
    assert np.array_equal(before[1][:4000], after[1])


@pytest.mark.parametrize("starts", [[], [1], [0, 0], [0, 5, 3]])
def test_stages_out_of_order_are_refused(starts: list[int]) -> None:
    with pytest.raises(MixtureError, match="ascending"):
        Sampler([Stage(start, (1.0,)) for start in starts])


@pytest.mark.parametrize("world_size", [1, 2, 3, 7, 8, 12])
@pytest.mark.parametrize("batch_size", [1, 5, 12, 64])
def test_ranks_share_a_batch_without_gaps(world_size: int, batch_size: int) -> None:
    for step in (0, 3, 10**9):
        parts = [rank_samples(step, batch_size, rank, world_size) for rank in range(world_size)]
        whole = [sample for part in parts for sample in part]
        assert whole == list(range(step * batch_size, (step + 1) * batch_size))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((0, 8, 0, 0), "world size 0 is not possible"),
        ((0, 8, 2, 2), "rank 2 of 2 does not exist"),
        ((0, 8, -1, 2), "rank -1 of 2 does not exist"),
        ((-1, 8, 0, 1), "step -1"),
        ((0, 0, 0, 1), "a batch of 0"),
        ((10**19, 8, 0, 1), "lies beyond sample"),
    ],
)
def test_impossible_ranks_are_refused(numbers: tuple[int, int, int, int], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        rank_samples(*numbers)


def test_memory_does_not_grow_with_the_run() -> None:
    sampler = Sampler([Stage(0, tuple(HEAVY))])
    blocks = sampler._trees[0]._blocks
    for number in range(50):
        sampler.draw(np.arange(number * BLOCK, number * BLOCK + 2))
    assert len(blocks) <= 4
    assert sum(sys.getsizeof(vars(block)) for block in blocks.values()) < 10**6
