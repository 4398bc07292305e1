"""Keyed hashes and permutations: random choices that are pure functions of their keys, computed for whole arrays.

A permutation of n numbers is never stored for large n: a Feistel network over a x b >= n (a and b near the root of
n) maps each number by itself, and the few results beyond n are mapped again until they fall inside. Small ones, where
a Feistel network is measurably uneven, are tables sorted by hash.
"""

import hashlib
from array import array
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Keys: TypeAlias = NDArray[np.uint64]
Numbers: TypeAlias = NDArray[np.int64]

TABLE_SIZE = 4096
"""Up to this size a permutation is a table; pair statistics of the network are clean from about 200 on."""
ROUNDS = 8

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_HALF = np.uint64(32)


def key(seed: int, *words: str | int) -> np.uint64:
    """64 bits that depend on a seed and on what the words name."""
    text = "\0".join([str(seed), *map(str, words)])
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little"))


def scramble(values: Keys) -> Keys:
    """The finalizer of splitmix64: a bijection whose every output bit depends on every input bit."""
    values = (values ^ (values >> np.uint64(30))) * _FIRST
    values = (values ^ (values >> np.uint64(27))) * _SECOND
    return values ^ (values >> np.uint64(31))


_ROUND_KEYS = scramble(np.arange(1, ROUNDS + 1, dtype=np.uint64) * _GOLDEN)


def combine(keys: Keys | np.uint64, numbers: Any) -> Keys:
    """A new key from each key and number, elementwise and broadcasting; always at least one-dimensional."""
    mixed = np.atleast_1d(np.asarray(keys, np.uint64)) ^ scramble(
        np.atleast_1d(np.asarray(numbers)).astype(np.uint64) * _GOLDEN + _GOLDEN
    )
    return scramble(mixed + _GOLDEN)


def below(keys: Keys, bounds: Any) -> Numbers:
    """One number in [0, bound) for each key, uniform to within bound / 2**32; bounds stay below 2**31."""
    scaled: Keys = (keys >> _HALF) * np.asarray(bounds).astype(np.uint64) >> _HALF
    return scaled.astype(np.int64)


def permute(numbers: Numbers, sizes: Numbers, keys: Keys) -> Numbers:
    """Where each number in [0, size) goes under the permutation of its key.

    Args:
        numbers: int64 (N,).
        sizes: int64 (N,), at least 1 and at most 2**60.
        keys: uint64 (N,), one permutation each.
    """
    result = np.empty(len(numbers), np.int64)
    small = sizes <= TABLE_SIZE
    if small.any():
        where = np.flatnonzero(small)
        rows = zip(numbers[where].tolist(), sizes[where].tolist(), keys[where].tolist(), strict=True)
        result[where] = [0 if size == 1 else _table(size, key)[number] for number, size, key in rows]
    where = np.flatnonzero(~small)
    at, size, key = numbers[where], sizes[where], keys[where]
    while len(where):
        at = _feistel(at, size, key)
        done = at < size
        result[where[done]] = at[done]
        where, at, size, key = where[~done], at[~done], size[~done], key[~done]
    return result


@lru_cache(maxsize=2048)
def _table(size: int, key: int) -> "array[int]":
    """The permutation as 16-bit numbers, so that all tables that are kept take 16 MiB together."""
    hashes = combine(np.uint64(key), np.arange(size))
    return array("H", np.argsort(hashes, kind="stable").astype(np.uint16).tobytes())


def _feistel(numbers: Numbers, sizes: Numbers, keys: Keys) -> Numbers:
    """One pass of the network over [0, a * b); a * b is less than `sizes` plus its root."""
    a = np.ceil(np.sqrt(sizes.astype(np.float64))).astype(np.int64)
    b = -(-sizes // a)
    left, right = np.divmod(numbers, b)
    for number, constant in enumerate(_ROUND_KEYS):
        round_keys = keys ^ constant
        if number % 2:
            right = (right + below(scramble(round_keys + left.astype(np.uint64) * _GOLDEN), b)) % b
        else:
            left = (left + below(scramble(round_keys + right.astype(np.uint64) * _GOLDEN), a)) % a
    result: Numbers = left * b + right
    return result
