"""Every fusable operation in plain torch, on any device and dtype: the definition that faster kernels must meet.

Shapes: B windows, T tokens of a window, D width, H heads, E head size, N rows, P patch tokens, K
distinct patches, C channels of the patch block, V vocabulary.
Parameters are float32 masters; `.to(x.dtype)` casts them to the dtype that is computed in (free
when equal).
"""

import math
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint

GROUPS = 32
"""Groups of the group normalisation (paper appendix C.2)."""

LOGIT_ROWS = 4096
"""Supervised rows whose logits exist at one time;
more are computed in pieces and again in the backward."""

BACKENDS = [
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]
"""Of torch's attention without a mask, the fastest first:
the default order changes between releases."""


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (..., D_in) times weight (D_out, D_in) transposed, plus bias (D_out,)."""
    return F.linear(x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype))


def add(x: Tensor, branch: Tensor | None, keep: Tensor | None, index: Tensor | None = None) -> Tensor:
    """The residual connection with stochastic depth.

    Args:
        x: (B, T, D) or (N, D), the residual stream.
        branch: (K, T, D) or (K, D), a sub-layer's output; None adds nothing.
        keep: float (K,), 0 where the sub-layer is skipped, 1 / (1 - rate) where not; None
            keeps all.
        index: int64 (K,), which of x's first dimension the branch belongs to; None for all of them, K = B or N.
    """
    if branch is None:
        return x
    scaled = branch if keep is None else branch * keep.to(x.dtype).view(-1, *[1] * (x.dim() - 1))
    return x + scaled if index is None else x.index_add(0, index, scaled)


def add_norm(
    x: Tensor, branch: Tensor | None, keep: Tensor | None, gain: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """`add`, then the layer normalisation that the next sub-layer begins with; both results are like x."""
    x = add(x, branch, keep)
    return x, F.layer_norm(x, gain.shape, gain.to(x.dtype), bias.to(x.dtype))


def geglu(x: Tensor, bias: Tensor) -> Tensor:
    """Value times GELU of gate: x (..., 2 K), whose first half is the value, plus bias (2 K,), gives (..., K)."""
    value, gate = (x + bias.to(x.dtype)).chunk(2, dim=-1)
    return value * F.gelu(gate)


def _masked_backends(q: Tensor) -> AbstractContextManager[object]:
    """Backends that are right with a mask tensor: cuDNN's backward is not, on some lengths."""
    if not q.is_cuda:
        return nullcontext()
    manager: AbstractContextManager[object] = sdpa_kernel([SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH])
    return manager


def relative_shift(by_distance: Tensor) -> Tensor:
    """From scores by distance to scores by key.

    Args:
        by_distance: (..., T, T); column c belongs to distance T - 1 - c.

    Returns:
        (..., T, T); [i, j] is row i's score at distance i - j for j <= i. Entries with j > i mean
        nothing.
    """
    *lead, rows, columns = by_distance.shape
    padded = F.pad(by_distance, (1, 0)).view(*lead, columns + 1, rows)
    return padded[..., 1:, :].reshape(*lead, rows, columns)


def hidden_keys(length: int, segment: Tensor | None, device: torch.device) -> Tensor:
    """bool (T, T) or (B, 1, T, T): true where query i must not see key j: j > i, or in another segment."""
    later = torch.ones(length, length, dtype=torch.bool, device=device).triu(1)
    if segment is None:
        return later
    return later | (segment[:, None, :, None] != segment[:, None, None, :])


def relative_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    distance: Tensor,
    content_bias: Tensor,
    distance_bias: Tensor,
    segment: Tensor | None = None,
) -> Tensor:
    """Causal attention with Transformer-XL's relative positions.

    The score of query i for key j <= i is ((q_i + content_bias) . k_j + (q_i + distance_bias) .
    r_{i-j}) / sqrt(E).

    Args:
        q, k, v: (B, H, T, E).
        distance: (H, T, E); row c is r at distance T - 1 - c.
        content_bias, distance_bias: (H, E).
        segment: integers (B, T), episodes packed into one window, which do not see each other; None
            for one.

    Returns:
        (B, H, T, E).
    """
    length, size = q.shape[-2:]
    scale = 1.0 / math.sqrt(size)
    by_distance = (q + distance_bias.to(q.dtype)[:, None, :]) @ distance.transpose(-1, -2)
    bias = relative_shift(by_distance) * scale
    bias = bias.masked_fill(hidden_keys(length, segment, q.device), float("-inf"))
    query = q + content_bias.to(q.dtype)[:, None, :]
    with _masked_backends(q):
        return F.scaled_dot_product_attention(query, k, v, attn_mask=bias, scale=scale)


def rotate(x: Tensor, angle: Tensor) -> Tensor:
    """Turn pairs of features (e, e + E/2) of x (B, H, T, E) by angle (T, E/2), in float32 at least."""
    first, second = x.to(torch.promote_types(x.dtype, torch.float32)).chunk(2, dim=-1)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1).to(x.dtype)


def rotary_attention(q: Tensor, k: Tensor, v: Tensor, angle: Tensor, segment: Tensor | None = None) -> Tensor:
    """Causal attention with rotary positions; q, k, v and the result are (B, H, T, E), angle is (T, E/2).

    `segment` is that of `relative_attention`.
    """
    if not q.is_cuda:
        return _rotary_on_cpu(q, k, v, angle, segment)
    q, k = rotate(q, angle), rotate(k, angle)
    if segment is not None:
        with _masked_backends(q):
            return F.scaled_dot_product_attention(q, k, v, attn_mask=~hidden_keys(q.shape[2], segment, q.device))
    # Without a mask tensor, which makes cuDNN's backward unsafe.
    with sdpa_kernel(BACKENDS, set_priority=True):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def _rotary_on_cpu(q: Tensor, k: Tensor, v: Tensor, angle: Tensor, segment: Tensor | None) -> Tensor:
    """In float32 at least: torch's backward of bfloat16 takes a CPU more than twice as long."""
    dtype = q.dtype
    q, k, v = (each.to(torch.promote_types(dtype, torch.float32)) for each in (q, k, v))
    q, k = rotate(q, angle), rotate(k, angle)
    visible = None if segment is None else ~hidden_keys(q.shape[2], segment, q.device)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=visible, is_causal=visible is None).to(dtype)


def normalise_patches(pixels: Tensor, dtype: torch.dtype) -> Tensor:
    """uint8 (K, 16, 16, 3) to (K, 3, 16, 16): to [-1, 1], then divided by sqrt(16) (paper section 2.1)."""
    scaled = pixels.to(dtype) * (2.0 / 255.0 / 4.0) - 0.25
    return scaled.permute(0, 3, 1, 2)


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
    """A convolution of stride 2, then one ResNet-v2 block: (GroupNorm, GELU, convolution) twice, beside a skip.

    Args:
        pixels: uint8 (K, 16, 16, 3).
        root: (C, 3, 3, 3). conv1, conv2: (C, C, 3, 3). The other parameters: (C,).
        grid: cells along each side that the 8 x 8 result is averaged to.
        dtype: of the result.

    Returns:
        (K, C * grid * grid), channels first.
    """

    def convolve(x: Tensor, weight: Tensor, bias: Tensor, stride: int = 1) -> Tensor:
        # The pixels lie channels last; weights that do so too keep it, also behind a normalisation that does not.
        return F.conv2d(x, weight.to(dtype, memory_format=torch.channels_last), bias.to(dtype), stride, padding=1)

    def activate(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
        return F.gelu(F.group_norm(x, GROUPS, gain.to(dtype), bias.to(dtype)))

    x = convolve(normalise_patches(pixels, dtype), root, root_bias, 2)
    y = convolve(activate(x, gain1, bias1), conv1, conv1_bias)
    y = convolve(activate(y, gain2, bias2), conv2, conv2_bias)
    return F.avg_pool2d(x + y, x.shape[-1] // grid).flatten(1)


def embed(
    table: Tensor,
    local_table: Tensor,
    row_table: Tensor,
    column_table: Tensor,
    tokens: Tensor,
    local_row: Tensor,
    patch_vectors: Tensor,
    patch_index: Tensor,
    patch_slot: Tensor,
    patch_row: Tensor,
    patch_column: Tensor,
    dtype: torch.dtype,
) -> Tensor:
    """Assemble the vectors of a batch (paper section 2.2 and appendix C.3).

    Args:
        table: (V, D). local_table: (local rows, D). row_table, column_table: (128, D).
        tokens: int64 (B, T), any id in a patch's slot.
        local_row: int64 (B, T), row of `local_table`, or -1 for none.
        patch_vectors: (K, D), one of each distinct patch.
        patch_index: int64 (P,), the row of `patch_vectors` that a patch token takes.
        patch_slot: int64 (P,), its place b * T + t, ascending; B * T of what fills up, which is put nowhere.
        patch_row, patch_column: int64 (P,), its rows of the two position tables.
        dtype: of the result.

    Returns:
        (B, T, D).
    """
    count = tokens.numel()
    # What has no place goes into a row behind the last.
    x = F.embedding(F.pad(tokens.flatten(), (0, 1)), table).to(dtype)
    # Gradients of equal patches, which may be thousands, are summed in float32 at least, as a
    # table's are.
    wide = torch.promote_types(patch_vectors.dtype, torch.float32)
    image = F.embedding(patch_index, patch_vectors.to(wide)).to(dtype)
    image = image + F.embedding(patch_row, row_table).to(dtype) + F.embedding(patch_column, column_table).to(dtype)
    x = x.index_copy(0, patch_slot, image)[:count].view(*tokens.shape, -1)
    local = F.embedding(local_row.clamp(min=0), local_table).to(dtype)
    return x + local * (local_row >= 0).unsqueeze(-1)


def linear_cross_entropy(hidden: Tensor, table: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Negative log-likelihoods of the targets.

    Args:
        hidden: (N, D), the normalised outputs of the supervised positions only.
        table: (V, D), the tied token table.
        target: int64 (N,); -1 marks a row of padding, whose loss and gradients are 0.

    Returns:
        float32 (N,) (float64 if `hidden` is), the losses, and bool (N,), whether the most likely id
        is the target.
    """
    if len(hidden) <= LOGIT_ROWS:
        return _linear_cross_entropy(hidden, table, target)
    pieces = [
        checkpoint(_linear_cross_entropy, h, table, t, use_reentrant=False)
        for h, t in zip(torch.split(hidden, LOGIT_ROWS), torch.split(target, LOGIT_ROWS), strict=True)
    ]
    return torch.cat([loss for loss, _ in pieces]), torch.cat([correct for _, correct in pieces])


def _linear_cross_entropy(hidden: Tensor, table: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    logits = linear(hidden, table)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    correct = logits.detach().argmax(dim=-1) == target
    return F.cross_entropy(logits, target, ignore_index=-1, reduction="none"), correct
