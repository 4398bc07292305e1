"""64 bits over an episode's tokens and pixels: equal for exact duplicates, whatever their names."""

import hashlib

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from gato_schemas.patches import DistinctPatches
from gato_schemas.sequence import TokenSequence

_HASHED_BYTES = 1 << 16
_GATHERED_PATCHES = 256


class EpisodeHasher:
    """Takes an episode chunk by chunk; memory grows by 4 bytes per 64 KiB of pixels.

    Pixels go in as one CRC32C per 64 KiB, which is ten times faster than hashing them.
    """

    def __init__(self) -> None:
        self._digest = hashlib.blake2b(digest_size=8)
        self._checksums = bytearray()
        self._rest = np.zeros(0, np.uint8)

    def add_tokens(self, tokens: NDArray[np.uint16] | NDArray[np.int32]) -> None:
        """The next tokens of the episode."""
        self._digest.update(np.ascontiguousarray(tokens).data)

    def add_pixels(self, pixels: NDArray[np.uint8]) -> None:
        """The next pixels of the episode, of any shape."""
        flat = np.ascontiguousarray(pixels).reshape(-1)
        if len(self._rest):
            flat = np.concatenate([self._rest, flat])
        whole = len(flat) - len(flat) % _HASHED_BYTES
        for start in range(0, whole, _HASHED_BYTES):
            self._add_checksum(flat[start : start + _HASHED_BYTES])
        self._rest = flat[whole:].copy()

    def add_patches(self, patches: DistinctPatches) -> None:
        """The next pixels of the episode, as a record holds them; a few are gathered at a time."""
        for start in range(0, len(patches.index), _GATHERED_PATCHES):
            self.add_pixels(patches.patches[patches.index[start : start + _GATHERED_PATCHES]])

    def result(self) -> int:
        """The hash of an episode that is complete."""
        if len(self._rest):
            self._add_checksum(self._rest)
        self._digest.update(self._checksums)
        return int.from_bytes(self._digest.digest(), "little")

    def _add_checksum(self, pixels: NDArray[np.uint8]) -> None:
        self._checksums += google_crc32c.value(pixels).to_bytes(4, "little")


def episode_hash(sequence: TokenSequence) -> int:
    """The hash of a whole episode."""
    hasher = EpisodeHasher()
    hasher.add_tokens(sequence.tokens)
    hasher.add_pixels(sequence.patches)
    return hasher.result()
