import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_schemas.errors import FormatError
from gato_schemas.sequence import PATCH_BYTES, Modality, check
from tests.schemas.sequences import DOCUMENTS, EPISODES, SEQUENCES, document, episode

TWO_IMAGES = episode(steps=2, grids=[(2, 1), (1, 1)], tensors=2)


def test_the_numbers_of_the_modalities_are_those_on_disk():
    assert [(m.name, m.value) for m in Modality] == [
        ("TEXT", 0),
        ("PATCH", 1),
        ("DISCRETE", 2),
        ("CONTINUOUS", 3),
        ("SEPARATOR", 4),
    ]
    assert PATCH_BYTES == 768


def test_counts():
    assert (TWO_IMAGES.num_tokens, TWO_IMAGES.num_patches, TWO_IMAGES.num_timesteps, TWO_IMAGES.num_images) == (
        14,
        6,
        2,
        4,
    )
    assert document([3, (1, 2), 2]).num_timesteps == 0


@given(SEQUENCES)
def test_columns_that_agree_pass(sequence):
    check(sequence)


@given(EPISODES, st.data())
def test_a_cut_at_timesteps(sequence, data):
    first = data.draw(st.integers(0, sequence.num_timesteps))
    last = data.draw(st.integers(first, sequence.num_timesteps))
    starts = [*sequence.timestep_starts.tolist(), sequence.num_tokens]
    start, stop = starts[first], starts[last]
    images = sequence.num_images // sequence.num_timesteps
    cut = sequence.slice(start, stop, timesteps=slice(first, last), images=slice(first * images, last * images))
    check(cut)
    patches = np.cumsum([0, *(sequence.modality == Modality.PATCH)])
    np.testing.assert_array_equal(cut.tokens, sequence.tokens[start:stop])
    np.testing.assert_array_equal(cut.patches, sequence.patches[patches[start] : patches[stop]])
    np.testing.assert_array_equal(cut.patch_position, sequence.patch_position[patches[start] : patches[stop]])
    np.testing.assert_array_equal(cut.timestep_starts + start, sequence.timestep_starts[first:last])
    np.testing.assert_array_equal(cut.reward, sequence.reward[first:last])


def test_a_cut_shares_the_pixels():
    cut = TWO_IMAGES.slice(7, 14, timesteps=slice(1, 2), images=slice(2, 4))
    assert np.shares_memory(cut.patches, TWO_IMAGES.patches)
    assert cut.image_grid[:, 0].tolist() == [0, 2]


@given(DOCUMENTS)
def test_a_whole_document_is_a_cut_of_itself(sequence):
    check(sequence.slice(0, sequence.num_tokens, timesteps=slice(0), images=slice(None)))


GRID = TWO_IMAGES.image_grid


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("tokens", np.zeros(14, np.int64), "tokens is int64, uint16 or int32"),
        ("tokens", np.zeros(14, np.uint32), "tokens is uint32"),
        ("loss_mask", np.zeros(14, np.bool_), "loss_mask is bool .* uint8"),
        ("loss_mask", np.zeros(13, np.uint8), "loss_mask has 13 values for 14 tokens"),
        ("modality", np.full(14, 2, np.uint8), "6 patches are stored for 0 patch tokens"),
        ("modality", np.array([1] * 6 + [5] * 8, np.uint8), "modality 5 is unknown"),
        ("position", np.zeros(14, np.int32), "position is int32"),
        ("reward", np.zeros(3, np.float32), "reward has 3 values for 2 timesteps"),
        ("reward", np.zeros((2, 1), np.float32), "reward is float32 with rows"),
        ("patch_position", np.zeros((6, 3), np.uint8), "patch_position is uint8 with rows"),
        ("patch_position", np.zeros((5, 4), np.uint8), "patch_position has 5 rows for 6 patches"),
        ("patches", np.zeros((6, 16, 16, 1), np.uint8), "patches is uint8 with rows"),
        ("timestep_starts", np.array([7, 0], np.int32), "timestep_starts does not ascend from 0 to 14"),
        ("timestep_starts", np.array([1, 7], np.int32), "timestep_starts does not ascend"),
        ("timestep_starts", np.array([0, 0], np.int32), "timestep_starts does not ascend"),
        ("timestep_starts", np.array([0, 14], np.int32), "timestep_starts does not ascend"),
        ("image_grid", GRID[:3], "image_grid has an image outside"),
        ("image_grid", GRID[::-1], "image_grid has an image outside"),
        ("image_grid", GRID * np.int32([1, -1, -1, 1, 1]), "image_grid has an image outside"),
        ("image_grid", GRID + np.int32([0, 0, 0, 17, 0]), "image_grid has an image outside"),
        ("image_grid", GRID * np.int32([1, 1, 1, 0, 1]), "image_grid has an image outside"),
        ("image_grid", GRID + np.int32([0, 2**31 - 3, 2**31 - 2, 0, 0]), "image_grid has an image outside"),
        ("image_grid", GRID[:0], "image_grid has an image outside"),
    ],
)
def test_columns_that_do_not_agree(column, value, message):
    with pytest.raises(FormatError, match=message):
        check(dataclasses.replace(TWO_IMAGES, **{column: value}))
