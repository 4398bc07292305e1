"""Each fused operation beside the same in eager torch, in torch.compile and, if it is installed, in Liger.

Every figure is forward and backward together. The floor is the fewest bytes over the copy bandwidth, or the needed
matrix products over the rate of a large one, both measured first; docs/kernels.md counts them.
"""

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from gpu_ceilings import copy_rate, product_rate
from gpu_measure import Clock, guarded, seconds
from torch import Tensor

from gato_trainer.config import ModelConfig
from gato_trainer.kernels import FUSED, REFERENCE, Shapes
from gato_trainer.presets import PRESETS

SIZES = {"79m": 128, "364m": 64, "1.2b": 64}
"""Windows of the batch; attention takes an eighth."""

Call = Callable[[Callable[..., Any]], Any]


@dataclass(frozen=True, slots=True)
class Case:
    """Tensors whose gradients are wanted, how an operation is called with them, and what it must do at least."""

    leaves: list[Tensor]
    call: Call
    bytes: float = 0.0
    flops: float = 0.0


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Bytes and FLOPs a second that the card was seen to reach."""

    bytes: float
    flops: float


def kernels(device: torch.device, clock: Clock, toy: bool) -> None:
    """Right first, then how fast: ours for all sizes, then eager torch, torch.compile and Liger."""
    if device.type == "cpu":
        os.environ["TRITON_INTERPRET"] = "1"
    top = Ceilings(
        copy_rate(device, 2**12 if toy else 2**30)["gb_per_s"] * 1e9,
        product_rate(device, *(3 * [64 if toy else 8192]))["tflops"] * 1e12,
    )
    sizes = {"toy": toy_shapes(device)} if toy else {size: shapes_of(size, device) for size in SIZES}
    for size, shapes in sizes.items():
        for name in FUSED:
            guarded(
                clock, "kernels", f"{size} {name} is right", lambda n=name, s=shapes: check(n, s), 1.0 if toy else 4.0
            )
    for kind, operation in (("fused", fused), ("eager", eager), ("compiled", compiled), ("liger", liger)):
        for size, shapes in sizes.items():
            for name in FUSED:
                if (chosen := operation(name, device)) is not None:
                    label = f"{size} {name} {kind}"
                    needs = 1.0 if toy else 20.0 if kind == "compiled" else 4.0
                    guarded(clock, "kernels", label, lambda n=name, s=shapes, o=chosen: time_case(n, s, o, top), needs)


def shapes_of(size: str, device: torch.device) -> Shapes:
    """A batch large enough that the card's caches do not hold it."""
    return Shapes(model=PRESETS[size].model, windows=SIZES[size], length=1024, dtype=torch.bfloat16, device=device)


def toy_shapes(device: torch.device) -> Shapes:
    """So small that Triton's interpreter takes seconds; it cannot multiply bf16."""
    model = ModelConfig(
        width=32, blocks=1, heads=1, feed_forward=64, vocabulary_size=97, local_positions=9, patch_channels=32
    )
    return Shapes(model=model, windows=1, length=12, dtype=torch.float32, device=device)


def fused(name: str, device: torch.device) -> Callable[..., Any] | None:
    """Ours; None if Triton is not there, which `check` has reported."""
    if importlib.util.find_spec("triton") is None:
        return None
    operation: Callable[..., Any] = getattr(importlib.import_module(f"gato_trainer.kernels.{FUSED[name]}"), name)
    return operation


def eager(name: str, device: torch.device) -> Callable[..., Any]:
    """The reference."""
    operation: Callable[..., Any] = getattr(REFERENCE, name)
    return operation


def compiled(name: str, device: torch.device) -> Callable[..., Any]:
    """The reference in torch.compile; without a GPU only traced."""
    return torch.compile(eager(name, device), backend="inductor" if device.type == "cuda" else "eager", dynamic=False)


def liger(name: str, device: torch.device) -> Callable[..., Any] | None:
    """The nearest in Liger-Kernel: its GEGLU is the tanh approximation, its norm knows no residual."""
    if device.type != "cuda" or importlib.util.find_spec("liger_kernel") is None:
        return None
    functional = importlib.import_module("liger_kernel.transformers.functional")
    if name == "geglu":
        return lambda x, bias: functional.liger_geglu(*(x + bias.to(x.dtype)).chunk(2, dim=-1)[::-1])
    if name == "add_norm":
        return lambda x, branch, keep, gain, bias: (
            (total := REFERENCE.add(x, branch, keep)),
            functional.liger_layer_norm(total, gain.to(x.dtype), bias.to(x.dtype), 1e-5),
        )
    if name == "linear_cross_entropy":
        return lambda hidden, table, target: functional.liger_fused_linear_cross_entropy(
            hidden, table.to(hidden.dtype), target, reduction="sum"
        )
    return None


def check(name: str, shapes: Shapes) -> dict[str, Any]:
    """The test that also begins every run: errors at most twice torch's own."""
    from gato_trainer.kernels.self_test import self_test

    operation = fused(name, shapes.device)
    if operation is None:
        return {"error": "Triton is not installed"}
    reason = self_test(name, operation, getattr(REFERENCE, name), shapes)
    return {"error": reason} if reason else {"verdict": "yes"}


def time_case(name: str, shapes: Shapes, operation: Callable[..., Any], top: Ceilings) -> dict[str, Any]:
    """Forward and backward, beside the floor."""
    case = make_case(name, shapes)
    run = step(case, operation)
    time = seconds(run, shapes.device)
    floor = case.bytes / top.bytes + case.flops / top.flops
    values = {"ms": time * 1e3, "floor_ms": floor * 1e3, "of_floor": floor / time}
    if case.flops:
        return values | {"tflops": case.flops / time / 1e12}
    return values | {"gb_per_s": case.bytes / time / 1e9}


def step(case: Case, operation: Callable[..., Any]) -> Callable[[], object]:
    """Forward and backward with fixed random weights on the results."""

    def roots() -> list[Tensor]:
        results = case.call(operation)
        results = results if isinstance(results, tuple) else (results,)
        return [result for result in results if isinstance(result, Tensor) and result.requires_grad]

    weights = [torch.randn_like(root) for root in roots()]
    return lambda: torch.autograd.grad(roots(), case.leaves, weights, allow_unused=True)


def make_case(name: str, shapes: Shapes) -> Case:
    """Random arguments; element sizes: 2 bytes for activations, 4 for parameters (by the run's dtype in the toy)."""
    config, dtype, device = shapes.model, shapes.dtype, shapes.device
    tokens, size = shapes.windows * shapes.length, dtype.itemsize

    def values(*shape: int) -> Tensor:
        return torch.randn(shape, device=device, dtype=dtype).requires_grad_()

    def parameter(*shape: int) -> Tensor:
        return (torch.randn(shape, device=device) * 0.02).requires_grad_()

    if name == "add_norm":
        x, branch = (values(shapes.windows, shapes.length, config.width) for _ in range(2))
        keep = (torch.rand(shapes.windows, device=device) > 0.1).float() / 0.9
        gain, bias = parameter(config.width), parameter(config.width)
        return Case([x, branch, gain, bias], lambda f: f(x, branch, keep, gain, bias), 9 * size * x.numel())
    if name == "geglu":
        x, bias = values(tokens, config.feed_forward), parameter(config.feed_forward)
        return Case([x, bias], lambda f: f(x, bias), 4 * size * x.numel())
    if name == "linear_cross_entropy":
        hidden, table = values(max(tokens // 20, 1), config.width), parameter(config.vocabulary_size, config.width)
        target = torch.randint(config.vocabulary_size, (len(hidden),), device=device)
        return Case([hidden, table], lambda f: f(hidden, table, target), flops=6.0 * len(hidden) * table.numel())
    if name == "embed":
        return embedding_case(shapes, values, parameter)
    if name == "patch_block":
        return patch_case(shapes, parameter)
    return attention_case(name, shapes, values, parameter)


def embedding_case(shapes: Shapes, values: Callable[..., Tensor], parameter: Callable[..., Tensor]) -> Case:
    """Half of the tokens are patches, and a tenth of those is distinct."""
    config, device = shapes.model, shapes.device
    tables = [parameter(rows, config.width) for rows in (config.vocabulary_size, config.local_positions, 128, 128)]
    shape = (shapes.windows, shapes.length)
    tokens = torch.randint(config.vocabulary_size, shape, device=device)
    local = torch.randint(-1, config.local_positions, shape, device=device)
    slot = torch.arange(0, tokens.numel(), 2, device=device)
    patches = values(len(slot) // 10 + 1, config.width)
    index = torch.randint(len(patches), slot.shape, device=device)
    row, column = (torch.randint(128, slot.shape, device=device) for _ in range(2))
    elements = tokens.numel() * config.width
    # Forward: a row of a float32 table or, once, of a distinct patch is read, one is written. Backward: the gradient is
    # read, that of the patches and of the tables written.
    least = elements * (4 / 2 + 2 + 2) + 2 * 2 * patches.numel() + 4 * sum(table.numel() for table in tables)
    of_patches = (patches, index, slot, row, column)
    return Case([*tables, patches], lambda f: f(*tables, tokens, local, *of_patches, shapes.dtype), least)


def patch_case(shapes: Shapes, parameter: Callable[..., Tensor]) -> Case:
    """A sixth of the tokens are distinct patches; products of the three convolutions, forward and backward."""
    config, channels = shapes.model, shapes.model.patch_channels
    count = max(shapes.windows * shapes.length // 6, 1)
    pixels = torch.randint(256, (count, 16, 16, 3), device=shapes.device).to(torch.uint8)
    root, conv1, conv2 = (parameter(channels, inputs, 3, 3) for inputs in (3, channels, channels))
    vectors = [parameter(channels) for _ in range(7)]
    given = [root, *vectors[:3], conv1, *vectors[3:6], conv2, vectors[6]]
    products = 64 * count * channels * (2 * 2 * 27 + 3 * 2 * 2 * 9 * channels)
    call = lambda f: f(pixels, *given, config.patch_grid, shapes.dtype)  # noqa: E731
    return Case(given, call, flops=products)


def attention_case(name: str, shapes: Shapes, values: Callable[..., Tensor], parameter: Callable[..., Tensor]) -> Case:
    """q, k and v as slices of a projection, as in the model; products counted on the causal half."""
    config, length = shapes.model, shapes.length
    windows = max(shapes.windows // 8, 1)
    qkv = values(windows, length, 3, config.heads, config.head_size)
    product = windows * length * length * config.width

    def queries() -> tuple[Tensor, ...]:
        return qkv.permute(2, 0, 3, 1, 4).unbind(0)

    if name == "rotary_attention":
        angle = torch.rand(length, config.head_size // 2, device=shapes.device) * 100
        return Case([qkv], lambda f: f(*queries(), angle, None), flops=7.0 * product)
    distance = values(config.heads, length, config.head_size)
    biases = [parameter(config.heads, config.head_size) for _ in range(2)]
    return Case([qkv, distance, *biases], lambda f: f(*queries(), distance, *biases, None), flops=11.0 * product)
