"""Distinct patches: exact round trips, order of first appearance, and hashes that collide."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from gato_data import distinct_patches
from gato_data.distinct_patches import bucket, distinct, hash_patches, merge
from gato_schemas.errors import FormatError
from gato_schemas.sequence import PATCH_SHAPE
from tests.schemas.sequences import of_one_hash

Patches = NDArray[np.uint8]


def made(numbers: list[int]) -> Patches:
    """One patch for each number, equal for equal numbers; neighbouring ones differ in one byte."""
    patches = np.zeros((len(numbers), *PATCH_SHAPE), np.uint8)
    flat = patches.reshape(len(numbers), 768)
    for row, number in enumerate(numbers):
        flat[row, number % 768] = 1 + number // 768
    return patches


def first_appearance(patches: Patches) -> tuple[list[bytes], list[int]]:
    """The definition, with a dictionary."""
    numbers: dict[bytes, int] = {}
    index = [numbers.setdefault(patch.tobytes(), len(numbers)) for patch in patches]
    return list(numbers), index


def check(patches: Patches) -> None:
    table, index = distinct(patches)
    wanted, numbers = first_appearance(patches)
    assert [row.tobytes() for row in table] == wanted
    assert index.tolist() == numbers
    assert (str(table.dtype), str(index.dtype), table.shape[1:]) == ("uint8", "int32", PATCH_SHAPE)
    assert np.array_equal(table[index], patches)


@given(st.lists(st.integers(0, 2000), max_size=600))
def test_each_distinct_patch_once_in_order_of_first_appearance(numbers: list[int]) -> None:
    check(made(numbers))


@given(arrays.arrays(np.uint8, st.tuples(st.integers(0, 12), *map(st.just, PATCH_SHAPE)), elements=st.integers(0, 1)))
def test_any_pixels(patches: Patches) -> None:
    check(patches)


def test_none_one_and_all_equal() -> None:
    for count in (0, 1, 3, 257):
        check(np.full((count, *PATCH_SHAPE), 200, np.uint8))


def test_patches_that_do_not_lie_side_by_side() -> None:
    patches = made([*range(50), *range(50)])
    check(patches[::3])
    check(np.asfortranarray(patches))


def test_a_photo_has_no_equal_patches() -> None:
    patches = np.random.default_rng(0).integers(0, 256, (500, *PATCH_SHAPE), np.uint8)
    table, index = distinct(patches)
    assert np.array_equal(table, patches)
    assert index.tolist() == list(range(500))


@given(st.lists(st.integers(0, 2000), max_size=300), st.sampled_from([0, 1, 7]))
def test_hashes_that_collide_cost_time_and_nothing_else(numbers: list[int], mask: int) -> None:
    whole = hash_patches
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distinct_patches, "hash_patches", lambda patches: whole(patches) & np.uint64(mask))
        check(made(numbers))


def test_two_patches_that_are_made_to_have_one_hash_are_refused() -> None:
    pair = of_one_hash()
    assert len(set(hash_patches(pair).tolist())) == 1
    check(pair[[0, 1, 1, 0]])
    with pytest.raises(FormatError, match="two patches differ and have one hash"):
        distinct_patches.distinct_patches(pair)


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 40), max_size=400))
def test_merge_keeps_the_first_row_of_every_hash(values: list[int]) -> None:
    hashes = np.array(values, np.uint64)
    first, index = merge(hashes)
    numbers: dict[int, int] = {}
    wanted = [numbers.setdefault(value, len(numbers)) for value in values]
    assert index.tolist() == wanted
    assert [values[at] for at in first.tolist()] == list(numbers)
    assert (np.diff(first) > 0).all()
    assert (str(first.dtype), str(index.dtype)) == ("int64", "int32")


@given(st.lists(st.lists(st.integers(0, 300), max_size=60), max_size=5))
def test_merging_tables_gives_what_the_whole_gives(parts: list[list[int]]) -> None:
    tables = [distinct(made(part)) for part in parts]
    rows = np.concatenate([made([]), *(table for table, _ in tables)])
    first, index = merge(hash_patches(rows))
    before = np.cumsum([0, *(len(table) for table, _ in tables)])
    all_index = np.concatenate([[], *(own + start for (_, own), start in zip(tables, before, strict=False))])
    merged, numbers = distinct(made([number for part in parts for number in part]))
    assert np.array_equal(rows[first], merged)
    assert np.array_equal(index[all_index.astype(np.int64)], numbers)


def test_the_hash_is_part_of_the_format() -> None:
    ramp = (np.arange(2 * 768) % 251).astype(np.uint8).reshape(2, *PATCH_SHAPE)
    words = ramp.reshape(2, 768).view("<u4").tolist()
    factors = distinct_patches._FACTORS.tolist()
    sums = [sum(word * factor for word, factor in zip(row, factors, strict=True)) % 2**64 for row in words]
    assert hash_patches(ramp).tolist() == sums
    assert sums == [13505252055857579896, 2649743639018439010]


@given(st.integers(0, 2**22))
def test_buckets_are_few_and_not_much_larger(count: int) -> None:
    size = bucket(count)
    assert size >= count
    assert size == 64 or size * 4 <= count * 5
    assert bucket(size) == size


def test_buckets_up_to_a_batch_of_64_windows() -> None:
    sizes = sorted({bucket(count) for count in range(64 * 1025)})
    assert sizes[:6] == [64, 80, 96, 112, 128, 160]
    assert len(sizes) == 42
