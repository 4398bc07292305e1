"""Are the distinct patches of a record what they should be: each once, in order of first appearance, with its hash."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gato_data.distinct_patches import distinct, hash_patches, merge
from gato_data.shards.episode_hash import EpisodeHasher
from gato_data.verify.payloads import pixel_problems
from gato_schemas import wire
from gato_schemas.errors import FormatError
from gato_schemas.patches import DistinctPatches
from gato_schemas.record import distinct_of


def patch_problems(features: wire.Features, encoding: str, hasher: EpisodeHasher) -> Iterator[str]:
    """Yield what is wrong with the patches of a record; memory is that of its distinct ones.

    Args:
        features: of the record.
        encoding: of its patches, "zlib" or "raw".
        hasher: of the episode, which takes in all patches where they can be read.
    """
    try:
        patches = distinct_of(features, encoding)
    except FormatError as error:
        yield str(error)
        return
    yield from pixel_problems(features, patches, encoding)
    if not len(patches.index) and not len(patches.patches):
        return
    yield from _order(patches.index.astype(np.int64), len(patches.patches))
    yield from _hashes(patches)
    hasher.add_patches(patches)


def _order(index: NDArray[np.int64], count: int) -> Iterator[str]:
    """Every distinct patch is used, and none before those that stand before it."""
    unused = np.flatnonzero(np.bincount(index, minlength=count) == 0)
    newest = np.maximum.accumulate(index)
    early = np.flatnonzero(np.diff(newest, prepend=-1) > 1)
    if unused.size:
        yield f"distinct patch {unused[0]} of {count} is never used"
    elif early.size:
        at = int(early[0])
        before = int(newest[at - 1]) + 1 if at else 0
        yield f"patch {at} is distinct patch {index[at]}, before distinct patch {before} has appeared"


def _hashes(patches: DistinctPatches) -> Iterator[str]:
    """Every hash is that of its patch, and no two patches or hashes are equal."""
    hashes = hash_patches(patches.patches)
    wrong = np.flatnonzero(hashes != patches.hashes)
    if wrong.size:
        row = int(wrong[0])
        yield f"distinct patch {row} has the hash {hashes[row]}, column patch_hash says {patches.hashes[row]}"
    _, by_hash = merge(hashes)
    alike = np.flatnonzero(by_hash != np.arange(len(hashes)))
    if not alike.size:
        return  # equal patches have equal hashes
    _, by_pixels = distinct(patches.patches)
    again = np.flatnonzero(by_pixels != np.arange(len(hashes)))
    if again.size:
        yield f"distinct patches {by_pixels[again[0]]} and {again[0]} are equal"
    else:
        row = int(alike[0])
        yield f"distinct patches {np.flatnonzero(hashes == hashes[row])[0]} and {row} differ and have one hash"
