"""The kernels of the patch block: forward, backward to all but the 3 x 3 convolutions' weights, and those weights."""

import triton
import triton.language as tl

from gato_trainer.kernels.fused_patch_tile import (
    PLACES,
    TAPS,
    cell,
    columns,
    convolved,
    gelu,
    gelu_slope,
    normalised,
    normalised_backward,
    pooled,
    vector,
)

VECTORS = tl.constexpr(7)
"""Parameters of every channel: three biases of convolutions, gains and biases of two normalisations."""


@triton.jit(do_not_specialize=["count"])
def patch_forward(
    pixels, root, root_bias, gain1, bias1, conv1, conv1_bias, gain2, bias2, conv2, conv2_bias, result, count,
    GRID: tl.constexpr, CHANNELS: tl.constexpr, PATCHES: tl.constexpr,
):  # fmt: skip
    """The averaged grids of PATCHES patches: result (count, CHANNELS * GRID * GRID)."""
    first = tl.program_id(0).to(tl.int64) * PATCHES
    channel = tl.arange(0, CHANNELS)
    seen = columns(pixels, first, count, PATCHES, root.dtype.element_ty)
    matrix = tl.load(root + tl.arange(0, TAPS)[:, None] * CHANNELS + channel[None, :])
    x = tl.dot(seen, matrix) + vector(root_bias, CHANNELS)
    y, _ = normalised(x, CHANNELS)
    y = convolved(gelu(y * vector(gain1, CHANNELS) + vector(bias1, CHANNELS)), conv1, CHANNELS)
    y, _ = normalised(y + vector(conv1_bias, CHANNELS), CHANNELS)
    y = convolved(gelu(y * vector(gain2, CHANNELS) + vector(bias2, CHANNELS)), conv2, CHANNELS)
    grid = pooled(x + y + vector(conv2_bias, CHANNELS), GRID, CHANNELS)
    cells: tl.constexpr = GRID * GRID
    row = tl.arange(0, PATCHES * cells)[:, None]
    place = row // cells * (CHANNELS * cells) + channel[None, :] * cells + row % cells
    result += first * (CHANNELS * cells)
    tl.store(result + place, grid.to(result.dtype.element_ty), mask=row // cells < count - first)


@triton.jit
def _grid_gradient(d_result, first, last, PATCHES: tl.constexpr, GRID: tl.constexpr, CHANNELS: tl.constexpr):
    """The gradient of what was averaged, (rows, CHANNELS); zeros for patches from `last` on."""
    cells: tl.constexpr = GRID * GRID
    row = tl.arange(0, PATCHES * PLACES)[:, None]
    channel = tl.arange(0, CHANNELS)[None, :]
    place = row // 64 * (CHANNELS * cells) + channel * cells + cell(row, GRID)
    value = tl.load(d_result + first * (CHANNELS * cells) + place, mask=row // 64 < last - first, other=0.0)
    return value.to(tl.float32) * (cells / 64.0)


@triton.jit
def _map_place(PATCHES: tl.constexpr, CHANNELS: tl.constexpr):
    """Where this program's rows lie in maps and gradients."""
    row = tl.arange(0, PATCHES * PLACES)[:, None]
    channel = tl.arange(0, CHANNELS)[None, :]
    return tl.program_id(0).to(tl.int64) * (PATCHES * PLACES * CHANNELS) + (row * CHANNELS + channel)


@triton.jit(do_not_specialize=["first_patch", "last_patch"])
def patch_backward_late(
    pixels, root, root_bias, gain1, bias1, conv1, conv1_bias, gain2, bias2, conv2_back,
    d_result, maps, gradients, d_vectors, first_patch, last_patch, map_step,
    GRID: tl.constexpr, CHANNELS: tl.constexpr, PATCHES: tl.constexpr,
):  # fmt: skip
    """PATCHES patches, from d_result (count, CHANNELS * GRID * GRID) back to the output of the first convolution.

    maps and gradients (2, piece, 64, CHANNELS) take input and gradient of the output of both convolutions, `map_step`
    numbers apart; d_vectors (programs, 7, CHANNELS) the program's sums of the four last.
    """
    program = tl.program_id(0).to(tl.int64)
    first = first_patch + program * PATCHES
    channel = tl.arange(0, CHANNELS)
    here = first + tl.arange(0, PATCHES * PLACES)[:, None] // 64 < last_patch
    stored = _map_place(PATCHES, CHANNELS)
    seen = columns(pixels, first, last_patch, PATCHES, root.dtype.element_ty)
    matrix = tl.load(root + tl.arange(0, TAPS)[:, None] * CHANNELS + channel[None, :])
    x, _ = normalised(tl.dot(seen, matrix) + vector(root_bias, CHANNELS), CHANNELS)
    active = gelu(x * vector(gain1, CHANNELS) + vector(bias1, CHANNELS)).to(maps.dtype.element_ty)
    tl.store(maps + stored, active, mask=here)
    x, rate = normalised(convolved(active, conv1, CHANNELS) + vector(conv1_bias, CHANNELS), CHANNELS)
    wide = x * vector(gain2, CHANNELS) + vector(bias2, CHANNELS)
    tl.store(maps + map_step + stored, gelu(wide).to(maps.dtype.element_ty), mask=here)
    sums = d_vectors + program * (VECTORS * CHANNELS) + channel
    d_sum = _grid_gradient(d_result, first, last_patch, PATCHES, GRID, CHANNELS)
    tl.store(sums + 6 * CHANNELS, tl.sum(d_sum, 0))
    tl.store(gradients + map_step + stored, d_sum.to(gradients.dtype.element_ty), mask=here)
    d_wide = convolved(d_sum, conv2_back, CHANNELS)
    d_wide *= gelu_slope(x * vector(gain2, CHANNELS) + vector(bias2, CHANNELS))
    tl.store(sums + 4 * CHANNELS, tl.sum(d_wide * x, 0))
    tl.store(sums + 5 * CHANNELS, tl.sum(d_wide, 0))
    d_x = normalised_backward(d_wide * vector(gain2, CHANNELS), x, rate, CHANNELS)
    tl.store(sums + 3 * CHANNELS, tl.sum(d_x, 0))
    tl.store(gradients + stored, d_x.to(gradients.dtype.element_ty), mask=here)


@triton.jit(do_not_specialize=["first_patch", "last_patch"])
def patch_backward_early(
    pixels, root, root_bias, gain1, bias1, conv1_back,
    d_result, gradients, d_root, d_vectors, first_patch, last_patch,
    GRID: tl.constexpr, CHANNELS: tl.constexpr, PATCHES: tl.constexpr,
):  # fmt: skip
    """On from what `patch_backward_late` left to the first parameters: d_root (programs, TAPS, CHANNELS), d_vectors."""
    program = tl.program_id(0).to(tl.int64)
    first = first_patch + program * PATCHES
    channel = tl.arange(0, CHANNELS)
    here = first + tl.arange(0, PATCHES * PLACES)[:, None] // 64 < last_patch
    root_place = tl.arange(0, TAPS)[:, None] * CHANNELS + channel[None, :]
    d_x = tl.load(gradients + _map_place(PATCHES, CHANNELS), mask=here, other=0.0)
    d_wide = convolved(d_x, conv1_back, CHANNELS)
    seen = columns(pixels, first, last_patch, PATCHES, root.dtype.element_ty)
    x = tl.dot(seen, tl.load(root + root_place)) + vector(root_bias, CHANNELS)
    x, rate = normalised(x, CHANNELS)
    d_wide *= gelu_slope(x * vector(gain1, CHANNELS) + vector(bias1, CHANNELS))
    sums = d_vectors + program * (VECTORS * CHANNELS) + channel
    tl.store(sums + CHANNELS, tl.sum(d_wide * x, 0))
    tl.store(sums + 2 * CHANNELS, tl.sum(d_wide, 0))
    d_x = normalised_backward(d_wide * vector(gain1, CHANNELS), x, rate, CHANNELS)
    d_x += _grid_gradient(d_result, first, last_patch, PATCHES, GRID, CHANNELS)
    tl.store(sums, tl.sum(d_x, 0))
    d_matrix = tl.dot(tl.trans(seen), d_x.to(seen.dtype))
    tl.store(d_root + program * (TAPS * CHANNELS) + root_place, d_matrix)


@triton.jit(do_not_specialize=["count", "strip"])
def patch_weights(maps, gradients, partial, count, strip, map_step, CHANNELS: tl.constexpr):
    """A strip's sums for three taps of one convolution: partial (strips, 2, 3, 3, CHANNELS, CHANNELS).

    maps and gradients are what `patch_backward_late` wrote of `count` patches.
    """
    program = tl.program_id(0).to(tl.int64)
    which, ky = tl.program_id(1) // 3, tl.program_id(1) % 3
    channel = tl.arange(0, CHANNELS)
    row = tl.arange(0, PLACES)
    y, x = row // 8 + ky - 1, row % 8
    inside = (y >= 0) & (y < 8)
    maps += which * map_step + (8 * (ky - 1)) * CHANNELS
    gradients += which * map_step
    offset = row[:, None] * CHANNELS + channel[None, :]
    left = tl.zeros([CHANNELS, CHANNELS], tl.float32)
    middle, right = left, left
    for patch in range(program * strip, tl.minimum((program + 1) * strip, count)):
        start = patch * (PLACES * CHANNELS)
        gradient = tl.load(gradients + start + offset)
        place = maps + start + offset
        value = tl.load(place - CHANNELS, mask=(inside & (x > 0))[:, None], other=0.0)
        left = tl.dot(tl.trans(value), gradient, left)
        value = tl.load(place, mask=inside[:, None], other=0.0)
        middle = tl.dot(tl.trans(value), gradient, middle)
        value = tl.load(place + CHANNELS, mask=(inside & (x < 7))[:, None], other=0.0)
        right = tl.dot(tl.trans(value), gradient, right)
    square: tl.constexpr = CHANNELS * CHANNELS
    sums = partial + (program * 18 + which * 9 + ky * 3) * square + channel[:, None] * CHANNELS + channel[None, :]
    tl.store(sums, left)
    tl.store(sums + square, middle)
    tl.store(sums + 2 * square, right)
