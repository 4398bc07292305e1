"""What is trained and how: the shape of the model and the settings of a run."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gato_data.errors import SettingError

PAPER_VOCABULARY = 33025
"""32,000 text pieces + 1,024 bins + the separator (paper section 2.1)."""

_MOST = {
    "width": 2**20,
    "blocks": 2**10,
    "heads": 2**20,
    "feed_forward": 2**22,
    "vocabulary_size": 2**26,  # the largest text model there may be takes a quarter of it
    "local_positions": 2**26,
    "patch_channels": 2**16,
}
"""Far above any model; what lies beyond is damage, and no tensor could have such a shape."""

Positions = Literal["transformer-xl", "rope"]
Precision = Literal["fp32", "bf16"]
Sharding = Literal["none", "zero2", "full"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The shape of a Gato transformer (paper section 2.3 and appendix C).

    Attributes:
        width: features of a token.
        blocks: transformer blocks, each one attention and one feed-forward sub-layer.
        heads: attention heads; `width / heads` is the key size.
        feed_forward: combined width of gate and value; the inner width is half of it.
        vocabulary_size: rows of the token table, which is also the output head.
        local_positions: rows of the within-timestep position table, without the shared action row.
        patch_channels: channels of the ResNet block of a patch, a multiple of 32.
        patch_grid: the block's output is averaged to `patch_grid` x `patch_grid` cells before the projection.
        positions: how attention sees distance along the sequence.
        action_position: "shared" adds one learned row to all action tokens (appendix C.3), "none" nothing.
        separator_position: "none" adds nothing to separators, "own" one learned row.
        stochastic_depth: chance that a sub-layer is skipped for a sequence in training (appendix C.2).
        dropout: on the embeddings and on each sub-layer's output; 0 in pre-training, 0.1 in fine-tuning.
    """

    width: int
    blocks: int
    heads: int
    feed_forward: int
    vocabulary_size: int = PAPER_VOCABULARY
    local_positions: int = 512
    patch_channels: int = 64
    patch_grid: int = 2
    positions: Positions = "transformer-xl"
    action_position: Literal["shared", "none"] = "shared"
    separator_position: Literal["none", "own"] = "none"
    stochastic_depth: float = 0.1
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name, most in _MOST.items():
            if not 1 <= getattr(self, name) <= most:
                raise SettingError(
                    f"a model with {name} {getattr(self, name)} is not possible: 1 to {most:,} is wanted"
                )
        if self.width % self.heads or self.width % 2 or (self.width // self.heads) % 2:
            raise SettingError(f"width {self.width} does not divide into {self.heads} heads of an even size")
        if self.patch_channels % 32 or self.patch_grid not in (1, 2, 4, 8):
            raise SettingError(
                f"patch_channels must be a multiple of 32 and patch_grid one of 1, 2, 4, 8; "
                f"got {self.patch_channels} and {self.patch_grid}"
            )
        for name in ("stochastic_depth", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingError(f"{name} must be in [0, 1); got {getattr(self, name)}")
        if self.positions not in ("transformer-xl", "rope"):
            raise SettingError(f"positions must be transformer-xl or rope; got {self.positions!r}")

    @property
    def head_size(self) -> int:
        """Features of one attention head."""
        return self.width // self.heads


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """Everything that decides a run; make one with `train_settings`, which fills in a preset's values.

    Attributes:
        out: the run folder.
        model_name: the preset, for messages.
        model: the shape; its vocabulary and position table are replaced by the source's.
        steps: optimizer steps of the whole run: the horizon of the learning-rate schedule.
        stop_step: save and stop after this step although the schedule goes on; None runs to `steps`.
        batch_size: windows in one optimizer step, over all processes.
        micro_batch_size: windows that one process computes at once; None takes its whole share.
        context_length: input tokens of a window.
        learning_rate: the peak, reached after `warmup_steps`; it falls to a tenth of it by `steps`.
        schedule: "cosine" or "constant" after the warm-up.
        weight_decay: AdamW's, on matrices and tables (not on gains, biases or single vectors).
        clip: largest global gradient norm; 0 does not clip, as in the paper.
        ema: decay of the averaged parameters; 0 keeps none.
        precision: of the computation; None means bf16 on a GPU and fp32 on a CPU. Parameters, gradients and
            optimizer state are always float32.
        sharding: over several processes: "zero2" shards gradients and optimizer state and keeps the gathered
            parameters between forward and backward, "full" gathers twice, "none" (one process only).
        seed: of the parameters, stochastic depth, patch positions and dropout.
        kernels: which implementation of the fusable operations runs: "reference", plain torch; "auto", each fused
            one that this machine runs and that passes its test; "fused", all of them or an error.
        compile: torch.compile per block; None means on a GPU only.
        log_every, checkpoint_every, evaluate_every: in steps; 0 for never (checkpoints: only at the end).
        keep_checkpoints: how many checkpoints stay.
        evaluate_samples: validation windows per evaluation.
        read_ahead: steps that are read before they are needed.
        tensorboard: write TensorBoard files into the run folder. wandb: a project of Weights & Biases.
        profile: write a profile of a few steps into the run folder.
    """

    out: Path
    model_name: str
    model: ModelConfig
    steps: int
    batch_size: int
    context_length: int
    learning_rate: float
    warmup_steps: int
    warmup_from: float = 1e-7
    schedule: Literal["cosine", "constant"] = "cosine"
    stop_step: int | None = None
    micro_batch_size: int | None = None
    betas: tuple[float, float] = (0.9, 0.95)
    epsilon: float = 1e-8
    weight_decay: float = 0.1
    clip: float = 0.0
    ema: float = 0.0
    precision: Precision | None = None
    sharding: Sharding = "zero2"
    seed: int = 0
    device: str = "auto"
    kernels: str = "reference"
    compile: bool | None = None
    log_every: int = 10
    checkpoint_every: int = 0
    keep_checkpoints: int = 3
    evaluate_every: int = 0
    evaluate_samples: int = 64
    read_ahead: int = 3
    resume: bool = False
    overwrite: bool = False
    init_from: Path | None = None
    tensorboard: bool = False
    wandb: str | None = None
    profile: bool = False

    def __post_init__(self) -> None:
        _positive(self, "steps", "batch_size", "context_length", "learning_rate", "keep_checkpoints", "read_ahead")
        _positive(self, "log_every", "evaluate_samples")
        _not_negative(self, "warmup_steps", "weight_decay", "clip", "checkpoint_every", "evaluate_every", "seed")
        if not 0 <= self.ema < 1:
            raise SettingError(f"ema must be in [0, 1); got {self.ema}")
        if self.micro_batch_size is not None and self.micro_batch_size < 1:
            raise SettingError(f"micro_batch_size must be at least 1; got {self.micro_batch_size}")
        for name, allowed in (
            ("precision", (None, "fp32", "bf16")),
            ("sharding", ("none", "zero2", "full")),
            ("schedule", ("cosine", "constant")),
            ("device", ("auto", "cpu", "cuda")),
            ("kernels", ("reference", "fused", "auto")),
        ):
            if getattr(self, name) not in allowed:
                raise SettingError(
                    f"{name} must be one of {', '.join(filter(None, allowed))}; got {getattr(self, name)!r}"
                )

    @property
    def last_step(self) -> int:
        """Where this invocation stops: `stop_step`, or `steps`."""
        return self.steps if self.stop_step is None else min(self.stop_step, self.steps)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary of every field."""
        values = dataclasses.asdict(self)
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def _positive(settings: TrainSettings, *names: str) -> None:
    for name in names:
        if not 0 < getattr(settings, name) < math.inf:
            raise SettingError(f"{name} must be a finite number above 0; got {getattr(settings, name)}")


def _not_negative(settings: TrainSettings, *names: str) -> None:
    for name in names:
        if not 0 <= getattr(settings, name) < math.inf:
            raise SettingError(f"{name} must be a finite number of at least 0; got {getattr(settings, name)}")
