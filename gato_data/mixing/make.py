"""Making mixtures: weights for datasets, and further stages; `mixture_plan` says what a run then reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gato_data.errors import MixtureError
from gato_data.mixing.plan import MixturePlan, PlannedDataset, Run, describe
from gato_data.mixing.weight_text import WeightChoice, chosen, resolve, with_views
from gato_data.reading.datasets import common_vocabulary, mixture_dataset, open_datasets, open_mixture_datasets
from gato_data.reading.pieces import WindowNumbers
from gato_data.reading.sampler import Sampler
from gato_data.reading.weights import dataset_totals, normal, window_stages
from gato_data.shards.episodes import OpenDataset, read_table
from gato_schemas.mixture import Measure, Mixture, MixtureStage

__all__ = [
    "MixturePlan",
    "PlannedDataset",
    "Run",
    "WeightOptions",
    "add_stage",
    "describe",
    "plan_mixture",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightOptions:
    """How weights are read.

    Attributes:
        measure: what the weights are shares of; None is what the weights themselves say, or windows.
        temperature: weights become w ** (1 / temperature); None likewise, or 1.
        max_epochs: no dataset is drawn more often than this in the run; its share goes to the others.
    """

    measure: Measure | None = None
    temperature: float | None = None
    max_epochs: float | None = None


def plan_mixture(
    datasets: Sequence[Path],
    weights: str | Mapping[str, float],
    *,
    folder: Path,
    options: WeightOptions | None = None,
    run: Run | None = None,
) -> Mixture:
    """Mix datasets.

    Args:
        datasets: their folders.
        weights: what `weight_text.parse_weights` reads, or weights by name; a name may have a view in brackets.
        folder: where the mixture file will stand; paths are relative to it.
        options: how the weights are meant.
        run: needed for `max_epochs`.

    Raises:
        FormatError: a folder is no complete dataset.
        MixtureError: the datasets or weights do not go together.
    """
    choice = chosen(weights)
    opened = open_datasets(*with_views(datasets, choice))
    _check_train(opened)
    stage = _stage(opened, choice, options or WeightOptions(), run)
    manifests = [dataset.manifest for dataset in opened]
    mixture = Mixture(
        vocabulary=common_vocabulary(manifests),
        max_observation_tokens=max(manifest.max_observation_tokens for manifest in manifests),
        datasets=[mixture_dataset(dataset, folder) for dataset in opened],
        stages=[stage],
    )
    return mixture


def add_stage(
    mixture: Mixture,
    path: Path,
    first_sample: int,
    datasets: Sequence[Path],
    weights: str | Mapping[str, float],
    *,
    options: WeightOptions | None = None,
    run: Run | None = None,
) -> Mixture:
    """Give a mixture other weights, and perhaps more datasets, from one sample on; what is before stays as it is.

    Args:
        mixture: as it is now.
        path: its file.
        first_sample: global number of the first sample that is drawn by the new weights.
        datasets: folders to add; those already in the mixture may be named again.
        weights: as for `plan_mixture`, over all datasets.
        options: how the weights are meant.
        run: needed for `max_epochs`.

    Raises:
        MixtureError: the stage would not come last, or as `plan_mixture`.
    """
    if first_sample <= mixture.stages[-1].first_sample:
        raise MixtureError(
            f"a stage from sample {first_sample} on would change what was planned: the last stage of {path} begins "
            f"at sample {mixture.stages[-1].first_sample}, give a later step"
        )
    choice, known = chosen(weights), open_mixture_datasets(mixture, path, run.settings.cache if run else None)
    have = {(dataset.folder.resolve(), dataset.view) for dataset in known}
    pairs = zip(*with_views(datasets, choice), strict=True)
    added = [(folder, view) for folder, view in pairs if (folder.resolve(), view) not in have]
    whole = [*((dataset.folder, dataset.view) for dataset in known), *added]
    opened = open_datasets([folder for folder, _ in whole], [view for _, view in whole])
    _check_train(opened)
    manifests = [dataset.manifest for dataset in opened]
    longer = msgspec.structs.replace(
        mixture,
        vocabulary=common_vocabulary(manifests),
        max_observation_tokens=max(manifest.max_observation_tokens for manifest in manifests),
        datasets=[*mixture.datasets, *(mixture_dataset(dataset, path.parent) for dataset in opened[len(known) :])],
        stages=[msgspec.structs.replace(old, weights=[*old.weights, *[0.0] * len(added)]) for old in mixture.stages],
    )
    stage = _stage(opened, choice, options or WeightOptions(), run, longer, first_sample)
    return msgspec.structs.replace(longer, stages=[*longer.stages, stage])


def _check_train(datasets: Sequence[OpenDataset]) -> None:
    for dataset in datasets:
        split = dataset.manifest.splits.get("train")
        if split is None or not split.totals.episodes:
            raise MixtureError(
                f"dataset {dataset.manifest.name} in {dataset.folder} has no window: its train split has no episode"
            )


def _stage(
    datasets: Sequence[OpenDataset],
    choice: WeightChoice,
    options: WeightOptions,
    run: Run | None,
    earlier: Mixture | None = None,
    first_sample: int = 0,
) -> MixtureStage:
    given = choice.temperature if options.temperature is None else options.temperature
    temperature = 1.0 if given is None else given
    if not 0 < temperature < float("inf"):
        raise MixtureError(f"temperature {temperature:g} is not possible: a number above 0 is wanted")
    measure = options.measure or choice.measure or "windows"
    asked = normal(resolve(choice, datasets))
    shares = asked if temperature == 1 else _even(asked, temperature)
    if options.max_epochs is not None:
        shares = _cap(datasets, shares, measure, options.max_epochs, run, earlier, first_sample)
        measure = "windows"
    return MixtureStage(first_sample=first_sample, measure=measure, weights=shares)


def _even(shares: Sequence[float], temperature: float) -> list[float]:
    """Shares to the power 1 / temperature; the largest becomes 1 before, so that not all of them can vanish."""
    largest = max(shares)
    return normal([(share / largest) ** (1 / temperature) if share else 0.0 for share in shares])


def _cap(
    datasets: Sequence[OpenDataset],
    shares: Sequence[float],
    measure: Measure,
    max_epochs: float,
    run: Run | None,
    earlier: Mixture | None,
    first_sample: int,
) -> list[float]:
    """Shares of windows from `first_sample` on such that no dataset is drawn more than `max_epochs` times in all."""
    if run is None or not max_epochs > 0:
        raise MixtureError("--max-epochs wants a number above 0, and --steps and --batch-size of the run")
    samples = run.samples - first_sample
    if samples < 1:
        raise MixtureError(
            f"the run of {run.samples:,} windows ends before these weights begin at sample {first_sample:,}: "
            "--max-epochs wants the --steps of the whole run"
        )
    table, _ = read_table(datasets, "train")
    numbers = WindowNumbers.of(table, run.settings)
    totals = dataset_totals(table, numbers.of_datasets)
    per_window = [
        share * windows / max(amount, 1)
        for share, windows, amount in zip(shares, totals["windows"].tolist(), totals[measure].tolist(), strict=True)
    ]
    drawn = [0] * len(datasets)
    if earlier is not None:
        drawn = Sampler(window_stages(earlier, totals, "train")).counts(first_sample)
    left = [
        max(0.0, max_epochs * windows - before) if share else 0.0
        for share, windows, before in zip(per_window, totals["windows"].tolist(), drawn, strict=True)
    ]
    if sum(left) < samples:
        raise MixtureError(
            f"{samples:,} windows are wanted, {max_epochs:g} epochs of the datasets that are drawn leave "
            f"{int(sum(left)):,}: raise --max-epochs or take fewer steps"
        )
    return _pour(normal(per_window), [windows / samples for windows in left])


def _pour(shares: Sequence[float], most: Sequence[float]) -> list[float]:
    """Cut shares to their limits and give the rest to the others in proportion, until nothing is over."""
    result, full = list(shares), [False] * len(shares)
    while True:
        over = [not full[n] and result[n] > most[n] for n in range(len(result))]
        if not any(over):
            return result
        full = [a or b for a, b in zip(full, over, strict=True)]
        rest = 1 - sum(limit for limit, at in zip(most, full, strict=True) if at)
        open_shares = sum(share for share, at in zip(shares, full, strict=True) if not at)
        result = [
            most[n] if full[n] else (shares[n] * rest / open_shares if open_shares else 0.0) for n in range(len(shares))
        ]
