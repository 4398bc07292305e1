"""Long sequences -> chunks that a reader can open cheaply; windows run over from one chunk into the next."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from gato_schemas.sequence import Modality, TokenSequence

PATCH_CHUNK_TOKENS = 4096
"""Tokens of a chunk with patches: about 3 MB of pixels for Atari, of which a window mostly needs all distinct ones."""
CHUNK_BYTES = 65_504
"""Bytes of the tokens of a chunk without patches: 32,752 of uint16, 16,376 of int32, which fit into a stored stream."""


def chunk(sequence: TokenSequence, limit: int | None = None) -> Iterator[TokenSequence]:
    """Cut a sequence into pieces of at most `limit` tokens, at timestep boundaries.

    A document is cut at tokens, but never inside an image. A timestep or an image longer than the limit stays whole.
    """
    if limit is None:
        limit = PATCH_CHUNK_TOKENS if sequence.num_patches else CHUNK_BYTES // sequence.tokens.itemsize
    if sequence.num_tokens <= limit:
        yield sequence
        return
    bounds = _cuts(_allowed(sequence), sequence.num_tokens, limit)
    patches_before = np.concatenate([[0], np.cumsum(sequence.modality == Modality.PATCH)])
    for start, stop in pairwise(bounds):
        timesteps = slice(*np.searchsorted(sequence.timestep_starts, (start, stop)))
        images = slice(*np.searchsorted(sequence.image_grid[:, 0], patches_before[[start, stop]]))
        yield sequence.slice(start, stop, timesteps=timesteps, images=images)


def _allowed(sequence: TokenSequence) -> np.ndarray[tuple[int], np.dtype[np.int64]] | None:
    """Tokens before which a cut may be made, ascending; None means before any token."""
    if sequence.num_timesteps:
        return sequence.timestep_starts.astype(np.int64)
    if not sequence.num_images:
        return None
    patch_slots = np.flatnonzero(sequence.modality == Modality.PATCH)
    allowed = np.ones(sequence.num_tokens, bool)
    allowed[patch_slots] = False
    allowed[patch_slots[sequence.image_grid[:, 0]]] = True
    return np.flatnonzero(allowed)


def _cuts(allowed: np.ndarray[tuple[int], np.dtype[np.int64]] | None, total: int, limit: int) -> list[int]:
    bounds = [0]
    while total - bounds[-1] > limit:
        target = bounds[-1] + limit
        if allowed is None:
            bounds.append(target)
            continue
        place = int(np.searchsorted(allowed, target, side="right")) - 1
        if allowed[place] <= bounds[-1]:
            place = int(np.searchsorted(allowed, bounds[-1], side="right"))
        if place >= len(allowed):
            break
        bounds.append(int(allowed[place]))
    return [*bounds, total]


def join(pieces: Sequence[TokenSequence]) -> TokenSequence:
    """The chunks of one episode, in order, as one sequence: the inverse of `chunk`."""
    if len(pieces) == 1:
        return pieces[0]
    tokens = np.cumsum([0, *(piece.num_tokens for piece in pieces)])
    patches = np.cumsum([0, *(piece.num_patches for piece in pieces)])
    columns = {name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in _WHOLE}
    starts = [piece.timestep_starts + before for piece, before in zip(pieces, tokens, strict=False)]
    grids = [piece.image_grid + np.array([before, 0, 0, 0, 0]) for piece, before in zip(pieces, patches, strict=False)]
    return TokenSequence(
        **columns,
        timestep_starts=np.concatenate(starts).astype(np.int32),
        image_grid=np.concatenate(grids).astype(np.int32),
    )


_WHOLE = ("tokens", "loss_mask", "modality", "position", "reward", "patches", "patch_position")
