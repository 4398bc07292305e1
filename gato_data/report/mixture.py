"""What is in a mixture file, and what a run of it will read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from gato_data.errors import InputError
from gato_data.mixing.make import MixturePlan, Run, describe
from gato_data.report.printable import count, printable
from gato_schemas.mixture import Mixture, read_mixture


@dataclass(frozen=True, slots=True)
class MixtureSummary:
    """A mixture file and the plan of a run."""

    path: Path
    mixture: Mixture
    plan: MixturePlan

    def folder(self, number: int) -> Path:
        """Where dataset `number` lies."""
        return self.path.parent / self.mixture.datasets[number].path


def summarize_mixture(path: Path, steps: int, batch_size: int) -> MixtureSummary:
    """Read a mixture file and plan a run of it, from manifests and indexes alone.

    Raises:
        InputError: a folder was given.
        FormatError: the file is missing, damaged or of another version, or a dataset is.
        MixtureError: a dataset changed since it was mixed.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder, a mixture file was wanted: try `gato-data inspect dataset {path}`")
    mixture = read_mixture(path)
    return MixtureSummary(path, mixture, describe(mixture, path, Run(steps=steps, batch_size=batch_size)))


def mixture_facts(summary: MixtureSummary) -> list[tuple[str, str]]:
    """What a mixture is, in words."""
    mixture = summary.mixture
    table = mixture.vocabulary
    return [
        ("datasets", count(len(mixture.datasets))),
        ("vocabulary", f"{count(table.size)} ids, separator {table.separator}"),
        ("observation", f"at most {count(mixture.max_observation_tokens)} tokens a timestep"),
    ]


def stage_rows(summary: MixtureSummary) -> list[list[str]]:
    """From which sample on which weights hold."""
    names = [dataset.name for dataset in summary.mixture.datasets]
    return [
        [
            count(stage.first_sample),
            stage.measure.replace("-", " "),
            ", ".join(f"{printable(name)} {weight:.4g}" for name, weight in zip(names, stage.weights, strict=True)),
        ]
        for stage in summary.mixture.stages
    ]


def plan_rows(plan: MixturePlan) -> list[list[str]]:
    """One row a dataset: asked, realised, windows, tokens, loss tokens, passes, first repeat."""
    return [
        [
            printable(row.name),
            printable(row.family),
            f"{row.asked:.2%}",
            f"{row.realised:.2%}",
            count(row.windows),
            count(row.tokens),
            count(row.loss_tokens),
            f"{row.passes:,.2f}",
            "never" if row.first_repeat is None else count(row.first_repeat),
        ]
        for row in plan.datasets
    ]


PLAN_COLUMNS = (
    "dataset",
    "family",
    "asked",
    "realised",
    "windows",
    "tokens",
    "loss tokens",
    "passes",
    "repeats at step",
)


def run_line(plan: MixturePlan) -> str:
    """What the plan is for."""
    windows = plan.steps * plan.batch_size
    return (
        f"{count(plan.steps)} steps of {count(plan.batch_size)} windows of {count(plan.context_length)} tokens "
        f"({count(windows)} windows); shares are of {plan.measure.replace('-', ' ')}"
    )


def mixture_json(summary: MixtureSummary) -> dict[str, Any]:
    """The JSON answer of `inspect mixture`."""
    mixture = msgspec.to_builtins(summary.mixture)
    return {"mixture": summary.path.name, **mixture, "plan": msgspec.to_builtins(summary.plan)}
