"""What is in a mixture file, and what a run of it will read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gato_data.errors import InputError
from gato_data.mixing.plan import MixturePlan, PlannedDataset, Run, describe
from gato_data.printable import count, printable
from gato_data.reading.settings import ReadSettings
from gato_data.remote.mirror import dataset_folder
from gato_data.report.encode import plain
from gato_data.report.table import Fact, TableColumn
from gato_schemas.mixture import Mixture, MixtureRun, MixtureStage, read_mixture


@dataclass(frozen=True, slots=True)
class MixtureSummary:
    """A mixture file and the plan of a run."""

    path: Path
    mixture: Mixture
    plan: MixturePlan
    cache: Path | None = None

    def folder(self, number: int) -> Path:
        """Where dataset `number` lies."""
        return dataset_folder(self.path, self.mixture.datasets[number].path, self.cache)


def summarize_mixture(
    path: Path, planned: Callable[[MixtureRun], Mapping[str, Any]], cache: Path | None = None
) -> MixtureSummary:
    """Read a mixture file and plan a run of it, from manifests and indexes alone.

    Args:
        path: the file.
        planned: steps, batch size, context length, window and pack of the run, of what the file says of them.
        cache: where what is read from addresses is kept.

    Raises:
        InputError: a folder was given.
        FormatError: the file is missing, damaged or of another version, or a dataset is.
        MixtureError: a dataset changed since it was mixed.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder, a mixture file was wanted: try `gato-data inspect dataset {path}`")
    mixture = read_mixture(path)
    values = planned(mixture.run)
    reading = {name: values[name] for name in ("context_length", "window", "pack")}
    settings = ReadSettings(**reading, cache=cache)
    run = Run(steps=values["steps"], batch_size=values["batch_size"], settings=settings)
    return MixtureSummary(path, mixture, describe(mixture, path, run), cache)


def mixture_facts(summary: MixtureSummary) -> list[Fact]:
    """What a mixture is, in words."""
    mixture = summary.mixture
    table = mixture.vocabulary
    return [
        ("datasets", count(len(mixture.datasets))),
        ("vocabulary", f"{count(table.size)} ids, separator {table.separator}"),
        ("observation", f"at most {count(mixture.max_observation_tokens)} tokens a timestep"),
    ]


def stage_columns(mixture: Mixture, most: int | None = None) -> Sequence[TableColumn[MixtureStage]]:
    """From which sample on which weights hold; of more than `most` only the largest, and how many others there are."""
    names = [printable(dataset.name) for dataset in mixture.datasets]

    def weights(stage: MixtureStage) -> str:
        pairs = list(zip(names, stage.weights, strict=True))
        if most is None or len(pairs) <= most:
            return ", ".join(f"{name} {weight:.4g}" for name, weight in pairs)
        largest = sorted(pairs, key=lambda pair: -pair[1])[:most]
        return ", ".join(f"{name} {weight:.4g}" for name, weight in largest) + f" and {len(pairs) - most} others"

    return (
        TableColumn("from sample", lambda s: count(s.first_sample), number=True),
        TableColumn("shares of", lambda s: s.measure.replace("-", " ")),
        TableColumn("weights", weights),
    )


PLAN_COLUMNS: Sequence[TableColumn[PlannedDataset]] = (
    TableColumn("dataset", lambda r: printable(r.name)),
    TableColumn("family", lambda r: printable(r.family), optional=True),
    TableColumn("asked", lambda r: f"{r.asked:.2%}", number=True),
    TableColumn("realised", lambda r: f"{r.realised:.2%}", number=True),
    TableColumn("windows", lambda r: count(r.windows), number=True),
    TableColumn("tokens", lambda r: count(r.tokens), number=True),
    TableColumn("loss tokens", lambda r: count(r.loss_tokens), number=True),
    TableColumn("passes", lambda r: f"{r.passes:,.2f}", number=True),
    TableColumn(
        "repeats at step",
        lambda r: "never" if r.first_repeat is None else count(r.first_repeat),
        number=True,
    ),
)
"""What a run reads of one dataset."""


def run_line(plan: MixturePlan) -> str:
    """What the plan is for."""
    drawn = f"{count(plan.steps * plan.batch_size)} windows, cut at {plan.window}s{', packed' if plan.pack else ''}"
    return (
        f"{count(plan.steps)} steps of {count(plan.batch_size)} windows of {count(plan.context_length)} tokens "
        f"({drawn}); shares are of {plan.measure.replace('-', ' ')}"
    )


def mixture_answer(summary: MixtureSummary) -> dict[str, Any]:
    """What `inspect mixture --json` says."""
    return {"mixture": summary.path.name, **plain(summary.mixture), "plan": summary.plan}


def plan_answer(plan: MixturePlan, out: Path | None) -> dict[str, Any]:
    """What `mix --json` says; `out` is None where nothing was written."""
    return {"out": None if out is None else str(out), **plain(plan)}
