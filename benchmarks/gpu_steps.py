"""Whole optimizer steps of a size, 512 windows of 1,024 tokens, beside the compiled baseline on the same tokens.

A step takes pinned batches that are already in memory: forward, backward and AdamW in micro-batches, as training does.
MFU counts what the step needs (`gato_trainer.run.plan.MFU_FORMULA`) for ours and for the baseline, which does more. The
floor is the needed matrix products at the rate of a large one plus the bytes of norms, GEGLU and AdamW at the copy
bandwidth, both measured first.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from gpu_baseline import make_baseline
from gpu_ceilings import copy_rate, product_rate
from gpu_measure import Clock, guarded, once, release_memory
from torch import Tensor

from gato_trainer.config import ModelConfig
from gato_trainer.data.inputs import Inputs, Targets
from gato_trainer.model.build import build_model, choose_operations
from gato_trainer.model.optimizer import make_optimizer
from gato_trainer.presets import train_settings
from gato_trainer.run.choosing import definite
from gato_trainer.run.machine import machine_here
from gato_trainer.run.plan import Work, flops, peak_flops
from gato_trainer.world import World

MICRO = {"79m": 128, "364m": 64, "1.2b": 32}
"""Windows of a micro-batch on a card of 140 GB; less in proportion, and half of it each time memory runs out."""


@dataclass(frozen=True, slots=True)
class Run:
    """One line of the table.

    Attributes:
        model: "ours" or "baseline". kernels: of ours.
        supervised: share of supervised tokens. patches: share of image patches. distinct: of those, share that differs.
    """

    name: str
    model: str = "ours"
    positions: str = "rope"
    kernels: str = "auto"
    supervised: float = 0.05
    patches: float = 0.0
    distinct: float = 1.0


ACTIONS, PATCHES = 1 / 22, 20 / 22
"""Shares of a timestep of Atari: 20 patches, a separator and an action."""

RUNS = (
    Run(
        "ours, default, Atari, 17 % distinct",
        positions="transformer-xl",
        supervised=ACTIONS,
        patches=PATCHES,
        distinct=0.17,
    ),
    Run("ours, rope, 5 % supervised"),
    Run("baseline, 5 % supervised", model="baseline"),
    Run("ours, transformer-xl, 5 % supervised", positions="transformer-xl"),
    Run("ours, rope, 100 % supervised", supervised=1.0),
    Run("baseline, 100 % supervised", model="baseline", supervised=1.0),
    Run("ours, default, Atari, all distinct", positions="transformer-xl", supervised=ACTIONS, patches=PATCHES),
    Run(
        "ours, default, Atari, reference",
        positions="transformer-xl",
        supervised=ACTIONS,
        patches=PATCHES,
        distinct=0.17,
        kernels="reference",
    ),
    Run("ours, rope, 5 %, reference kernels", kernels="reference"),
)
"""In the order in which they matter, should the time run out."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What the runs of a size share: windows of a step, tokens of a window, and the measured rates."""

    size: str
    device: torch.device
    windows: int
    length: int
    micro: int
    bytes_per_s: float
    flops_per_s: float


def steps(size: str, device: torch.device, clock: Clock, toy: bool) -> None:
    """All runs of a size."""
    memory = torch.cuda.get_device_properties(device).total_memory / 140e9 if device.type == "cuda" else 1.0
    micro = 2 if toy else max(1, int(MICRO[size] * min(memory, 1.0)))
    bench = Bench(
        size="tiny" if toy else size,
        device=device,
        windows=4 if toy else 512 // micro * micro,
        length=16 if toy else 1024,
        micro=micro,
        bytes_per_s=copy_rate(device, 2**12 if toy else 2**30)["gb_per_s"] * 1e9,
        flops_per_s=product_rate(device, *(3 * [64 if toy else 8192]))["tflops"] * 1e12,
    )
    baseline: dict[float, float] = {}
    ours: dict[float, float] = {}
    for run in RUNS:

        def measure(run: Run = run) -> dict[str, Any]:
            values = with_less_memory(run, bench, clock)
            if run.patches == 0 and run.kernels == "auto" and run.positions == "rope":
                (baseline if run.model == "baseline" else ours)[run.supervised] = values["tokens_per_s"]
            if run.model == "baseline" and run.supervised in ours:
                values["ratio"] = ours[run.supervised] / baseline[run.supervised]
            return values

        guarded(clock, f"steps-{size}", run.name, measure, needs=1.0 if toy else 15.0)


def with_less_memory(run: Run, bench: Bench, clock: Clock) -> dict[str, Any]:
    """Measure, with half of the micro-batch each time that memory runs out."""
    micro = bench.micro
    while True:
        try:
            return measure_run(run, bench, micro, clock)
        except torch.cuda.OutOfMemoryError:
            if micro == 1:
                raise
            micro //= 2
        release_memory()


def measure_run(run: Run, bench: Bench, micro: int, clock: Clock) -> dict[str, Any]:
    """Time whole steps: some micro-batches to compile, then at least one step, more while there is time."""
    torch._dynamo.reset()
    device, count = bench.device, bench.windows // micro
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    subject = make_subject(run, bench, micro)
    batches = [make_inputs(run, subject.config, bench.length, micro, seed) for seed in range(min(2, count))]
    batches = [inputs.gathered(in_buckets=True) for inputs in batches]
    batches = [inputs.pinned() if on_gpu else inputs for inputs in batches]

    def step(micro_batches: int = count) -> Tensor:
        subject.optimizer.zero_grad(set_to_none=True)
        for index in range(micro_batches):
            loss = subject.loss(batches[index % len(batches)]) / len(batches[0].targets.rows)
            loss.backward()
        subject.optimizer.step()
        return loss.detach()

    if on_gpu:
        step(min(2, count))
    times = [once(step, device)]
    while on_gpu and len(times) < 5 and clock.left() > 15 + 3 * times[0]:
        times.append(once(step, device))
    loss = float(step(1))
    if not math.isfinite(loss):
        raise ArithmeticError(f"the loss after {len(times) + 1} steps is {loss}")
    values = rates(bench, subject, work_of(batches[0], count), median(times))
    memory = torch.cuda.max_memory_allocated(device) / 2**30 if on_gpu else 0.0
    return values | {"micro": micro, "steps": len(times), "gib": memory, "loss": loss, "kernels": subject.kernels}


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured: the summed loss of a micro-batch, its optimizer, and what it is made of."""

    config: ModelConfig
    loss: Callable[[Inputs], Tensor]
    optimizer: torch.optim.Optimizer
    parameters: int
    kernels: str


def make_subject(run: Run, bench: Bench, micro: int) -> Subject:
    """Ours as `gato-data train` builds it, or the baseline."""
    settings = train_settings(
        bench.size, Path("benchmark"), positions=run.positions, kernels=run.kernels, batch_size=bench.windows,
        context_length=bench.length, device=bench.device.type, micro_batch_size=micro,
    )  # fmt: skip
    world = World(0, 1, bench.device)
    settings = definite(settings, machine_here(world))
    config = settings.model
    if run.model == "baseline":
        model, optimizer = make_baseline(config, bench.length, bench.device)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        return Subject(config, baseline_loss(model, bench.device), optimizer, parameters, "torch")
    ours, parameters = build_model(settings, config, world, choose_operations(settings, config, world))
    kernels = ours.operations.summary.removeprefix("kernels: ")
    return Subject(config, our_loss(ours, bench.device), make_optimizer(ours, settings), parameters, kernels)


def our_loss(model: torch.nn.Module, device: torch.device) -> Callable[[Inputs], Tensor]:
    return lambda inputs: model(inputs.to(device))[0].sum()


def baseline_loss(model: torch.nn.Module, device: torch.device) -> Callable[[Inputs], Tensor]:
    def loss(inputs: Inputs) -> Tensor:
        tokens = inputs.tokens.to(device, non_blocking=True)
        targets = torch.full((tokens.numel(),), -1, device=device)
        rows, ids = (tensor.to(device, non_blocking=True) for tensor in (inputs.targets.rows, inputs.targets.ids))
        targets[rows] = ids
        with torch.autocast(device.type, torch.bfloat16):
            total: Tensor = model(tokens, targets.view(tokens.shape))
        return total

    return loss


def make_inputs(run: Run, config: ModelConfig, length: int, windows: int, seed: int) -> Inputs:
    """Random ids, supervised targets at even distances, patches in the first places of every window."""
    generator = torch.Generator().manual_seed(seed)

    def below(limit: int, *shape: int) -> Tensor:
        return torch.randint(limit, shape, generator=generator)

    tokens = below(config.vocabulary_size, windows, length)
    rows = torch.arange(windows * length)[:: max(round(1 / run.supervised), 1)]
    patches = int(run.patches * length)
    slot = (torch.arange(windows)[:, None] * length + torch.arange(patches)[None, :]).flatten()
    distinct = math.ceil(run.distinct * len(slot))
    index = torch.arange(len(slot)) if distinct == len(slot) else below(distinct, len(slot))
    none = torch.zeros(len(rows), dtype=torch.int64)
    kept = torch.rand(2 * config.blocks, windows, generator=generator) >= config.stochastic_depth
    return Inputs(
        tokens=tokens,
        local_row=below(config.local_positions, windows, length),
        distinct_patches=below(256, distinct, 16, 16, 3).to(torch.uint8),
        patch_index=index,
        patch_slot=slot,
        patch_row=below(128, len(slot)),
        patch_column=below(128, len(slot)),
        targets=Targets(
            rows=rows,
            ids=below(config.vocabulary_size, len(rows)),
            before=none - 1,
            dataset=none,
            modality=none,
            is_action=none.bool(),
        ),
        keep=kept.float() / (1.0 - config.stochastic_depth),
    )


def work_of(inputs: Inputs, micro_batches: int) -> Work:
    """The work of a whole step."""
    one = Work.of(inputs)
    return one.scaled(one.windows * micro_batches)


def rates(bench: Bench, subject: Subject, work: Work, time: float) -> dict[str, Any]:
    """Tokens a second, MFU and the floor."""
    config = subject.config
    tokens, needed, peak = work.windows * work.length, flops(config, work), peak_flops(bench.device)
    # Two norms with residual and one GEGLU in each block, forward and backward, in bf16; AdamW: docs/kernels.md.
    traffic = 2 * tokens * config.blocks * (18 * config.width + 4 * config.feed_forward) + 30 * subject.parameters
    floor = needed / bench.flops_per_s + traffic / bench.bytes_per_s
    values = {"ms": time * 1e3, "tokens_per_s": tokens / time, "supervised_per_s": work.rows / time}
    values |= {"floor_ms": floor * 1e3}
    return values | ({} if peak is None else {"mfu": needed / time / peak})
