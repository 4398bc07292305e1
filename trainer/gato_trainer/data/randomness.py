"""Random numbers as pure functions of (seed, step, global sample number): the same on any number of processes.

Nothing draws from a generator with state, so a resumed run, or one on other processes, sees the
same numbers.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from gato_data.permutation import scramble

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MASK32 = 0xFFFFFFFF

STREAM_DEPTH, STREAM_ROW, STREAM_COLUMN, STREAM_DROPOUT, STREAM_PARAMETER, STREAM_ACTION = range(1, 7)
"""What a number is for; one sample uses different numbers for different things."""


def combine(key: NDArray[np.uint64], value: NDArray[np.generic] | int) -> NDArray[np.uint64]:
    """A new key from a key and a number, elementwise and broadcasting."""
    with np.errstate(over="ignore"):
        return scramble(scramble(key + _GOLDEN) ^ (np.asarray(value).astype(np.uint64) * _GOLDEN + np.uint64(1)))


def sample_keys(seed: int, step: int, sample: NDArray[np.int64], stream: int) -> NDArray[np.uint64]:
    """uint64 (B,): one key per global sample number."""
    root = np.full(1, seed, np.uint64)
    return combine(combine(combine(root, step), stream), sample)


def uniform(key: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1) with 53 bits, one per key."""
    return (scramble(key + _GOLDEN) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def name_seed(seed: int, name: str) -> int:
    """A 63-bit seed for what is called `name`, such as a parameter."""
    key = combine(np.full(1, seed, np.uint64), STREAM_PARAMETER)
    for byte in name.encode():
        key = combine(key, byte)
    return int(key[0] >> np.uint64(1))


def mix32(bits: torch.Tensor) -> torch.Tensor:
    """Scramble int64 numbers in [0, 2**32). Products stay below 2**63, so every device computes the same."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x46A2D2A5)):
        bits = ((bits ^ (bits >> shift)) * factor) & _MASK32
    return bits ^ (bits >> 16)


def row_keys(sample_key: torch.Tensor, length: int) -> torch.Tensor:
    """int64 (B * length,): a 32-bit key per token from int64 (B,), 32-bit keys per window."""
    position = torch.arange(length, device=sample_key.device, dtype=torch.int64) * 0x85EBCA6B
    return mix32((sample_key[:, None] + position[None, :]) & _MASK32).flatten()


def dropout(x: torch.Tensor, rate: float, row_key: torch.Tensor, site: int | torch.Tensor) -> torch.Tensor:
    """Dropout whose mask depends on the token's key, the site in the model and the feature only.

    Args:
        x: (..., D) with N rows in all.
        rate: chance of a zero; what stays is divided by 1 - rate.
        row_key: int64 (N,), 32-bit keys.
        site: a number of the place in the model, or int64 () with it.
    """
    width = x.shape[-1]
    key = mix32((row_key + site * 0xC2B2AE35) & _MASK32)
    feature = torch.arange(width, device=x.device, dtype=torch.int64) * 0x9E3779B1
    bits = mix32((key[:, None] + feature[None, :]) & _MASK32)
    keep = (bits >= int(rate * 2**32)).view(x.shape)
    return x * keep / (1.0 - rate)


def element_bits(key: torch.Tensor, first: int, shape: torch.Size) -> torch.Tensor:
    """int64 numbers in [0, 2**32) of this shape: those of the elements `first` on of a tensor.

    Args:
        key: int64 (), a 32-bit key of the tensor.
        first: number of the first element in the whole tensor, of which this may be a part.
        shape: of the part.
    """
    element = torch.arange(first, first + shape.numel(), device=key.device, dtype=torch.int64)
    return mix32((element * 0x9E3779B1 + key) & _MASK32).view(shape)
