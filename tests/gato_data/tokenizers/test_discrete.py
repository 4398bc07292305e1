import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_data.errors import EpisodeError
from gato_data.tokenizers.discrete import encode


@given(st.lists(st.integers(0, 1023)), st.sampled_from(["i2", "u2", "i4", "i8", "u8", "f4", "f8"]))
def test_values_are_their_own_ids(values, dtype):
    ids = encode(np.array(values, dtype))
    assert ids.dtype == np.int32
    assert ids.tolist() == values


@given(st.integers(-(2**40), 2**40), st.lists(st.integers(0, 1023)))
def test_values_may_begin_elsewhere(start, values):
    assert encode(np.array(values, np.int64) + start, start=start).tolist() == values


def test_values_below_their_start_are_named():
    with pytest.raises(EpisodeError, match=r"^lane is -3 at timestep 1: an integer in \[-2, 1022\) is wanted$"):
        encode(np.array([-2, -3]), field="lane", start=-2)


def test_booleans_and_shapes():
    assert encode(np.array([[True, False]])).tolist() == [[1, 0]]
    assert encode(np.zeros((2, 0), np.int8)).shape == (2, 0)
    assert int(encode(np.array(7))) == 7


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, 1024], r"^button is 1024 at timestep 1: an integer in \[0, 1024\) is wanted$"),
        ([-1, 0], "^button is -1 at timestep 0:"),
        ([[0, 0], [0, 2**40]], r"^button is 1099511627776 at timestep 1, element \[1\]:"),
        ([[[0, 5000]]], r"^button is 5000 at timestep 0, element \[0, 1\]:"),
        (np.array([2**64 - 1], np.uint64), "^button is 18446744073709551615 at timestep 0"),
        ([0.5], "^button is 0.5 at timestep 0"),
        ([np.nan], "^button is nan at timestep 0"),
        ([-np.inf], "^button is -inf at timestep 0"),
        (1024, "^button is 1024: an integer"),
        (["up"], "^button is of type <U2: integers are wanted"),
        ([None], "^button is of type object"),
    ],
)
def test_what_is_no_such_integer_is_named(values, message):
    with pytest.raises(EpisodeError, match=message):
        encode(np.asarray(values), field="button")
