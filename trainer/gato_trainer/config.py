"""What is trained and how: the shape of the model and the settings of a run."""

import dataclasses
import math
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Any, Literal

from gato_data.errors import SettingError
from gato_data.printable import counted
from gato_data.settings import check, declared, flag_name, setting
from gato_trainer.data.rows import TableRows
from gato_trainer.data.skipped_steps import SkippedSteps

PAPER_VOCABULARY = 33025
"""32,000 text pieces + 1,024 bins + the separator (paper section 2.1)."""

_MODEL: dict[str, Any] = {
    "minimum": 1,
    "refusal": "a model with {name} {value} is not possible: 1 to {maximum:,} is wanted",
}
"""A size of a model. The maxima are far above any real one: a larger value comes from a damaged file."""
_COUNT: dict[str, Any] = {
    "minimum": 1,
    "refusal": "{name} must be a finite number above 0; got {value}",
}
_AT_LEAST_1: dict[str, Any] = {
    "minimum": 1,
    "refusal": "{name} must be at least 1; got {value}",
}
_ABOVE_0: dict[str, Any] = {"minimum": math.ulp(0.0), "refusal": _COUNT["refusal"]}
_NOT_NEGATIVE: dict[str, Any] = {
    "minimum": 0,
    "refusal": "{name} must be a finite number of at least 0; got {value}",
}
_CHANCE: dict[str, Any] = {
    "minimum": 0,
    "below": 1,
    "refusal": "{name} must be in [0, 1); got {value}",
}

Positions = Literal["transformer-xl", "rope"]
Precision = Literal["fp32", "bf16"]
Sharding = Literal["none", "zero2", "full"]
OptimizerState = Literal["fp32", "bf16"]
VocabularyRows = Literal["all", "used"]
Kernels = Literal["auto", "fused", "reference"]
ActivationCheckpointing = Literal["auto", "on", "off"]
Resume = Literal["no", "yes", "auto"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The shape of a Gato transformer (paper section 2.3 and appendix C).

    Attributes:
        width: features of a token.
        blocks: transformer blocks, each one attention and one feed-forward sub-layer.
        heads: attention heads; `width / heads` is the key size.
        feed_forward: combined width of gate and value; the inner width is half of it.
        vocabulary_size: rows of the token table, which is also the output head.
        id_ranges: ids that the rows stand for, as (first, one past the last), ascending; empty
            where every id has its own row.
        local_positions: rows of the within-timestep position table, without the shared action row.
        patch_channels: channels of the ResNet block of a patch, a multiple of 32.
        patch_grid: the block's output is averaged to `patch_grid` x `patch_grid` cells before the
            projection.
        positions: how attention sees distance along the sequence.
        action_position: "shared" adds one learned row to all action tokens (appendix C.3), "none"
            nothing.
        separator_position: "none" adds nothing to separators, "own" one learned row.
        patch_position: what training takes of the rows and of the columns that a patch covers: "sampled" one at
            random, as the paper does (appendix C.3), "mean" the middle, which acting and evaluation always take.
        initialization: standard deviation of initial matrices: "gpt-2" is 0.02, "fan-in" one over the root of the
            number of inputs, which is 0.02 for 2,500 inputs and more for fewer.
        stochastic_depth: chance that training skips a sub-layer for a sequence (appendix C.2).
        dropout: on the embeddings and on each sub-layer's output; 0 in pre-training, 0.1 in
            fine-tuning.
    """

    width: int = setting(MISSING, "Features of a token.", maximum=2**20, **_MODEL)
    blocks: int = setting(MISSING, "Transformer blocks.", maximum=2**10, **_MODEL)
    heads: int = setting(MISSING, "Attention heads, which share the width.", maximum=2**20, **_MODEL)
    feed_forward: int = setting(MISSING, "Width of gate and value together.", maximum=2**22, **_MODEL)
    # The largest text model there may be takes a quarter of the ids.
    vocabulary_size: int = setting(PAPER_VOCABULARY, "", maximum=2**26, **_MODEL)
    id_ranges: tuple[tuple[int, int], ...] = ()
    local_positions: int = setting(512, "", maximum=2**26, **_MODEL)
    patch_channels: int = setting(64, "", maximum=2**16, **_MODEL)
    patch_grid: int = 2
    positions: Positions = setting(
        "transformer-xl",
        "Positions along the sequence.",
        refusal="{name} must be transformer-xl or rope; got {value!r}",
    )
    action_position: Literal["shared", "none"] = setting("shared", "Position of action tokens.")
    separator_position: Literal["none", "own"] = setting("none", "Position of separators.")
    patch_position: Literal["sampled", "mean"] = setting("sampled", "Row and column of a patch in training.")
    initialization: Literal["gpt-2", "fan-in"] = setting("gpt-2", "Initial weights of matrices.")
    stochastic_depth: float = setting(0.1, "Chance that a sub-layer is skipped.", **_CHANCE)
    dropout: float = setting(0.0, "0 in pre-training, 0.1 in fine-tuning.", **_CHANCE)

    def __post_init__(self) -> None:
        check(self)
        if self.width % self.heads or self.width % 2 or (self.width // self.heads) % 2:
            raise SettingError(f"width {self.width} does not divide into {self.heads} heads of an even size")
        if self.patch_channels % 32 or self.patch_grid not in (1, 2, 4, 8):
            raise SettingError(
                f"patch_channels must be a multiple of 32 and patch_grid one of 1, 2, 4, 8; "
                f"got {self.patch_channels} and {self.patch_grid}"
            )
        borders = [border for ids in self.id_ranges for border in ids]
        apart = all(low < high for low, high in self.id_ranges) and borders == sorted(borders)
        if min(borders, default=0) < 0 or not apart or self.rows.size != self.vocabulary_size:
            raise SettingError(f"id_ranges {self.id_ranges} are not those of {self.vocabulary_size} rows")

    @property
    def head_size(self) -> int:
        """Features of one attention head."""
        return self.width // self.heads

    @property
    def rows(self) -> TableRows:
        """Which row of the token table stands for which id."""
        return TableRows(self.id_ranges or ((0, self.vocabulary_size),))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """Everything that decides a run; make one with `train_settings`, which fills in a preset's values.

    Attributes:
        out: the run folder.
        model_name: the preset, for messages.
        model: the shape; its vocabulary and position table are replaced by the source's.
        origins: what said the number of steps, the batch size and the context length, for the log; and what was said
            of how windows are drawn.
        steps: the horizon of the learning-rate schedule.
        stop_step: None runs to `steps`.
        micro_batch_size: None takes what fits into a GPU's memory, and on a CPU a process's whole share.
        activation_checkpointing: whether a block keeps only what comes in, and computes the rest again
            for its backward; "auto" does so on a GPU that holds few windows otherwise.
        learning_rate: reached after `warmup_steps`; it falls to a tenth of it by `steps`.
        weight_decay: on matrices and tables (not on gains, biases or single vectors).
        precision: None means bf16 on a GPU that has it and fp32 elsewhere. Parameters and gradients are
            always float32.
        optimizer_state: dtype of AdamW's moments; "bf16" rounds them up or down at random, so that
            they are right on average.
        freeze: parameters whose names fit one of these globs stay as they are.
        lora: rank of the changes that are trained in place of all parameters; 0 trains these.
        lora_alpha: changes are scaled by `lora_alpha / lora`; None means `lora`, so by 1.
        lora_on: globs of the matrices that are changed; empty means those of attention and
            feed-forward.
        skip_spikes: deviations above the mean of a dataset's window losses, see `run.spikes`.
        skip_steps: what `SkippedSteps.parse` reads. They stay steps of the schedule, which read nothing
            and change no parameter.
        sharding: "zero2" shards gradients and optimizer state and keeps the gathered parameters
            between forward and backward, "full" gathers twice, "none" is for one process only.
        replicas: copies of the sharded model, each of them on `processes / replicas` processes that
            follow one another, such as those of a node.
        collective_timeout: seconds that a process waits for the others; None means torch's default.
        kernels: which implementation of the fusable operations runs: "reference", plain torch;
            "auto", each fused one that this machine runs and that passes its test; "fused", all of
            them or an error.
        vocabulary: "used" gives rows only to the ids of modalities that the datasets have; ids stay
            what they are.
        compile: None means on a GPU only.
        evaluate_samples: of every dataset that has them; None takes 64, or fewer if those were more than 8,192
            in all, but 8.
        cuda_graph: sub-layers are then computed for all windows, since a graph has one size.
        read_ahead: steps that are read before they are needed.
        resume: "yes" continues the run in `out`, "auto" continues it where there is one and starts
            it otherwise, so that one command starts a run and starts it again after a crash.
    """

    out: Path
    model_name: str
    model: ModelConfig
    origins: dict[str, str] = field(default_factory=dict)
    steps: int = setting(MISSING, "Optimizer steps of the whole run.", **_COUNT)
    batch_size: int = setting(MISSING, "Windows in one step, over all processes.", **_COUNT)
    context_length: int = setting(MISSING, "Input tokens of a window.", **_COUNT)
    learning_rate: float = setting(MISSING, "Peak of the schedule.", **_ABOVE_0)
    warmup_steps: int = setting(MISSING, "Steps until the peak.", **_NOT_NEGATIVE)
    warmup_from: float = 1e-7
    schedule: Literal["cosine", "constant"] = setting("cosine", "Learning rate after the warm-up.")
    stop_step: int | None = setting(None, "Save and stop here although the schedule goes on.", **_AT_LEAST_1)
    micro_batch_size: int | None = setting(None, "Windows computed at once; by default what fits.", **_AT_LEAST_1)
    activation_checkpointing: ActivationCheckpointing = setting("auto", "Compute activations twice to save memory.")
    betas: tuple[float, float] = (0.9, 0.95)
    epsilon: float = 1e-8
    weight_decay: float = setting(0.1, "Weight decay of AdamW.", **_NOT_NEGATIVE)
    clip: float = setting(0.0, "Largest gradient norm; 0 does not clip.", **_NOT_NEGATIVE)
    skip_spikes: float = setting(
        0.0, "Leave out windows whose loss is so many deviations above their dataset's; 0: none.", **_NOT_NEGATIVE
    )
    skip_steps: str = setting("", "Leave out the windows of these steps, such as 120 or 120:124,300.", "STEPS")
    ema: float = setting(0.0, "Decay of averaged parameters; 0 keeps none.", **_CHANCE)
    precision: Precision | None = setting(None, "Dtype of the computation; by default bf16 on a GPU that has it.")
    optimizer_state: OptimizerState = setting("fp32", "AdamW's moments; bf16 rounds them at random, without bias.")
    freeze: tuple[str, ...] = setting(
        (), "Leave parameters of these names as they are; may be given again.", "GLOB", repeatable=True
    )
    lora: int = setting(0, "Train changes of this rank in place of the parameters.", "RANK", **_NOT_NEGATIVE)
    lora_alpha: float | None = setting(None, "Scale the changes by ALPHA / RANK; by default 1.", "ALPHA", **_ABOVE_0)
    lora_on: tuple[str, ...] = setting(
        (), "Which matrices; by default attention's and feed-forward's.", "GLOB", repeatable=True
    )
    sharding: Sharding = setting(
        "zero2",
        "Over several processes; zero2 keeps gathered parameters for the backward, full gathers them again.",
        option="shard",
    )
    replicas: int = setting(1, "Copies of the sharded model, such as one a node.", **_COUNT)
    collective_timeout: float | None = setting(
        None,
        "Wait so long for other processes; by default as long as torch.",
        "SECONDS",
        minimum=1,
        maximum=10**6,
        refusal="{name} must be {minimum} to {maximum:,} seconds; got {value}",
    )
    seed: int = setting(0, "Seed of parameters, data order and all randomness.", **_NOT_NEGATIVE)
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "Where to train.")
    vocabulary: VocabularyRows = setting("all", "Rows of the token table: of all ids, or of modalities that occur.")
    kernels: Kernels = setting("auto", "Fused kernels where they run and pass their test, or plain torch.")
    compile: bool | None = setting(None, "torch.compile each block; by default on a GPU.")
    cuda_graph: bool = setting(False, "Launch each micro-batch as CUDA graphs; not tried on a GPU yet.", flag=True)
    log_every: int = setting(10, "Steps between two log lines.", **_COUNT)
    checkpoint_every: int = setting(0, "Steps between two checkpoints; 0: at the end.", **_NOT_NEGATIVE)
    keep_checkpoints: int = setting(3, "How many of the newest checkpoints stay.", **_COUNT)
    evaluate_every: int = setting(0, "Steps between two evaluations; 0: at the end.", **_NOT_NEGATIVE)
    evaluate_samples: int | None = setting(None, "Validation windows of each dataset; at most 64 by default.", **_COUNT)
    read_ahead: int = setting(3, "", **_COUNT)
    resume: Resume = setting("no", "Continue the run in RUN; auto: or start it.", alone="yes")
    overwrite: bool = setting(False, "Replace the run in RUN.", flag=True)
    init_from: Path | None = setting(None, "Run folder or .safetensors file to start from.", "PATH")
    tensorboard: bool = setting(False, "Write TensorBoard files as well.", flag=True)
    wandb: str | None = setting(None, "Send the curves to this project of Weights & Biases as well.", "PROJECT")
    profile: bool = setting(False, "Write a profile of a few steps.", flag=True)
    memory_snapshot: bool = setting(False, "Record what takes the memory of a GPU.", flag=True)

    def __post_init__(self) -> None:
        check(self)
        if not self.lora and (self.lora_alpha is not None or self.lora_on):
            raise SettingError("--lora-alpha and --lora-on are of changes of low rank: give their --lora RANK as well")
        if self.lora and self.freeze:
            raise SettingError("--lora leaves all parameters as they are already: leave out --freeze")
        if self.lora and self.init_from is None and self.resume != "yes":
            raise SettingError("--lora changes a trained model: give the one to start from with --init-from")
        if self.init_from is not None and self.model.initialization != "gpt-2":
            raise SettingError(
                f"--initialization {self.model.initialization} is of a new model, and --init-from starts from the "
                "parameters of another one: give one of them"
            )
        SkippedSteps.parse(self.skip_steps)

    def compiled_on(self, device: str) -> bool:
        """Whether blocks are compiled on a type of device."""
        return device == "cuda" if self.compile is None else self.compile

    @property
    def last_step(self) -> int:
        """Where this invocation stops: `stop_step`, or `steps`."""
        return self.steps if self.stop_step is None else min(self.stop_step, self.steps)

    @property
    def run_line(self) -> str:
        """How long the run is, how large its batches and windows are, and what said so."""
        values = {
            "steps": counted(self.steps, "step"),
            "batch_size": f"{counted(self.batch_size, 'window')} a step",
            "context_length": f"{counted(self.context_length, 'token')} a window",
        }
        told = [f"{text} ({self.origins.get(name, 'given')})" for name, text in values.items()]
        return ", ".join(told + [f"{name} {text}" for name, text in self.origins.items() if name not in values])

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary of every field, with what is read back of it."""
        values = dataclasses.asdict(self)
        return {name: _plain(value) for name, value in values.items()}


def name_told(name: str) -> str:
    """What a user calls a field of a run's settings or of its model: its option, if it has one."""
    entries = (entry for cls in (TrainSettings, ModelConfig) for entry, _ in declared(cls))
    return next((flag_name(entry) for entry in entries if entry.name == name and entry.metadata.get("help")), name)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [*value]
    return str(value) if isinstance(value, Path) else value
