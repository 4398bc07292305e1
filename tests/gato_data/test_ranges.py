"""Ranges of action elements: exact ends, quantiles within one part in 2048, and the same whatever the parts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gato_data.ranges import ElementRange, RangeBuilder, bounds, merge_ranges

values = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 60), st.just(2)), elements=st.floats(-1e30, 1e30, allow_subnormal=False)
)


def ranges_of(*pieces: np.ndarray, quantiles: bool = True) -> list[ElementRange]:
    builder = RangeBuilder(int(np.prod(pieces[0].shape[1:])), quantiles=quantiles)
    for piece in pieces:
        builder.add(piece)
    return builder.result()


def test_minmax_is_exact_and_of_each_element() -> None:
    found = ranges_of(np.array([[0.1, -255.0], [-0.3, 7.0]]), np.array([[0.2, 255.0]]), quantiles=False)
    assert bounds(found, "minmax") == ((-0.3, -255.0), (0.2, 255.0))
    assert found[0].keys == []


def test_quantiles_leave_one_percent_out_at_either_end() -> None:
    numbers = np.arange(1, 1001, dtype=np.float64)
    numbers[-5:] = 1e6
    (low,), (high,) = bounds(ranges_of(numbers[:, None]), "quantile")
    assert low == pytest.approx(11, rel=1 / 2048)
    assert high == pytest.approx(990, rel=1 / 2048)
    assert bounds(ranges_of(numbers[:, None]), "minmax") == ((1.0,), (1e6,))


@given(values)
@settings(max_examples=200)
def test_a_quantile_range_holds_98_percent_of_the_values(array: np.ndarray) -> None:
    lows, highs = bounds(ranges_of(array), "quantile")
    for number in range(2):
        column = array[:, number]
        slack = 1e-6 * np.abs(column)  # values are counted as float32
        inside = (column + slack >= lows[number]) & (column - slack <= highs[number])
        if column.min() < column.max():
            assert np.count_nonzero(~inside) <= 2 * (len(column) // 100)
            assert column.min() <= lows[number] < highs[number] <= column.max()


@given(values, st.lists(st.integers(0, 60), max_size=4), st.randoms())
def test_parts_and_their_order_do_not_matter(array: np.ndarray, cuts: list[int], random: object) -> None:
    pieces = np.split(array, sorted(min(cut, len(array)) for cut in cuts))
    random.shuffle(pieces)  # type: ignore[attr-defined]
    merged = merge_ranges([ranges_of(piece) for piece in pieces])
    assert merged == ranges_of(array)


def test_an_element_that_never_changes_and_one_never_seen() -> None:
    assert bounds(ranges_of(np.full((5, 1), 0.25)), "minmax") == ((-0.75,), (1.25,))
    assert bounds(ranges_of(np.zeros((0, 1))), "quantile") == ((-1.0,), (1.0,))


def test_what_is_not_finite_does_not_count() -> None:
    found = ranges_of(np.array([[np.nan], [1.0], [np.inf], [2.0], [-np.inf]]))
    assert bounds(found, "minmax") == ((1.0,), (2.0,))
    assert sum(found[0].counts) == 2
