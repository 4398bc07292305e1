from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_data.errors import EpisodeError
from gato_data.tokenizers.image import from_patches, grid, patch_positions, to_patches

SIDES = st.integers(1, 6)


def pictures(steps, rows, columns, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (steps, 16 * rows, 16 * columns, 3)).astype(np.uint8)


@given(st.integers(0, 3), SIDES, SIDES)
def test_patches_stand_in_raster_order(steps, rows, columns):
    images = pictures(steps, rows, columns)
    patches = to_patches(images)
    assert patches.shape == (steps, rows * columns, 16, 16, 3)
    for t in range(steps):
        for number in range(rows * columns):
            r, c = divmod(number, columns)
            np.testing.assert_array_equal(patches[t, number], images[t, 16 * r : 16 * r + 16, 16 * c : 16 * c + 16])


@given(SIDES, SIDES, st.data())
def test_an_image_is_put_back_together_without_its_padding(rows, columns, data):
    images = pictures(2, rows, columns)
    patches = to_patches(images).reshape(-1, 16, 16, 3)
    height, width = data.draw(st.integers(1, 16 * rows)), data.draw(st.integers(1, 16 * columns))
    for t in range(2):
        row = np.array([t * rows * columns, rows, columns, height, width], np.int32)
        np.testing.assert_array_equal(from_patches(patches, row), images[t, :height, :width])


def test_patches_are_written_where_they_are_wanted():
    images = pictures(2, 2, 1)
    out = np.full((2, 5, 16, 16, 3), 7, np.uint8)
    to_patches(images, out[:, 1:3])
    np.testing.assert_array_equal(out[:, 1:3], to_patches(images))
    assert (out[:, [0, 3, 4]] == 7).all()
    np.testing.assert_array_equal(to_patches(images[:, ::-1, ::-1]), to_patches(images[:, ::-1, ::-1].copy()))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((1, 16, 16, 3)), r"^camera is float64 \(1, 16, 16, 3\): uint8 \(T, H, W, 3\) is wanted"),
        (np.zeros((16, 16, 3), np.uint8), r"^camera is uint8 \(16, 16, 3\)"),
        (np.zeros((1, 16, 16, 4), np.uint8), r"^camera is uint8 \(1, 16, 16, 4\)"),
        (np.zeros((1, 84, 84, 3), np.uint8), "^camera is 84x84 pixels: sides that are multiples of 16"),
        (np.zeros((1, 0, 16, 3), np.uint8), "^camera is 0x16 pixels"),
    ],
)
def test_what_is_no_image_of_patches(images, message):
    with pytest.raises(EpisodeError, match=message):
        to_patches(images, field="camera")


def test_the_grid_of_an_image():
    assert grid(64, 80) == (4, 5)


def test_positions_of_the_example_in_the_paper():
    """Appendix C.3: the patch at rows 16..32 and columns 32..48 of a 64 x 80 image is [32, 64] x [51, 77]."""
    positions = patch_positions(4, 5)
    assert positions[5 + 2].tolist() == [32, 64, 51, 77]
    rows, columns = positions[::5, :2].tolist(), positions[:5, 2:].tolist()
    assert rows == [[0, 32], [32, 64], [64, 96], [96, 128]]
    assert columns == [[0, 26], [26, 51], [51, 77], [77, 102], [102, 128]]


def mean_positions(patch_position):
    """Row and column index used in evaluation, int64 (P, 2): the mean of the interval, half to even."""
    low, high = patch_position[:, 0::2].astype(np.int64), patch_position[:, 1::2].astype(np.int64)
    return np.rint((low + high) / 2).astype(np.int64)


def test_positions_in_evaluation_are_the_mean_half_to_even():
    means = mean_positions(patch_positions(4, 5))
    assert means[::5, 0].tolist() == [16, 48, 80, 112]
    assert means[:5, 1].tolist() == [13, 38, 64, 90, 115]


@given(st.integers(1, 800), st.integers(1, 20))
def test_positions_are_exactly_rounded(rows, columns):
    positions = patch_positions(rows, columns)
    assert positions.shape == (rows * columns, 4)
    lows = [round(Fraction(128 * r, rows)) for r in range(rows + 1)]  # Python rounds half to even
    assert positions[::columns, 0].tolist() == lows[:-1]
    assert positions[::columns, 1].tolist() == lows[1:]
    np.testing.assert_array_equal(positions.reshape(rows, columns, 4)[0, :, 2:], patch_positions(columns, 1)[:, :2])


def test_positions_are_shared_and_read_only():
    assert patch_positions(4, 5) is patch_positions(4, 5)
    with pytest.raises(ValueError, match="read-only"):
        patch_positions(4, 5)[0] = 1
