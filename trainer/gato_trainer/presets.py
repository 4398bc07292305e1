"""The named models with what they are trained with, and `train_settings`, which completes a user's options."""

import dataclasses
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any

from gato_data.errors import SettingError
from gato_data.reading.settings import ReadSettings
from gato_data.settings import declared
from gato_data.sizes import written_size
from gato_trainer.cards import PlannedMachine
from gato_trainer.config import ModelConfig, TrainSettings

PAPER_STEPS = 1_000_000
WARMUP_STEPS = 15_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A named model and what it is trained with when the user says nothing."""

    model: ModelConfig
    learning_rate: float
    batch_size: int
    context_length: int
    steps: int


PRESETS: dict[str, Preset] = {
    "tiny": Preset(
        model=ModelConfig(width=128, blocks=3, heads=4, feed_forward=512, patch_channels=32, patch_grid=4),
        learning_rate=2e-3,
        batch_size=8,
        context_length=256,
        steps=200,
    ),
    "79m": Preset(
        model=ModelConfig(width=768, blocks=8, heads=24, feed_forward=3072),
        learning_rate=1e-4,
        batch_size=512,
        context_length=1024,
        steps=PAPER_STEPS,
    ),
    "364m": Preset(
        model=ModelConfig(width=1536, blocks=12, heads=12, feed_forward=6144),
        learning_rate=2e-4,
        batch_size=512,
        context_length=1024,
        steps=PAPER_STEPS,
    ),
    "1.2b": Preset(
        model=ModelConfig(width=2048, blocks=24, heads=16, feed_forward=8192),
        learning_rate=1e-4,
        batch_size=512,
        context_length=1024,
        steps=PAPER_STEPS,
    ),
}
"""The paper's sizes (appendix C.1, table 5) and a small one for a laptop and the tests."""

DEFAULT_MODEL = "tiny"
"""What is trained where no model is named."""

PLANNED = ("steps", "batch_size", "context_length")
"""What a mixture may say of the run that it was planned for."""

PLANNED_READING = ("window", "pack")
"""What it may say of how windows are drawn: settings of the reader."""

OPTIONS = tuple(
    (entry, kind) for cls in (TrainSettings, ModelConfig) for entry, kind in declared(cls) if entry.metadata.get("help")
)
"""What a command line takes beside a preset, each setting with its type."""

READ_OPTIONS = tuple(
    (entry, kind) for entry, kind in declared(ReadSettings) if entry.name not in {ours.name for ours, _ in OPTIONS}
)
"""What it takes of the reader's settings: those that are not the run's as well."""

PLAN_OPTIONS = declared(PlannedMachine)
"""What it takes of GPUs that a plan is made for."""

_OF_PRESETS = tuple(
    entry for entry, _ in OPTIONS if len({getattr(preset.model, entry.name, None) for preset in PRESETS.values()}) > 1
)
"""Settings of a model's shape in which the named models differ."""

FINE_TUNING: dict[str, Any] = {
    "learning_rate": 1e-5,
    "schedule": "constant",
    "warmup_steps": 0,
    "weight_decay": 0.0,
    "batch_size": 64,
    "steps": 10_000,
    "evaluate_every": 100,
    "dropout": 0.1,
    "stochastic_depth": 0.0,
}
"""The paper's fine-tuning (appendix E): Adam at a constant rate with dropout; stochastic depth is
for pre-training."""


def train_settings(
    model: str,
    out: Path,
    *,
    fine_tune: bool = False,
    planned: Mapping[str, Any] | None = None,
    reading: Mapping[str, Any] | None = None,
    **options: Any,
) -> TrainSettings:
    """Complete the options that a user gave (None means not given) with what is planned, then with the preset's values.

    Warm-up takes a tenth of the run, at most the paper's 15,000 steps, so a short run warms up too.

    Args:
        model: a name in `PRESETS`.
        out: the run folder.
        fine_tune: start from the values in `FINE_TUNING`.
        planned: what the mixture says of the run, by names in `PLANNED` and `PLANNED_READING`.
        reading: what the user gave of `PLANNED_READING`, for the log: `read_settings` completes that.
        options: fields of `TrainSettings`, and those of `ModelConfig` in `OPTIONS`.

    Raises:
        SettingError: an unknown model or a value that cannot be used.
    """
    if model not in PRESETS:
        raise SettingError(f"no model named {model!r}; there are {', '.join(PRESETS)}")
    preset = PRESETS[model]
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    given = {name: value for name, value in given.items() if value is not None}
    values: dict[str, Any] = {"learning_rate": preset.learning_rate}
    planned, origins = planned or {}, _reading_origins(planned or {}, reading or {})
    for origin, found in (
        (f"--model {model}", {name: getattr(preset, name) for name in PLANNED}),
        ("the mixture", {name: planned[name] for name in PLANNED if name in planned}),
        ("--fine-tune", FINE_TUNING if fine_tune else {}),
        ("given", given),
    ):
        values.update(found)
        origins.update({name: origin for name in PLANNED if name in found})
    of_model = {entry.name for entry in fields(ModelConfig)} & {entry.name for entry, _ in OPTIONS}
    shape = {name: values.pop(name) for name in of_model if name in values}
    values.setdefault("warmup_steps", min(WARMUP_STEPS, int(values["steps"]) // 10))
    shaped = dataclasses.replace(preset.model, **shape)
    return TrainSettings(out=Path(out), model_name=model, model=shaped, origins=origins, **values)


def read_settings(planned: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    """Complete the settings of the reader that a user gave (None means not given) with what is planned.

    Args:
        planned: what the mixture says of the run, by names in `PLANNED_READING`.
        options: fields of `ReadSettings`; what remains None has its default.
    """
    told = {name: planned[name] for name in PLANNED_READING if name in planned}
    return told | {name: value for name, value in options.items() if value is not None}


def _reading_origins(planned: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, str]:
    """What was said of how windows are drawn, and by whom."""
    said = {}
    for origin, found in (("the mixture", planned), ("given", given)):
        for name in PLANNED_READING:
            if (value := found.get(name)) is not None:
                said[name] = f"{({True: 'yes', False: 'no'}).get(value, value)} ({origin})"
    return said


def default_told(entry: "Field[Any]") -> str:
    """What stands for a setting that is not given, for its help; empty where that says it itself."""
    if entry.name in PLANNED:
        return "the mixture's, else the model's"
    if entry.name in PLANNED_READING:
        return f"the mixture's, else {entry.default or 'no'}"
    if entry.name == "warmup_steps":
        return f"a tenth of the steps, at most {WARMUP_STEPS:,}"
    if entry.name == "learning_rate" or any(entry.name == ours.name for ours in _OF_PRESETS):
        return "the model's"
    default: Any = entry.default
    if entry.metadata["flag"] or "default" in entry.metadata["help"] or default in (None, "", ()):
        return ""
    if entry.metadata["is_size"]:
        return written_size(default)
    return f"{default:g}" if isinstance(default, float) else str(default)


def models_told() -> str:
    """What the named models are trained with, in one sentence."""
    by_run: dict[str, list[str]] = {}
    for name, preset in PRESETS.items():
        run = f"{preset.steps:,} steps of {preset.batch_size} windows of {preset.context_length:,} tokens"
        by_run.setdefault(run, []).append(name)
    return "; ".join(f"{', '.join(names)}: {run}" for run, names in by_run.items())


def planned_machine(dry_run: bool, **options: Any) -> PlannedMachine:
    """The GPUs that a plan is made for, of the options that a user gave (None means not given).

    Raises:
        SettingError: a value that cannot be used, or GPUs were named for a run that is no plan.
    """
    planned = PlannedMachine(**options)
    if planned.is_given and not dry_run:
        raise SettingError(
            "--gpus, --gpu and --gpu-memory are for plans: add --dry-run, or start as many processes with torchrun"
        )
    return planned
