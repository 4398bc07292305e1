"""What a run will cost, counted before it starts: parameters, FLOPs and memory."""

import dataclasses
from collections.abc import Set
from dataclasses import dataclass
from typing import Any

import torch

from gato_data.printable import MAX_LINE, printable
from gato_trainer.cards import THIS_MACHINE, PlannedMachine, peak_flops_of
from gato_trainer.config import ModelConfig, TrainSettings
from gato_trainer.data.batches import BatchSource, passes
from gato_trainer.data.inputs import Inputs, prepare
from gato_trainer.data.supervision import check_supervised
from gato_trainer.kernels import FUSED, expected
from gato_trainer.model.build import model_config, parameters_of, shapes_of
from gato_trainer.model.freezing import told
from gato_trainer.model.sharding import check_processes
from gato_trainer.run.choosing import Choice, choose, definite
from gato_trainer.run.machine import Machine, machine_here, machine_planned
from gato_trainer.world import World, choose_device

MFU_FORMULA = (
    "MFU = FLOPs that the step needs / (seconds x peak of the device); needed are 3 x the forward's "
    "(blocks, causal half of attention, patch block on distinct patches, head on supervised rows only; last "
    "block's output projection and feed-forward on supervised rows only; without what stochastic depth skips), without "
    "recomputation"
)
_PLANNED_WINDOWS = 64


def peak_flops(device: torch.device) -> float | None:
    """The device's bf16 peak, or None if it is not known (then MFU is n/a)."""
    return peak_flops_of(torch.cuda.get_device_name(device)) if device.type == "cuda" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a batch asks for.

    Attributes:
        windows: B. length: their tokens, T.
        rows: supervised ones. patches: patch tokens.
        distinct_patches: rows that the patch block embeds, with padding.
        segmented: whether windows hold several episodes, which do not see each other.
        skipped: the share of the windows' sub-layers that stochastic depth leaves out.
    """

    windows: int
    length: int
    rows: int
    patches: int
    distinct_patches: int
    segmented: bool = False
    skipped: float = 0.0

    @classmethod
    def of(cls, inputs: Inputs) -> "Work":
        """The work of a prepared batch."""
        real = inputs.real
        return cls(
            windows=real.windows,
            length=inputs.tokens.shape[1],
            rows=real.rows,
            patches=real.patches,
            distinct_patches=len(inputs.distinct_patches),
            segmented=inputs.segment is not None,
            skipped=inputs.skipped,
        )

    def scaled(self, windows: int) -> "Work":
        """The same for another number of windows, in proportion."""
        return dataclasses.replace(
            self,
            windows=windows,
            rows=self.rows * windows // self.windows,
            patches=self.patches * windows // self.windows,
            distinct_patches=self.distinct_patches * windows // self.windows,
        )


def flops(config: ModelConfig, work: Work) -> int:
    """FLOPs that forward and backward need by `MFU_FORMULA`; a multiply-add counts as two."""
    d, blocks, length = config.width, config.blocks, work.length
    tokens = work.windows * length
    relative = config.positions == "transformer-xl"
    after_attention = 2 * d * d + 3 * d * config.feed_forward
    gemm = blocks * tokens * 6 * d * d + ((blocks - 1) * tokens + work.rows) * after_attention
    distances = blocks * length * 2 * d * d if relative else 0
    attention = blocks * work.windows * length * length * d * (3 if relative else 2)
    head = 2 * work.rows * config.vocabulary_size * d
    channels = config.patch_channels
    patch = 64 * (2 * 27 * channels + 2 * 2 * 9 * channels * channels) + 2 * channels * config.patch_grid**2 * d
    of_windows = round((gemm + attention) * (1 - work.skipped))
    return 3 * (of_windows + distances + head + work.distinct_patches * patch)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """The result of `--dry-run`."""

    model: str
    parameters: int
    frozen_parameters: int
    machine: str
    chosen: str
    precision: str
    activation_checkpointing: bool
    run: str
    steps: int
    tokens_per_step: int
    supervised_tokens_per_step: int
    patches_per_step: int
    distinct_patches_per_step: int
    micro_batch_size: int
    flops_per_step: int
    memory_bytes: int
    memory: dict[str, int]
    fits: bool
    passes: dict[str, float]
    warnings: list[str]

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON-ready values under stable keys."""
        return dataclasses.asdict(self)

    def lines(self) -> list[str]:
        """The plan as a short table."""
        rows = [
            f"model               {self.model}, {told(self.parameters, self.frozen_parameters)}",
            f"chosen              {self.chosen}",
            f"run                 {self.run}",
            f"tokens a step       {self.tokens_per_step:,}, of them {self.supervised_tokens_per_step:,} supervised "
            f"and {self.patches_per_step:,} patches, {self.distinct_patches_per_step:,} of them embedded (by its "
            "first windows)",
            f"FLOPs a step        {self.flops_per_step:.3g}",
            f"memory (estimate)   {self.memory_bytes / 2**30:.2f} GiB on each device, "
            f"{self.micro_batch_size} window{'s' if self.micro_batch_size > 1 else ''} at once: "
            + ", ".join(f"{name} {value / 2**30:.2f}" for name, value in self.memory.items()),
        ]
        rows += [f"passes over {printable(name)}: {passes:.3g}" for name, passes in self.passes.items()]
        return rows + [f"Warning: {printable(warning, MAX_LINE)}" for warning in self.warnings]


def micro_batch_work(source: BatchSource, config: ModelConfig, windows: int) -> Work:
    """The work of a micro-batch of so many windows, by the first ones: reading many would be slow."""
    seen = Work.of(prepare(source.batch(range(min(windows, _PLANNED_WINDOWS))), config, None))
    return seen.scaled(windows)


def _first_step(settings: TrainSettings, source: BatchSource, config: ModelConfig) -> Work:
    """The work of the first step, from its first windows; stochastic depth skips what it does on average.

    They are read in micro-batches, each of which has distinct patches of its own.
    """
    windows = range(min(settings.batch_size, _PLANNED_WINDOWS))
    micro = settings.micro_batch_size or settings.batch_size
    parts = [windows[start : start + micro] for start in windows[::micro]]
    seen = [Work.of(prepare(source.batch(part), config, None)) for part in parts]
    total = dataclasses.replace(
        seen[0],
        windows=len(windows),
        rows=sum(work.rows for work in seen),
        patches=sum(work.patches for work in seen),
        distinct_patches=sum(work.distinct_patches for work in seen),
        skipped=config.stochastic_depth,
    )
    return total.scaled(settings.batch_size)


def choose_for(
    settings: TrainSettings, config: ModelConfig, source: BatchSource, machine: Machine, fused: Set[str]
) -> Choice:
    """`choose` by a source's first windows."""
    counts = parameters_of(settings, config)
    return choose(settings, config, counts, machine, fused, lambda size: micro_batch_work(source, config, size))


def plan(
    settings: TrainSettings, source: BatchSource, world: int = 1, planned: PlannedMachine = THIS_MACHINE
) -> RunPlan:
    """Count what a run costs, from its settings and the batch of its first step; writes nothing.

    Args:
        settings: of the run.
        source: training windows.
        world: processes on this machine.
        planned: GPUs that the plan is made for instead.
    """
    machine = machine_planned(planned) if planned.is_given else _this_machine(settings, world)
    check_processes(settings, machine.processes)
    settings = definite(settings, machine)
    config = model_config(settings, source)
    check_supervised(source, settings)
    fused = expected(settings.kernels, shapes_of(settings, config, machine.device)) if machine.has_bf16 else set()
    choice = choose_for(settings, config, source, machine, fused)
    work = _first_step(choice.settings, source, config)
    parameters, frozen = parameters_of(settings, config)
    return RunPlan(
        model=settings.model_name,
        parameters=parameters,
        frozen_parameters=frozen,
        machine=machine.words,
        chosen=choice.line(f"kernels: {_kernels(fused)}"),
        precision=choice.settings.precision or "",
        activation_checkpointing=choice.settings.activation_checkpointing == "on",
        run=settings.run_line,
        steps=settings.steps,
        tokens_per_step=work.windows * work.length,
        supervised_tokens_per_step=work.rows,
        patches_per_step=work.patches,
        distinct_patches_per_step=work.distinct_patches,
        micro_batch_size=choice.settings.micro_batch_size or settings.batch_size,
        flops_per_step=flops(config, work),
        memory_bytes=choice.memory_bytes,
        memory=choice.memory,
        fits=choice.fits,
        passes=passes(source, settings.steps * settings.batch_size),
        warnings=[*source.warnings, *_does_not_fit(choice)],
    )


def _this_machine(settings: TrainSettings, world: int) -> Machine:
    device = choose_device(settings.device)
    return dataclasses.replace(machine_here(World(0, 1, device)), processes=world)


def _kernels(fused: Set[str]) -> str:
    if not fused:
        return "reference"
    return f"fused {', '.join(name for name in FUSED if name in fused)}, if they pass their test there"


def _does_not_fit(choice: Choice) -> list[str]:
    machine = choice.machine
    if choice.fits or machine.memory is None:
        return []
    return [
        f"this does not fit into the {machine.memory / 2**30:.1f} GiB that a run may take of each {machine.name}: a "
        "smaller --model or --context-length, --shard full over more GPUs, or GPUs with more memory are needed"
    ]
