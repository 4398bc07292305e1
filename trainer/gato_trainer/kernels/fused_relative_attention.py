"""Attention with Transformer-XL's relative positions, without ever storing scores; see `fused_attention_scores`.

The backward stores the gradients of the scores once, by distance, in pieces of at most
`BAND_BYTES`. Nothing is added by atomics: the same input gives the same bytes.
"""

import torch
from torch import Tensor

from gato_trainer.kernels import fused_attention as tiles
from gato_trainer.kernels.fused_attention_tiles import why_not
from gato_trainer.kernels.fused_attention_tuning import tune

__all__ = ["relative_attention", "tune", "why_not"]


@torch.library.custom_op("gato::relative_attention", mutates_args=())
def _attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    distance: Tensor,
    content_bias: Tensor,
    distance_bias: Tensor,
    segment: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mixed values (B, T, H, E), normalizers (B, H, T), and `Relative`'s content and term."""
    q, k, v = (tiles.with_steps(x) for x in (q, k, v))
    distance = distance if distance.stride(-1) == 1 else distance.contiguous()
    content_bias, distance_bias = content_bias.float().contiguous(), distance_bias.float()
    content, term = tiles.relative_terms(k, distance, content_bias, distance_bias)
    relative = tiles.Relative(distance, content_bias, content, term)
    return (*tiles.forward(q, k, v, relative, segment), content, term)


@_attention.register_fake
def _(q, k, v, distance, content_bias, distance_bias, segment):
    out, normalizer = tiles.new_results(q)
    return out, normalizer, torch.empty_like(normalizer), normalizer.new_empty(distance.shape[:2])


@torch.library.custom_op("gato::relative_attention_backward", mutates_args=())
def _attention_backward(
    gradient: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    distance: Tensor,
    content_bias: Tensor,
    distance_bias: Tensor,
    segment: Tensor | None,
    out: Tensor,
    normalizer: Tensor,
    content: Tensor,
    term: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of q, k and v as (B, T, 3, H, E); of distance; and in float32 of both biases."""
    q, k, v = (tiles.with_steps(x) for x in (q, k, v))
    distance = distance if distance.stride(-1) == 1 else distance.contiguous()
    relative = tiles.Relative(distance, content_bias.float().contiguous(), content, term)
    made = tiles.backward(gradient.contiguous(), q, k, v, out, normalizer, relative, segment)
    gradients, d_distance, d_term, d_content_bias = made
    assert d_distance is not None
    assert d_term is not None
    assert d_content_bias is not None
    d_distance_bias = (d_term[:, :, None] * distance).sum(1)
    d_distance = d_distance + d_term[:, :, None] * distance_bias.float()[:, None, :]
    return gradients, d_distance.to(distance.dtype), d_content_bias, d_distance_bias


@_attention_backward.register_fake
def _(gradient, q, k, v, distance, content_bias, distance_bias, segment, out, normalizer, content, term):
    biases = (normalizer.new_empty(bias.shape) for bias in (content_bias, distance_bias))
    return tiles.new_gradients(q), distance.new_empty(distance.shape), *biases


def _save(ctx, inputs, output) -> None:
    ctx.save_for_backward(*inputs, *output)
    ctx.set_materialize_grads(False)


def _backward(ctx, d_out, d_normalizer, d_content, d_term):
    *inputs, out, normalizer, content, term = ctx.saved_tensors
    if d_out is None:
        return (None,) * 7
    made = _attention_backward(d_out, *inputs, out, normalizer, content, term)
    gradients, d_distance, d_content_bias, d_distance_bias = made
    dq, dk, dv = gradients.permute(2, 0, 3, 1, 4).unbind(0)
    biases = (d_content_bias.to(inputs[4].dtype), d_distance_bias.to(inputs[5].dtype))
    return dq, dk, dv, d_distance, *biases, None


_attention.register_autograd(_backward, setup_context=_save)


def relative_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    distance: Tensor,
    content_bias: Tensor,
    distance_bias: Tensor,
    segment: Tensor | None = None,
) -> Tensor:
    """See `reference.relative_attention`; the result lies in memory as (B, T, H, E)."""
    out: Tensor = _attention(q, k, v, distance, content_bias, distance_bias, segment)[0]
    return out.transpose(1, 2)
