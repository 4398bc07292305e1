"""Attention in tiles: the fastest of a few cuts, found once on every kind of card and kept.

Each kernel is timed with the tiles of `CUTS` and with those of `TRIED`; others replace the former if they are faster by
more than times vary. Sums over keys are added in another order with other tiles, so results differ by rounding, which
the self-test behind this allows; a card that has been tuned gives the same bits from then on.
"""

import contextlib
import dataclasses
import subprocess
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from triton.errors import TritonError

from gato_trainer.kernels import fused_attention, fused_attention_tiles
from gato_trainer.kernels.fused_attention_tiles import CUTS, TRIED, Cut

if TYPE_CHECKING:
    from gato_trainer.kernels import Shapes

GAIN = 0.97
"""Share of the usual tiles' time that others must stay below."""

FAILURES = (TritonError, RuntimeError, ValueError, OSError, subprocess.SubprocessError)
"""What tiles that a card has no room for end with."""


def tune(shapes: "Shapes") -> None:
    """Choose the tiles for a run's heads on its card, unless that was done before; nothing on a CPU."""
    relative, large = shapes.model.positions == "transformer-xl", shapes.model.head_size > 32
    if shapes.device.type != "cuda" or fused_attention_tiles.is_kept(relative, large):
        return
    fused_attention_tiles.adopt()
    with contextlib.suppress(*FAILURES):  # where the usual tiles fail, the self-test says so
        forward, backward = _calls(shapes, relative)
        fastest(relative, large, lambda kernel: seconds(forward if kernel == "forward" else backward))


def fastest(relative: bool, large: bool, time: Callable[[str], float]) -> Cut:
    """Time one kernel after the other, each with all of its tiles, and keep the best cut.

    Args:
        relative, large: key of `CUTS`.
        time: seconds of a call that runs the named kernel with the tiles that are in `CUTS` then.
    """
    key, best = (relative, large), CUTS[relative, large]
    try:
        for kernel, others in TRIED[key].items():
            usual = getattr(best, kernel)
            limit = time(kernel) * GAIN
            for tiles in others:
                CUTS[key] = dataclasses.replace(best, **{kernel: tiles})
                try:
                    taken = time(kernel)
                except FAILURES:
                    continue
                if taken < limit:
                    usual, limit = tiles, taken
            best = CUTS[key] = dataclasses.replace(best, **{kernel: usual})
    finally:
        CUTS[key] = best
    fused_attention_tiles.keep(relative, large, best)
    return best


def seconds(run: Callable[[], object]) -> float:
    """Median time of five calls on the card, behind two that compile and warm up."""
    for _ in range(2):
        run()
    times: list[float] = []
    for _ in range(5):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1e3)
    return median(times)


def _calls(shapes: "Shapes", relative: bool) -> tuple[Callable[[], object], Callable[[], object]]:
    """Forward and backward of a few windows of the run's length on random values, nothing packed."""
    heads, size, length = shapes.model.heads, shapes.model.head_size, shapes.length
    generator = torch.Generator(shapes.device).manual_seed(0)

    def values(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=shapes.device).to(shapes.dtype)

    windows = min(shapes.windows, 8)
    q, k, v = values(windows, length, 3, heads, size).permute(2, 0, 3, 1, 4).unbind(0)
    terms = None
    if relative:
        distance, bias = values(heads, length, size), values(heads, size).float()
        terms = fused_attention.Relative(distance, bias, *fused_attention.relative_terms(k, distance, bias, bias))
    out, normalizer = fused_attention.forward(q, k, v, terms, None)
    gradient = values(*out.shape)
    return (
        lambda: fused_attention.forward(q, k, v, terms, None),
        lambda: fused_attention.backward(gradient, q, k, v, out, normalizer, terms, None),
    )
