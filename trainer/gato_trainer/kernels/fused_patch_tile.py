"""The patch block inside a kernel: convolutions, group normalisation and pooling of a tile of whole patches.

A tile holds PATCHES patches as rows, 64 of each: the 8 x 8 places of its feature maps, one row of CHANNELS numbers a
place. A 3 x 3 convolution is nine products of such a tile with a matrix. Moving a map by (dy, dx) and multiplying it
commute, so the tile is moved along x before the products, and the sums of each three products along y behind them:
five moves a convolution, not nine. Everything is float32; what is multiplied is rounded to the dtype of the weights.
"""

import triton
import triton.language as tl

PLACES = tl.constexpr(64)
GROUPS = tl.constexpr(32)
TAPS = tl.constexpr(32)
"""3 x 3 x 3 numbers that a place of the first convolution sees, filled up to a power of two."""


@triton.jit
def shifted(x, dy, dx):
    """Each place of x (rows, channels) takes what lies (dy, dx) from it; zeros come in from outside of the patch."""
    row = tl.arange(0, x.shape[0])
    y, z = row % 64 // 8 + dy, row % 8 + dx
    inside = (y >= 0) & (y < 8) & (z >= 0) & (z < 8)
    source = tl.where(inside, row + 8 * dy + dx, row)
    moved = tl.gather(x, tl.broadcast_to(source[:, None], x.shape), 0)
    return tl.where(inside[:, None], moved, 0.0)


@triton.jit
def convolved(x, weights, CHANNELS: tl.constexpr):
    """The 3 x 3 convolution of a tile, without bias; weights are (3, 3, CHANNELS, CHANNELS), from input to output."""
    x = x.to(weights.dtype.element_ty)
    left, right = shifted(x, 0, -1), shifted(x, 0, 1)
    channel = tl.arange(0, CHANNELS)
    place = weights + channel[:, None] * CHANNELS + channel[None, :]
    square: tl.constexpr = CHANNELS * CHANNELS
    total = tl.zeros(x.shape, tl.float32)
    for ky in range(3):
        part = tl.dot(left, tl.load(place))
        part = tl.dot(x, tl.load(place + square), part)
        part = tl.dot(right, tl.load(place + 2 * square), part)
        place += 3 * square
        total += shifted(part, ky - 1, 0)
    return total


@triton.jit
def columns(pixels, first, count, PATCHES: tl.constexpr, DTYPE: tl.constexpr):
    """What each place of the first convolution sees, (rows, TAPS): normalised pixels, or zeros outside of the patch."""
    row = tl.arange(0, PATCHES * PLACES)[:, None]
    tap = tl.arange(0, TAPS)[None, :]
    y = 2 * (row % 64 // 8) - 1 + tap // 9
    x = 2 * (row % 8) - 1 + tap // 3 % 3
    inside = (row // 64 < count - first) & (tap < 27) & (y >= 0) & (y < 16) & (x >= 0) & (x < 16)
    place = row // 64 * 768 + y * 48 + x * 3 + tap % 3
    value = tl.load(pixels + first * 768 + place, mask=inside, other=0).to(tl.float32) * (2.0 / 255.0 / 4.0) - 0.25
    return tl.where(inside, value, 0.0).to(DTYPE)


@triton.jit
def group_mean(x, CHANNELS: tl.constexpr):
    """The mean of each patch's groups of channels, at every channel: (patches, CHANNELS)."""
    patches: tl.constexpr = x.shape[0] // PLACES
    each: tl.constexpr = CHANNELS // GROUPS
    total = tl.sum(tl.reshape(x, [patches, PLACES, CHANNELS]), 1)
    if each > 1:
        group = tl.sum(tl.reshape(total, [patches * GROUPS, each]), 1)
        total = tl.reshape(tl.broadcast_to(group[:, None], [patches * GROUPS, each]), [patches, CHANNELS])
    return total * (1.0 / (PLACES * each))


@triton.jit
def spread(x, CHANNELS: tl.constexpr):
    """(patches, CHANNELS) to every place of each patch, (rows, CHANNELS)."""
    patches: tl.constexpr = x.shape[0]
    everywhere = tl.broadcast_to(x[:, None, :], [patches, PLACES, CHANNELS])
    return tl.reshape(everywhere, [patches * PLACES, CHANNELS])


@triton.jit
def normalised(x, CHANNELS: tl.constexpr):
    """x of zero mean and unit variance in each group, and one over its standard deviation (patches, CHANNELS)."""
    x -= spread(group_mean(x, CHANNELS), CHANNELS)
    rate = tl.rsqrt(group_mean(x * x, CHANNELS) + 1e-5)
    return x * spread(rate, CHANNELS), rate


@triton.jit
def normalised_backward(gradient, x, rate, CHANNELS: tl.constexpr):
    """The gradient of what `normalised` was given, from that of its result x."""
    mean = spread(group_mean(gradient, CHANNELS), CHANNELS)
    along = spread(group_mean(gradient * x, CHANNELS), CHANNELS)
    return spread(rate, CHANNELS) * (gradient - mean - x * along)


@triton.jit
def gelu(x):
    """GELU."""
    return 0.5 * x * (1.0 + tl.math.erf(x * 0.7071067811865476))


@triton.jit
def gelu_slope(x):
    """The derivative of GELU."""
    return 0.5 * (1.0 + tl.math.erf(x * 0.7071067811865476)) + x * 0.3989422804014327 * tl.exp(-0.5 * x * x)


@triton.jit
def pooled(x, GRID: tl.constexpr, CHANNELS: tl.constexpr):
    """Means of the cells of a GRID x GRID raster, (patches * GRID * GRID, CHANNELS)."""
    patches: tl.constexpr = x.shape[0] // PLACES
    side: tl.constexpr = 8 // GRID
    if side > 1:
        x = tl.sum(tl.reshape(x, [patches * 8 * GRID, side, CHANNELS]), 1)
        x = tl.sum(tl.reshape(x, [patches * GRID, side, GRID * CHANNELS]), 1)
        x = tl.reshape(x, [patches * GRID * GRID, CHANNELS]) * (1.0 / (side * side))
    return x


@triton.jit
def cell(row, GRID: tl.constexpr):
    """The cell of the raster that a row's place belongs to."""
    side: tl.constexpr = 8 // GRID
    return row % 64 // 8 // side * GRID + row % 8 // side


@triton.jit
def vector(base, CHANNELS: tl.constexpr):
    """A parameter of every channel, (1, CHANNELS)."""
    return tl.load(base + tl.arange(0, CHANNELS)).to(tl.float32)[None, :]
