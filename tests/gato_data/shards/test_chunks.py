import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_data.shards.chunks import PATCH_CHUNK_TOKENS, chunk
from gato_schemas.sequence import Modality, check
from tests.schemas.sequences import SEQUENCES, assert_equal, document, episode

FLAT = ("tokens", "loss_mask", "modality", "position", "reward", "patches", "patch_position")


def pieces_of(sequence):
    """Lengths of what must stay whole: timesteps, or images and single tokens."""
    if sequence.num_timesteps:
        return np.diff([*sequence.timestep_starts, sequence.num_tokens]).tolist()
    sizes = iter((sequence.image_grid[:, 1] * sequence.image_grid[:, 2]).tolist())
    lengths, at = [], 0
    while at < sequence.num_tokens:
        lengths.append(next(sizes) if sequence.modality[at] == Modality.PATCH else 1)
        at += lengths[-1]
    return lengths


@given(SEQUENCES, st.integers(1, 40))
def test_chunks_give_the_sequence_back(sequence, limit):
    chunks = list(chunk(sequence, limit))
    for piece in chunks:
        check(piece)
    for name in FLAT:
        joined = np.concatenate([getattr(piece, name) for piece in chunks])
        assert joined.dtype == getattr(sequence, name).dtype
        np.testing.assert_array_equal(joined, getattr(sequence, name))
    tokens = np.cumsum([0, *(piece.num_tokens for piece in chunks)])
    starts = [piece.timestep_starts + first for piece, first in zip(chunks, tokens, strict=False)]
    np.testing.assert_array_equal(np.concatenate(starts), sequence.timestep_starts)
    patches = np.cumsum([0, *(piece.num_patches for piece in chunks)])
    grids = [piece.image_grid + np.array([first, 0, 0, 0, 0]) for piece, first in zip(chunks, patches, strict=False)]
    np.testing.assert_array_equal(np.concatenate(grids), sequence.image_grid)


@given(SEQUENCES, st.integers(1, 40))
def test_limits_are_kept_and_nothing_is_cut_inside(sequence, limit):
    chunks = [piece.num_tokens for piece in chunk(sequence, limit)]
    pieces = pieces_of(sequence)
    boundaries = set(np.cumsum([0, *pieces]).tolist())
    assert set(np.cumsum(chunks).tolist()) <= boundaries
    for length in chunks:
        assert length <= max(limit, *pieces, 1)
    # as few chunks as a greedy packing of what must stay whole
    greedy, room = 1, limit
    for size in pieces:
        if size > room and room < limit:
            greedy, room = greedy + 1, limit
        room -= size
    assert len(chunks) == greedy


def test_a_short_sequence_is_its_own_chunk():
    sequence = episode(steps=2, grids=[(1, 1)], tensors=1)
    assert list(chunk(sequence)) == [sequence]
    assert list(chunk(sequence, sequence.num_tokens)) == [sequence]
    (empty,) = chunk(document([]), 1)
    assert_equal(empty, document([]))


def test_a_timestep_longer_than_the_limit_stays_whole():
    sequence = episode(steps=3, grids=[(2, 3)], tensors=1)
    assert [piece.num_tokens for piece in chunk(sequence, 4)] == [9, 9, 9]
    assert [piece.num_tokens for piece in chunk(sequence, 20)] == [18, 9]


def test_an_image_longer_than_the_limit_stays_whole():
    sequence = document([3, (2, 3), 3])
    assert [piece.num_tokens for piece in chunk(sequence, 2)] == [2, 1, 6, 2, 1]
    assert [piece.num_images for piece in chunk(sequence, 2)] == [0, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("sequence", "limit"),
    [
        (episode(steps=300, grids=[(4, 4)], tensors=0), PATCH_CHUNK_TOKENS),
        (document([32_753]), 32_752),
        (document([16_377], dtype="i4"), 16_376),
        (document([4000, (2, 3), 200]), PATCH_CHUNK_TOKENS),
    ],
)
def test_default_limits(sequence, limit):
    first, last = chunk(sequence)
    assert limit - 18 < first.num_tokens <= limit
    assert first.num_tokens + last.num_tokens == sequence.num_tokens
    assert np.shares_memory(first.patches, sequence.patches) or not sequence.num_patches
