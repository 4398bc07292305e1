"""The permutations are permutations, and no test tells them from random ones."""

import numpy as np
import pytest

from gato_data.permutation import TABLE_SIZE, below, combine, key, permute

SIZES = (1, 2, 3, 5, 64, 1000, TABLE_SIZE, TABLE_SIZE + 1, 5000, 65_537, 300_000)


def shuffled(size: int, name: str = "x", count: int | None = None) -> np.ndarray:
    numbers = np.arange(count or size)
    return permute(numbers, np.full(len(numbers), size), np.full(len(numbers), key(7, name)))


@pytest.mark.parametrize("size", SIZES)
def test_every_number_comes_once(size: int) -> None:
    assert np.array_equal(np.sort(shuffled(size)), np.arange(size))


def test_small_sizes_all_are_bijections() -> None:
    for size in range(1, 400):
        assert np.array_equal(np.sort(shuffled(size)), np.arange(size)), size


def test_a_mixed_batch_is_the_same_as_one_by_one() -> None:
    generator = np.random.default_rng(0)
    sizes = generator.choice([3, 1000, 5000, 10**6, 10**12], 200)
    numbers = generator.integers(0, sizes)
    keys = combine(key(1, "a"), generator.integers(0, 5, 200))
    together = permute(numbers, sizes, keys)
    alone = [int(permute(numbers[n : n + 1], sizes[n : n + 1], keys[n : n + 1])[0]) for n in range(200)]
    assert together.tolist() == alone
    assert (together < sizes).all()


def test_the_stream_is_pinned() -> None:
    """These numbers are what saved runs rely on: a change needs another `sampler.ALGORITHM`."""
    assert int(key(0, "window", "pong")) == PINNED_KEY
    assert shuffled(10).tolist() == PINNED_TABLE
    assert shuffled(10**6, count=5).tolist() == PINNED_NETWORK


PINNED_KEY = 954300768917679282
PINNED_TABLE = [4, 9, 5, 3, 8, 2, 0, 1, 6, 7]
PINNED_NETWORK = [161897, 722999, 32831, 380253, 692124]


def chi_square(counts: np.ndarray) -> float:
    """Standardised: about 0 with deviation 1 where the counts are those of equally likely outcomes."""
    expected = counts.sum() / counts.size
    degrees = counts.size - 1
    return float((((counts - expected) ** 2 / expected).sum() - degrees) / np.sqrt(2 * degrees))


def test_small_permutations_are_all_equally_likely() -> None:
    """All 24 orders of 4 things, over 6,000 keys."""
    keys = combine(key(3, "orders"), np.arange(6_000))
    places = [permute(np.full(6_000, n), np.full(6_000, 4), keys) for n in range(4)]
    code = places[0] * 64 + places[1] * 16 + places[2] * 4 + places[3]
    _, counts = np.unique(code, return_counts=True)
    assert len(counts) == 24
    assert abs(chi_square(counts)) < 4


@pytest.mark.parametrize("size", [5003, 100_003])
def test_places_steps_and_epochs_look_random(size: int) -> None:
    first, second = shuffled(size, "one"), shuffled(size, "two")
    normal = (first - (size - 1) / 2) / np.sqrt(size**2 / 12)
    other = (second - (size - 1) / 2) / np.sqrt(size**2 / 12)
    root = np.sqrt(size)
    assert abs(float(normal[1:] @ normal[:-1])) / root < 4  # neighbours
    assert abs(float(normal @ other)) / root < 4  # one epoch and the next
    assert abs(int((first == second).sum()) - 1) <= 5
    assert abs(int((first == np.arange(size)).sum()) - 1) <= 5
    bins = 16
    pairs = np.zeros((bins, bins), int)
    np.add.at(pairs, (first[:-1] * bins // size, first[1:] * bins // size), 1)
    assert abs(chi_square(pairs)) < 4.5
    steps = np.bincount((np.diff(first) % size) * 64 // size, minlength=64)
    assert abs(chi_square(steps)) < 4.5


def test_pieces_of_an_epoch_cover_the_dataset_evenly() -> None:
    """The first 6 % of an epoch are a fair sample: neither clumped nor too regular."""
    spread = [chi_square(np.bincount(shuffled(80_000, f"e{n}", 5000) * 50 // 80_000, minlength=50)) for n in range(40)]
    assert abs(float(np.mean(spread))) < 1
    assert 0.5 < float(np.std(spread)) < 1.6


def test_bounded_numbers_are_uniform() -> None:
    numbers = below(combine(key(1, "b"), np.arange(60_000)), 60)
    assert numbers.min() == 0
    assert numbers.max() == 59
    assert abs(chi_square(np.bincount(numbers, minlength=60))) < 4
    assert below(combine(key(1, "b"), np.arange(9)), 1).tolist() == [0] * 9


def test_keys_differ_by_every_word() -> None:
    keys = {int(key(seed, a, b)) for seed in (0, 1) for a in ("x", "xy", "") for b in ("y", "", 1, 11)}
    assert len(keys) == 24
