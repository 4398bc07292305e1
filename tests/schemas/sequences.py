"""Small token sequences whose columns agree, made without the tokenizer."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from gato_schemas.sequence import (
    PATCH_SHAPE,
    POSITION_ACTION,
    POSITION_NONE,
    POSITION_SEPARATOR,
    Modality,
    TokenSequence,
)

COLUMNS = (
    "tokens",
    "loss_mask",
    "modality",
    "position",
    "timestep_starts",
    "reward",
    "patches",
    "patch_position",
    "image_grid",
)


def assert_equal(found: TokenSequence, wanted: TokenSequence) -> None:
    """Every column has the same dtype, shape and bytes (NaN included)."""
    for name in COLUMNS:
        mine, theirs = getattr(found, name), getattr(wanted, name)
        assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape), name
        assert mine.tobytes() == theirs.tobytes(), name


def episode(steps: int, grids: Sequence[tuple[int, int]], tensors: int, dtype: str = "u2", seed: int = 0):
    """Timesteps that each have the given images, some continuous values, the separator and one action."""
    patches = sum(rows * columns for rows, columns in grids)
    modality = [Modality.PATCH] * patches + [Modality.CONTINUOUS] * tensors + [Modality.SEPARATOR, Modality.DISCRETE]
    position = [*range(patches + tensors), POSITION_SEPARATOR, POSITION_ACTION]
    width = len(modality)
    first = np.cumsum([0] + [rows * columns for rows, columns in grids])
    grid = [[t * patches + first[i], r, c, 16 * r, 16 * c - 1] for t in range(steps) for i, (r, c) in enumerate(grids)]
    return _sequence(
        np.tile(np.array(modality, np.uint8), steps),
        np.tile(np.array(position, np.uint16), steps),
        np.arange(steps, dtype=np.int32) * width,
        np.array(grid, np.int32).reshape(-1, 5),
        dtype,
        seed,
    )


def document(segments: Sequence[int | tuple[int, int]], dtype: str = "u2", seed: int = 0):
    """Texts of so many tokens, and images of so many rows and columns of patches."""
    modality: list[int] = []
    grid, first = [], 0
    for segment in segments:
        if isinstance(segment, int):
            modality += [Modality.TEXT] * segment
        else:
            modality += [Modality.PATCH] * (segment[0] * segment[1])
            grid.append([first, *segment, 16 * segment[0], 16 * segment[1]])
            first += segment[0] * segment[1]
    return _sequence(
        np.array(modality, np.uint8),
        np.full(len(modality), POSITION_NONE, np.uint16),
        np.zeros(0, np.int32),
        np.array(grid, np.int32).reshape(-1, 5),
        dtype,
        seed,
    )


def _sequence(modality, position, starts, grid, dtype, seed) -> TokenSequence:
    rng = np.random.default_rng(seed)
    patch = modality == Modality.PATCH
    tokens = rng.integers(0, 33025, len(modality)).astype(dtype)
    tokens[patch] = np.array(-1).astype(dtype)
    patches = rng.integers(0, 256, (np.count_nonzero(patch), 16, 16, 3)).astype(np.uint8)
    repeats = rng.integers(0, max(len(patches), 1), len(patches))
    return TokenSequence(
        tokens=tokens,
        loss_mask=np.isin(modality, (Modality.TEXT, Modality.DISCRETE)).astype(np.uint8),
        modality=modality,
        position=position,
        timestep_starts=starts,
        reward=rng.normal(size=len(starts)).astype(np.float32),
        patches=patches[repeats],
        patch_position=rng.integers(0, 129, (len(patches), 4)).astype(np.uint8),
        image_grid=grid,
    )


_DTYPES = st.sampled_from(["u2", "i4"])
_GRIDS = st.tuples(st.integers(1, 2), st.integers(1, 3))
EPISODES = st.builds(
    episode,
    steps=st.integers(1, 5),
    grids=st.lists(_GRIDS, max_size=2),
    tensors=st.integers(0, 3),
    dtype=_DTYPES,
    seed=st.integers(0, 99),
)
DOCUMENTS = st.builds(
    document,
    segments=st.lists(st.integers(0, 9) | _GRIDS, max_size=6),
    dtype=_DTYPES,
    seed=st.integers(0, 99),
)
SEQUENCES = EPISODES | DOCUMENTS


def of_one_hash() -> NDArray[np.uint8]:
    """Two patches uint8 (2, 16, 16, 3) that differ in eight bytes and have the same hash."""
    words = np.zeros((2, 192), "<u4")
    words[0, 1], words[1, 0] = 1_914_358_636, 247_716_564
    return words.view(np.uint8).reshape(2, *PATCH_SHAPE)
