"""The patch block in one kernel forward, and in three backward, which compute it again.

Forward: a program holds whole patches, reads their pixels and writes the averaged grid: no feature map leaves it, and
nothing is kept. Backward: one kernel computes the patches again and goes back through the second convolution, the next
through the first. They write, of each of the two 3 x 3 convolutions, input and gradient of the output, and the sums of
their patches for every other parameter. The third multiplies the two: the gradient of a convolution's weights is nine
products over all places. No atomics: strips follow from the number of patches, and sums are added in a fixed order.
"""

from typing import TYPE_CHECKING

import torch
import triton
from torch import Tensor

from gato_trainer.kernels import PATCH_CHANNELS
from gato_trainer.kernels.fused_patch_kernels import (
    VECTORS,
    patch_backward_early,
    patch_backward_late,
    patch_forward,
    patch_weights,
)

if TYPE_CHECKING:
    from gato_trainer.kernels import Shapes

STRIPS = 64
"""Most strips of patches of the gradients of the weights."""

PIECE = 16384
"""Patches whose feature maps exist at one time in the backward, 0.5 GB of bf16 with 64 channels."""

FORWARD = {"PATCHES": 2, "num_warps": 8, "num_stages": 1}
BACKWARD = {"PATCHES": 2, "num_warps": 8, "num_stages": 1}
WEIGHTS = {"num_warps": 4, "num_stages": 3}
"""How the kernels are cut up: whole patches of a program, its warps, the stages of its software pipeline."""

_PLACES, _TAPS = 64, 32


def why_not(shapes: "Shapes") -> str | None:
    """Why this file does not take the shapes, in words that follow "because", or None."""
    channels = shapes.model.patch_channels
    if channels not in PATCH_CHANNELS:
        return f"its patch block has {channels} channels, and the kernels take {' or '.join(map(str, PATCH_CHANNELS))}"
    if shapes.device.type == "cuda" and shapes.dtype not in (torch.bfloat16, torch.float16):
        return f"it computes in {str(shapes.dtype).removeprefix('torch.')}, and the kernels take bfloat16 and float16"
    return None


def _matrices(root: Tensor, conv1: Tensor, conv2: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """(TAPS, C), its last rows 0, and twice (3, 3, C, C), all from input to output."""
    channels = len(root)
    seen = root.new_zeros((_TAPS, channels), dtype=dtype)
    seen[:27] = root.permute(2, 3, 1, 0).reshape(27, channels)
    first, second = (conv.permute(2, 3, 1, 0).to(dtype).contiguous() for conv in (conv1, conv2))
    return seen, first, second


def _back(conv: Tensor, dtype: torch.dtype) -> Tensor:
    """(3, 3, C, C) from output to input."""
    return conv.flip(2, 3).permute(2, 3, 0, 1).to(dtype).contiguous()


@torch.library.custom_op("gato::patch_block", mutates_args=())
def _patch_block(pixels: Tensor, parameters: list[Tensor], grid: int, dtype: torch.dtype) -> Tensor:
    pixels = pixels.contiguous()
    root, root_bias, gain1, bias1, conv1, conv1_bias, gain2, bias2, conv2, conv2_bias = parameters
    seen, first, second = _matrices(root, conv1, conv2, dtype)
    result = _result(pixels, parameters, grid, dtype)
    if len(pixels):
        patch_forward[(triton.cdiv(len(pixels), FORWARD["PATCHES"]),)](
            pixels, seen, root_bias, gain1, bias1, first, conv1_bias, gain2, bias2, second, conv2_bias,
            result, len(pixels), GRID=grid, CHANNELS=len(root), **FORWARD,
        )  # fmt: skip
    return result


def _result(pixels: Tensor, parameters: list[Tensor], grid: int, dtype: torch.dtype) -> Tensor:
    return pixels.new_empty((len(pixels), len(parameters[0]) * grid * grid), dtype=dtype)


@_patch_block.register_fake
def _(pixels: Tensor, parameters: list[Tensor], grid: int, dtype: torch.dtype) -> Tensor:
    return _result(pixels, parameters, grid, dtype)


@torch.library.custom_op("gato::patch_block_backward", mutates_args=())
def _patch_block_backward(d_result: Tensor, pixels: Tensor, parameters: list[Tensor], grid: int) -> list[Tensor]:
    """Gradients of the parameters, in float32."""
    d_result, pixels, dtype = d_result.contiguous(), pixels.contiguous(), d_result.dtype
    root, root_bias, gain1, bias1, conv1, conv1_bias, gain2, bias2, conv2, _ = parameters
    channels, count = len(root), len(pixels)
    seen, first, _ = _matrices(root, conv1, conv2, dtype)
    d_root = root.new_zeros((_TAPS, channels), dtype=torch.float32)
    d_vectors = root.new_zeros((VECTORS.value, channels), dtype=torch.float32)
    d_convs = root.new_zeros((2, 3, 3, channels, channels), dtype=torch.float32)
    maps, gradients = (d_result.new_empty((2, min(count, PIECE), _PLACES, channels)) for _ in range(2))
    for begin in range(0, count, PIECE):
        here = min(PIECE, count - begin)
        programs = triton.cdiv(here, BACKWARD["PATCHES"])
        roots, vectors = (d_root.new_empty((programs, *total.shape)) for total in (d_root, d_vectors))
        patch_backward_late[(programs,)](
            pixels, seen, root_bias, gain1, bias1, first, conv1_bias, gain2, bias2, _back(conv2, dtype),
            d_result, maps, gradients, vectors, begin, begin + here, maps.stride(0),
            GRID=grid, CHANNELS=channels, **BACKWARD,
        )  # fmt: skip
        patch_backward_early[(programs,)](
            pixels, seen, root_bias, gain1, bias1, _back(conv1, dtype),
            d_result, gradients, roots, vectors, begin, begin + here,
            GRID=grid, CHANNELS=channels, **BACKWARD,
        )  # fmt: skip
        strip = triton.cdiv(here, STRIPS)
        strips = triton.cdiv(here, strip)
        convs = d_convs.new_empty((strips, *d_convs.shape))
        patch_weights[(strips, 6)](
            maps, gradients, convs, here, strip, maps.stride(0), CHANNELS=channels, **WEIGHTS
        )  # fmt: skip
        for total, parts in ((d_root, roots), (d_vectors, vectors), (d_convs, convs)):
            total += parts.sum(0)
    d_root = d_root[:27].view(3, 3, 3, channels).permute(3, 2, 0, 1)
    d_conv1, d_conv2 = d_convs.permute(0, 4, 3, 1, 2)
    d_root_bias, d_gain1, d_bias1, d_conv1_bias, d_gain2, d_bias2, d_conv2_bias = d_vectors
    made = (d_root, d_root_bias, d_gain1, d_bias1, d_conv1, d_conv1_bias, d_gain2, d_bias2, d_conv2, d_conv2_bias)
    return [gradient.clone(memory_format=torch.contiguous_format) for gradient in made]


@_patch_block_backward.register_fake
def _(d_result: Tensor, pixels: Tensor, parameters: list[Tensor], grid: int) -> list[Tensor]:
    return [parameter.new_empty(parameter.shape, dtype=torch.float32) for parameter in parameters]


def _save(ctx, inputs, output) -> None:
    pixels, parameters, ctx.grid, _ = inputs
    ctx.save_for_backward(pixels, *parameters)


def _backward(ctx, d_result):
    pixels, *parameters = ctx.saved_tensors
    made = _patch_block_backward(d_result, pixels, parameters, ctx.grid)
    gradients = [gradient.to(parameter.dtype) for gradient, parameter in zip(made, parameters, strict=True)]
    return None, gradients, None, None


_patch_block.register_autograd(_backward, setup_context=_save)


def patch_block(
    pixels: Tensor,
    root: Tensor,
    root_bias: Tensor,
    gain1: Tensor,
    bias1: Tensor,
    conv1: Tensor,
    conv1_bias: Tensor,
    gain2: Tensor,
    bias2: Tensor,
    conv2: Tensor,
    conv2_bias: Tensor,
    grid: int,
    dtype: torch.dtype,
) -> Tensor:
    """See `reference.patch_block`."""
    parameters = [root, root_bias, gain1, bias1, conv1, conv1_bias, gain2, bias2, conv2, conv2_bias]
    result: Tensor = _patch_block(pixels, parameters, grid, dtype)
    return result
