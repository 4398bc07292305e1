"""What a run will cost, counted before it starts: parameters, FLOPs and memory."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch

from gato_data.errors import TrainError
from gato_data.printable import MAX_LINE, printable
from gato_trainer.config import ModelConfig, TrainSettings
from gato_trainer.data.batches import BatchSource, passes
from gato_trainer.data.inputs import Inputs, prepare
from gato_trainer.data.rows import TableRows
from gato_trainer.data.supervision import check_supervised
from gato_trainer.kernels.reference import LOGIT_ROWS
from gato_trainer.model.build import with_precision
from gato_trainer.model.transformer import Gato, count_parameters

MFU_FORMULA = (
    "MFU = FLOPs that the step needs / (seconds x peak of the device); needed are 3 x the forward's "
    "(blocks, causal half of attention, patch block on distinct patches, head on supervised rows only; last "
    "block's output projection and feed-forward on supervised rows only; without what stochastic depth skips), without "
    "recomputation"
)
_PLANNED_WINDOWS = 64
PEAK_FLOPS: dict[str, float] = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "B200": 2250e12,
    "A100": 312e12,
    "L40S": 362e12,
    "RTX 4090": 165e12,
}
"""Dense bf16 matrix FLOP/s by the makers' data sheets; a name found first wins."""


def peak_flops(device: torch.device) -> float | None:
    """The device's bf16 peak, or None if it is not known (then MFU is n/a)."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAK_FLOPS.items() if part in name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a batch asks for.

    Attributes:
        windows: B. length: their tokens, T.
        rows: supervised ones. patches: patch tokens.
        distinct_patches: rows that the patch block embeds, with padding.
        skipped: the share of the windows' sub-layers that stochastic depth leaves out.
    """

    windows: int
    length: int
    rows: int
    patches: int
    distinct_patches: int
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
            skipped=inputs.skipped,
        )

    def scaled(self, windows: int) -> "Work":
        """The same for another number of windows, in proportion."""
        return Work(
            windows=windows,
            length=self.length,
            rows=self.rows * windows // self.windows,
            patches=self.patches * windows // self.windows,
            distinct_patches=self.distinct_patches * windows // self.windows,
            skipped=self.skipped,
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


def memory(config: ModelConfig, parameters: int, work: Work, settings: TrainSettings, world: int) -> dict[str, int]:
    """Estimated bytes on each device, by what they are for; `work` is one micro-batch's."""
    size = 2 if settings.precision == "bf16" else 4
    copies = 4 + (1 if settings.ema else 0)
    state = 4 * copies * parameters // world
    gathered = size * parameters if world > 1 or size == 2 else 0
    tokens = work.windows * work.length
    per_token = config.blocks * (9 * config.width + 2 * config.feed_forward)
    if config.positions == "transformer-xl":
        per_token += config.blocks * 4 * config.heads * work.length
    activations = size * tokens * per_token + work.distinct_patches * 64 * config.patch_channels * 8 * size
    logits = min(work.rows, LOGIT_ROWS) * config.vocabulary_size * (size + 12)
    return {"state": state, "gathered": gathered, "activations": activations, "logits": logits}


def model_config(settings: TrainSettings, source: BatchSource) -> ModelConfig:
    """The shape with the source's vocabulary and, if it tells, its longest observation.

    Raises:
        TrainError: the source makes windows of another length, or cannot tell which ids it uses.
    """
    if source.context_length != settings.context_length:
        raise TrainError(
            f"the reader makes windows of context length {source.context_length}, the run wants "
            f"{settings.context_length}"
        )
    longest = source.max_observation_tokens
    every = ((0, source.vocabulary_size),)
    ranges = every if settings.vocabulary == "all" else _used_ids(source)
    return dataclasses.replace(
        settings.model,
        vocabulary_size=TableRows(ranges).size,
        id_ranges=() if ranges == every else ranges,
        local_positions=settings.model.local_positions if longest is None else longest,
    )


def _used_ids(source: BatchSource) -> tuple[tuple[int, int], ...]:
    if source.vocabulary is None or not source.modalities:
        raise TrainError("the reader does not say which ids its datasets use: leave out --vocabulary used")
    return TableRows.used(source.vocabulary, source.modalities).ranges


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """The result of `--dry-run`."""

    model: str
    parameters: int
    steps: int
    tokens_per_step: int
    supervised_tokens_per_step: int
    patches_per_step: int
    distinct_patches_per_step: int
    micro_batch_size: int
    flops_per_step: int
    memory_bytes: int
    memory: dict[str, int]
    passes: dict[str, float]
    warnings: list[str]

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON-ready values under stable keys."""
        return dataclasses.asdict(self)

    def lines(self) -> list[str]:
        """The plan as a short table."""
        rows = [
            f"model               {self.model}, {self.parameters / 1e6:.1f}M parameters",
            f"steps               {self.steps}",
            f"tokens a step       {self.tokens_per_step:,}, of them {self.supervised_tokens_per_step:,} supervised "
            f"and {self.patches_per_step:,} patches, {self.distinct_patches_per_step:,} of them embedded (by its "
            "first windows)",
            f"FLOPs a step        {self.flops_per_step:.3g}",
            f"memory (estimate)   {self.memory_bytes / 2**30:.2f} GiB on each device, "
            f"{self.micro_batch_size} windows at once: "
            + ", ".join(f"{name} {value / 2**30:.2f}" for name, value in self.memory.items()),
        ]
        rows += [f"passes over {printable(name)}: {passes:.3g}" for name, passes in self.passes.items()]
        return rows + [f"Warning: {printable(warning, MAX_LINE)}" for warning in self.warnings]


def _first_step(settings: TrainSettings, source: BatchSource, config: ModelConfig, micro: int) -> Work:
    """The work of the first step, from its first windows: a whole batch of a large model would be slow to read.

    They are read in micro-batches, each of which has distinct patches of its own.
    """
    windows = range(min(settings.batch_size, _PLANNED_WINDOWS))
    parts = [windows[start : start + micro] for start in windows[::micro]]
    seen = [Work.of(prepare(source.batch(part), config, None)) for part in parts]
    total = Work(
        windows=len(windows),
        length=seen[0].length,
        rows=sum(work.rows for work in seen),
        patches=sum(work.patches for work in seen),
        distinct_patches=sum(work.distinct_patches for work in seen),
    )
    return total.scaled(settings.batch_size)


def plan(settings: TrainSettings, source: BatchSource, world: int = 1) -> RunPlan:
    """Count what a run costs, from its settings and the batch of its first step; writes nothing."""
    automatic = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(automatic if settings.device == "auto" else settings.device)
    settings = with_precision(settings, device)
    config = model_config(settings, source)
    check_supervised(source, settings)
    with torch.device("meta"):
        parameters = count_parameters(Gato(config))
    share = -(-settings.batch_size // world)
    micro = min(settings.micro_batch_size or share, share)
    work = _first_step(settings, source, config, micro)
    parts = memory(config, parameters, work.scaled(micro), settings, world)
    return RunPlan(
        model=settings.model_name,
        parameters=parameters,
        steps=settings.steps,
        tokens_per_step=work.windows * work.length,
        supervised_tokens_per_step=work.rows,
        patches_per_step=work.patches,
        distinct_patches_per_step=work.distinct_patches,
        micro_batch_size=micro,
        flops_per_step=flops(config, work),
        memory_bytes=sum(parts.values()),
        memory=parts,
        passes=passes(source, settings.steps * settings.batch_size),
        warnings=list(source.warnings),
    )
