from bisect import bisect_right
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_data.errors import EpisodeError, SettingError
from gato_data.tokenizers import continuous
from gato_data.tokenizers.continuous import (
    action_edges,
    decode,
    encode,
    observation_edges,
    rescale,
    unscale,
    value_range,
)
from tests.gato_data.reference import bin_of, companded_edges

FINITE = st.floats(allow_nan=False, allow_infinity=False)
EDGES = {True: observation_edges, False: action_edges}


@pytest.mark.parametrize(
    ("values", "bins"),
    [
        ([-0.6285, -5.1349, 3.9317, -3.5854], [302, 197, 813, 215]),
        ([3.9263, -1.8975, 7.3103, -7.3467], [813, 247, 844, 179]),
        ([-6.9724, -2.9982, 9.1740, 0.1002], [181, 224, 856, 633]),
        (
            [0, 0.1, 0.2, 0.3, 0.4, 0.5, 1, -1, -0.1, 10, 256, 300, -256, -300],
            [512, 632, 665, 685, 699, 710, 744, 279, 391, 860, 1023, 1023, 0, 0],
        ),
    ],
)
def test_golden_observations(values, bins):
    assert encode(np.array(values), compand=True).tolist() == bins


def test_golden_actions():
    assert encode(np.array([-1, -0.5, 0, 0.5, 0.999, 1]), compand=False).tolist() == [0, 256, 512, 768, 1023, 1023]


def test_the_edges_are_those_of_exact_arithmetic():
    assert observation_edges().tolist() == companded_edges()
    assert action_edges().tolist() == [float(Decimal(2 * k - 1024) / 1024) for k in range(1, 1024)]


def test_the_edges_are_where_the_companded_form_is_a_multiple():
    """No float is nearer to the inverse: F of its neighbours lies on both sides of 2 k / 1024 - 1."""
    with localcontext() as context:
        context.prec = 50
        log_base = Decimal(25601).ln()
        for k, edge in enumerate(observation_edges()[512:].tolist(), start=1):
            below, above = (
                (Decimal(float(x)) * 100 + 1).ln() / log_base for x in np.nextafter(edge, [-np.inf, np.inf])
            )
            assert below < Decimal(k) / 512 < above


@pytest.mark.parametrize("compand", [True, False])
def test_edges_ascend_and_are_symmetric(compand):
    edges = EDGES[compand]()
    assert edges.shape == (1023,)
    assert edges.dtype == np.float64
    assert (np.diff(edges) > 0).all()
    np.testing.assert_array_equal(edges, -edges[::-1])
    assert edges[511] == 0
    with pytest.raises(ValueError, match="read-only"):
        edges[0] = 0


@pytest.mark.parametrize("compand", [True, False])
def test_a_value_on_an_edge_is_above_it_and_the_next_below_is_not(compand):
    edges = EDGES[compand]()
    np.testing.assert_array_equal(encode(edges, compand=compand), np.arange(1, 1024))
    np.testing.assert_array_equal(encode(np.nextafter(edges, -np.inf), compand=compand), np.arange(1023))
    np.testing.assert_array_equal(encode(np.nextafter(edges, np.inf), compand=compand), np.arange(1, 1024))


@pytest.mark.parametrize("compand", [True, False])
def test_every_order_of_magnitude_against_a_search_through_the_edges(compand):
    generator = np.random.default_rng(0)
    patterns = np.frombuffer(generator.bytes(8 * 100_000), np.float64)
    near = generator.normal(size=100_000) * 10.0 ** generator.integers(-9, 5, 100_000)
    values = np.concatenate([patterns[np.isfinite(patterns)], near])
    np.testing.assert_array_equal(
        encode(values, compand=compand), np.searchsorted(EDGES[compand](), values, side="right")
    )


@given(FINITE, st.booleans())
def test_any_number_against_a_search_through_the_edges(value, compand):
    wanted = bisect_right(EDGES[compand]().tolist(), value)
    assert encode(np.array([value]), compand=compand).tolist() == [wanted] == [bin_of(value, compand=compand)]


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i8", "u1", "?"])
def test_other_types_are_numbers_too(dtype):
    values = np.array([[0, 1], [1, 0]]).astype(dtype)
    assert encode(values, compand=True).tolist() == [[512, 744], [744, 512]]
    assert encode(values, compand=True).dtype == np.int32


def test_shape_and_memory_layout_do_not_matter():
    values = np.random.default_rng(0).normal(size=(4, 3, 2))
    wanted = [bin_of(value, compand=True) for value in values.reshape(-1).tolist()]
    for view in (values, np.asfortranarray(values), values[::-1][::-1], values.astype(">f8")):
        assert encode(view, compand=True).reshape(-1).tolist() == wanted
    assert encode(values.transpose(2, 1, 0), compand=True).transpose(2, 1, 0).reshape(-1).tolist() == wanted
    assert encode(np.zeros((3, 0)), compand=True).shape == (3, 0)
    assert int(encode(np.float64(0.1), compand=True)) == 632


@pytest.mark.parametrize("compand", [True, False])
def test_what_is_out_of_range_falls_into_the_outermost_bins(compand):
    low, high = value_range(compand)
    assert (low, high) == ((-256, 256) if compand else (-1, 1))
    beyond = np.array([high, np.nextafter(high, np.inf), 1e300, low, np.nextafter(low, -np.inf), -1e300])
    assert encode(beyond, compand=compand).tolist() == [1023] * 3 + [0] * 3


def test_observations_in_the_unit_range_use_466_bins():
    bins = encode(np.linspace(-1, 1, 100_001), compand=True)
    assert (bins.min(), bins.max(), len(np.unique(bins))) == (279, 744, 466)


@pytest.mark.parametrize("compand", [True, False])
def test_every_bin_decodes_to_a_value_inside_it(compand):
    centres = decode(np.arange(1024), compand=compand)
    np.testing.assert_array_equal(encode(centres, compand=compand), np.arange(1024))
    np.testing.assert_array_equal(centres, -centres[::-1])


def test_actions_decode_to_the_middle_of_their_bins():
    assert decode(np.array([0, 511, 512, 1023]), compand=False).tolist() == [
        -1023 / 1024,
        -1 / 1024,
        1 / 1024,
        1023 / 1024,
    ]


def test_observations_decode_to_the_middle_of_their_companded_bins():
    with localcontext() as context:
        context.prec = 50
        wanted = [float(((Decimal(25601).ln() * n / 1024).exp() - 1) / 100) for n in range(1, 1024, 2)]
    assert decode(np.arange(512, 1024), compand=True).tolist() == wanted


@given(st.floats(-1, 1))
def test_actions_come_back_within_half_a_bin(value):
    back = float(decode(encode(np.array([value]), compand=False), compand=False)[0])
    assert abs(back - value) <= 1 / 1024


@given(st.floats(-256, 256))
def test_observations_come_back_within_half_a_companded_bin(value):
    def companded(x):
        return float(np.sign(x) * np.log(abs(x) * 100 + 1) / np.log(25601))

    back = float(decode(encode(np.array([value]), compand=True), compand=True)[0])
    assert abs(companded(back) - companded(value)) <= 1 / 1024 + 1e-12


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array(np.nan), "^speed is nan: a finite number is wanted$"),
        (np.array([0, np.nan, np.nan]), "^speed is nan at timestep 1: a finite"),
        (np.array([[0, 0], [0, -np.inf]]), r"^speed is -inf at timestep 1, element \[1\]: a finite"),
        (np.array([[0, np.inf]], np.float16), r"^speed is inf at timestep 0, element \[1\]"),
        (np.array(["1"]), "^speed is of type <U1: numbers are wanted"),
        (np.array([1j]), "^speed is of type complex128"),
        (np.array([None]), "^speed is of type object"),
    ],
)
def test_what_is_no_finite_number_is_named(values, message):
    with pytest.raises(EpisodeError, match=message):
        encode(values, compand=True, field="speed")


def test_a_range_is_mapped_to_the_unit_range():
    values = np.array([2, 3, 4, 6, 10])
    assert rescale(values, 2, 6).tolist() == [-1, -0.5, 0, 1, 3]
    assert encode(values, compand=False, low=2, high=6).tolist() == [0, 256, 512, 1023, 1023]
    assert unscale(np.array([-1.0, 0, 1]), 2, 6).tolist() == [2, 4, 6]


def test_every_element_may_have_its_own_range():
    values = np.array([[0.0, 10.0], [2.0, 30.0]])
    assert rescale(values, (0.0, 10.0), (2.0, 30.0)).tolist() == [[-1, -1], [1, 1]]
    assert rescale(values, 0.0, (2.0, 20.0)).tolist() == [[-1, 0], [1, 2]]
    assert unscale(np.array([[-1.0, -1], [1, 1]]), (0.0, 10.0), (2.0, 30.0)).tolist() == values.tolist()
    square = np.arange(8.0).reshape(2, 2, 2)
    assert rescale(square, (0.0, 1.0, 2.0, 3.0), (4.0, 5.0, 6.0, 7.0)).reshape(2, 4).tolist() == [[-1] * 4, [1] * 4]


@given(st.floats(-1e6, 1e6), st.floats(0.001, 1e6), st.floats(0, 1))
def test_unscale_undoes_rescale(low, width, share):
    high = low + width
    value = low + share * (high - low)
    back = float(unscale(rescale(np.array([value]), low, high), low, high)[0])
    assert abs(back - value) <= 1e-9 * max(abs(low), abs(high), 1)


@pytest.mark.parametrize(
    ("low", "high"), [(1, 1), (2, 1), (np.nan, 1), (-np.inf, np.inf), (-1e308, 1e308), ((0.0, 1.0), (1.0, 1.0))]
)
def test_a_range_that_is_none(low, high):
    with pytest.raises(SettingError, match="is empty or endless"):
        rescale(np.zeros((1, 2)), low, high)


@pytest.mark.parametrize(("low", "high"), [((0.0, 0.0, 0.0), 1.0), (0.0, (1.0, 1.0, 1.0)), ((0.0, 0.0), (1.0,) * 4)])
def test_a_range_of_another_number_of_elements(low, high):
    for convert in (rescale, unscale):
        with pytest.raises(SettingError, match=r"a range has . ends for values of shape"):
            convert(np.zeros((5, 2)), low, high)


def test_what_overflows_while_it_is_rescaled_is_out_of_range():
    values = np.array([1e308, -1e308])
    for compand in (True, False):
        assert encode(values, compand=compand, low=0.0, high=1e-9).tolist() == [1023, 0]


def test_the_table_of_cells_holds_at_most_one_edge_each():
    least, above = continuous._cells()
    assert len(least) == len(above) == 2**18
    assert least.min() == 0
    assert least.max() == 1023
