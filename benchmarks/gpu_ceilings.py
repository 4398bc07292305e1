"""What the card can do at all, and which tile shapes of the attention kernels are fastest on it."""

import dataclasses
from typing import Any

import torch
from gpu_measure import Clock, guarded, report, seconds


def ceilings(device: torch.device, clock: Clock, toy: bool) -> None:
    """Copy bandwidth, and matrix products: a large one, and those of the three models, forward and both backward."""
    guarded(clock, "ceilings", "copy", lambda: copy_rate(device, 2**12 if toy else 2**31))
    n = 64 if toy else 8192
    guarded(clock, "ceilings", f"product {n} x {n} x {n}", lambda: product_rate(device, n, n, n))
    tokens = 64 if toy else 65536
    widths = {"toy": (32, 64)} if toy else {"79m": (768, 3072), "364m": (1536, 6144), "1.2b": (2048, 8192)}
    for size, (width, inner) in widths.items():
        for name, rows, columns in (("qkv", 3 * width, width), ("up", inner, width), ("down", width, inner // 2)):
            for kind, shape in (
                ("forward", (tokens, rows, columns)),
                ("input gradient", (tokens, columns, rows)),
                ("weight gradient", (rows, columns, tokens)),
            ):
                guarded(clock, "ceilings", f"{size} {name} {kind}", lambda s=shape: product_rate(device, *s))


def copy_rate(device: torch.device, elements: int) -> dict[str, Any]:
    """Bytes read and written a second by a copy within the device's memory."""
    source = torch.randn(elements, device=device, dtype=torch.bfloat16)
    target = torch.empty_like(source)
    time = seconds(lambda: target.copy_(source), device)
    return {"gb_per_s": 2 * source.nbytes / time / 1e9}


def product_rate(device: torch.device, m: int, n: int, k: int) -> dict[str, Any]:
    """bf16 on random values: zeros run faster than real data does."""
    a = torch.randn(m, k, device=device, dtype=torch.bfloat16)
    b = torch.randn(n, k, device=device, dtype=torch.bfloat16)
    time = seconds(lambda: a @ b.T, device, limit_s=0.2)
    return {"tflops": 2 * m * n * k / time / 1e12}


ALTERNATIVES: dict[str, list[tuple[int, int, int, int]]] = {
    "forward": [(64, 32, 4, 2), (64, 32, 4, 3), (64, 32, 8, 2), (64, 64, 4, 2), (64, 64, 8, 2), (128, 64, 8, 2)],
    "queries": [(64, 32, 4, 2), (64, 32, 8, 2), (32, 32, 4, 2), (64, 64, 8, 2), (64, 64, 4, 2)],
    "keys": [(32, 64, 4, 2), (32, 64, 8, 2), (32, 32, 4, 2), (64, 64, 8, 2), (64, 64, 4, 2)],
}
"""Queries and keys of a tile, warps and stages to try for each kernel, beside those in use."""


def tiles(device: torch.device, clock: Clock, toy: bool) -> None:
    """Change the tiles of one kernel at a time; each figure is forward and backward."""
    if device.type != "cuda":
        report("tiles", "all", left_out="there is no CUDA device")
        return
    from gato_trainer.kernels import fused_attention, fused_attention_tiles

    fused_attention_tiles.adopt()  # before they are changed, not in between
    for relative, size in ((True, 32), (False, 32), (True, 128), (False, 128)):
        key = (relative, size > 32)
        usual = fused_attention_tiles.CUTS[key]
        for kernel, shapes in ALTERNATIVES.items():
            for shape in dict.fromkeys([dataclasses.astuple(getattr(usual, kernel)), *shapes]):
                cut = dataclasses.replace(usual, **{kernel: fused_attention_tiles.Tiles(*shape)})
                fused_attention_tiles.CUTS[key] = cut
                label = f"{'relative' if relative else 'plain'} {size} {kernel} {'x'.join(map(str, shape))}"
                guarded(clock, "tiles", label, lambda r=relative, e=size: time_tiles(device, r, e), needs=6)
        fused_attention_tiles.CUTS[key] = usual
        for exponent in (25, 26, 27, 28, 29, 31) if relative else ():
            usual_bytes, fused_attention.BAND_BYTES = fused_attention.BAND_BYTES, 2**exponent
            label = f"relative {size} band of {2**exponent >> 20} MiB"
            guarded(clock, "tiles", label, lambda r=relative, e=size: time_tiles(device, r, e), needs=3)
            fused_attention.BAND_BYTES = usual_bytes


def time_tiles(device: torch.device, relative: bool, size: int) -> dict[str, Any]:
    """Forward and backward of the kernels themselves, 16 windows of 1,024 tokens."""
    from gato_trainer.kernels import fused_relative_attention, fused_rotary_attention

    heads = 768 // size * (1 if size == 32 else 2)
    qkv = torch.randn(16, 1024, 3, heads, size, device=device, dtype=torch.bfloat16).requires_grad_()
    given = list(qkv.permute(2, 0, 3, 1, 4).unbind(0))
    if relative:
        distance = torch.randn(heads, 1024, size, device=device, dtype=torch.bfloat16).requires_grad_()
        biases = [torch.randn(heads, size, device=device).requires_grad_() for _ in range(2)]
        run = fused_relative_attention.relative_attention
        given += [distance, *biases]
    else:

        def run(*x: torch.Tensor) -> torch.Tensor:
            return fused_rotary_attention._attention(*x, None)[0]

    out = run(*given)
    weight = torch.randn_like(out)
    forward = seconds(lambda: run(*given), device, limit_s=0.15)
    backward = seconds(lambda: torch.autograd.grad(out, given, weight, retain_graph=True), device, limit_s=0.15)
    return {"forward_ms": forward * 1e3, "backward_ms": backward * 1e3}
