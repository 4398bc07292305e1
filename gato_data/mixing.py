"""Making mixtures: weights for datasets, stages, and what a run of so many steps will read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from gato_data.datasets import common_vocabulary, mixture_dataset, open_datasets, open_mixture_datasets
from gato_data.episodes import OpenDataset, read_table
from gato_data.errors import MixtureError
from gato_data.pieces import WindowNumbers
from gato_data.sampler import Sampler
from gato_data.settings import ReadSettings
from gato_data.weight_text import WeightChoice, parse_weights, resolve
from gato_data.weights import dataset_totals, window_stages
from gato_schemas.mixture import Measure, Mixture, MixtureStage


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How much a run reads: `steps` batches of `batch_size` windows, drawn by `settings`."""

    steps: int
    batch_size: int
    settings: ReadSettings = field(default_factory=ReadSettings)

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1:
            raise MixtureError(f"{self.steps} steps of {self.batch_size} windows: at least 1 of each is wanted")

    @property
    def samples(self) -> int:
        """Windows of the whole run."""
        return self.steps * self.batch_size


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
        weights: what `weight_text.parse_weights` reads, or weights by name.
        folder: where the mixture file will stand; paths are relative to it.
        options: how the weights are meant.
        run: needed for `max_epochs`.

    Raises:
        FormatError: a folder is no complete dataset.
        MixtureError: the datasets or weights do not go together.
    """
    opened = open_datasets(datasets)
    _check_train(opened)
    stage = _stage(opened, weights, options or WeightOptions(), run, 0)
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
        mixture, path: the mixture and its file.
        first_sample: global number of the first sample that is drawn by the new weights.
        datasets: folders to add; those already in the mixture may be named again.
        weights, options, run: as for `plan_mixture`, over all datasets.

    Raises:
        MixtureError: the stage would not come last, or as `plan_mixture`.
    """
    if first_sample <= mixture.stages[-1].first_sample:
        raise MixtureError(
            f"a stage from sample {first_sample} on would change what was planned: the last stage of {path} begins "
            f"at sample {mixture.stages[-1].first_sample}, give a later step"
        )
    known = open_mixture_datasets(mixture, path)
    folders = {dataset.folder.resolve() for dataset in known}
    added = [folder for folder in datasets if folder.resolve() not in folders]
    opened = open_datasets([*(dataset.folder for dataset in known), *added])
    _check_train(opened)
    stage = _stage(opened, weights, options or WeightOptions(), run, first_sample)
    longer = [msgspec.structs.replace(old, weights=[*old.weights, *[0.0] * len(added)]) for old in mixture.stages]
    manifests = [dataset.manifest for dataset in opened]
    return msgspec.structs.replace(
        mixture,
        vocabulary=common_vocabulary(manifests),
        max_observation_tokens=max(manifest.max_observation_tokens for manifest in manifests),
        datasets=[*mixture.datasets, *(mixture_dataset(dataset, path.parent) for dataset in opened[len(known) :])],
        stages=[*longer, stage],
    )


def _check_train(datasets: Sequence[OpenDataset]) -> None:
    for dataset in datasets:
        split = dataset.manifest.splits.get("train")
        if split is None or not split.totals.episodes:
            raise MixtureError(
                f"dataset {dataset.manifest.name} in {dataset.folder} has no window: its train split has no episode"
            )


def _stage(
    datasets: Sequence[OpenDataset],
    weights: str | Mapping[str, float],
    options: WeightOptions,
    run: Run | None,
    first_sample: int,
) -> MixtureStage:
    choice = parse_weights(weights) if isinstance(weights, str) else WeightChoice(weights)
    temperature = options.temperature or choice.temperature or 1.0
    if not 0 < temperature < float("inf"):
        raise MixtureError(f"temperature {temperature:g} is not possible: a number above 0 is wanted")
    measure = options.measure or choice.measure or "windows"
    asked = _normal(resolve(choice, [dataset.manifest for dataset in datasets]))
    shares = _normal([weight ** (1 / temperature) if weight else 0.0 for weight in asked])
    if options.max_epochs is not None:
        shares, measure = _cap(datasets, shares, measure, options.max_epochs, run, first_sample), "windows"
    return MixtureStage(first_sample=first_sample, measure=measure, weights=shares)


def _normal(weights: Sequence[float]) -> list[float]:
    total = sum(weights)
    return [weight / total for weight in weights]


def _cap(
    datasets: Sequence[OpenDataset],
    shares: Sequence[float],
    measure: Measure,
    max_epochs: float,
    run: Run | None,
    first_sample: int,
) -> list[float]:
    """Shares of windows such that no dataset is drawn more than `max_epochs` times in the rest of the run."""
    if run is None or not max_epochs > 0:
        raise MixtureError("--max-epochs wants a number above 0, and --steps and --batch-size of the run")
    samples = run.samples - first_sample
    table, _ = read_table(datasets, "train")
    numbers = WindowNumbers.of(table, run.settings)
    totals = dataset_totals(table, numbers.of_datasets)
    per_window = [
        share * windows / max(amount, 1)
        for share, windows, amount in zip(shares, totals["windows"].tolist(), totals[measure].tolist(), strict=True)
    ]
    most = [max_epochs * windows / samples for windows in totals["windows"].tolist()]
    if sum(limit for limit, share in zip(most, per_window, strict=True) if share) < 1:
        all_windows = int(sum(totals["windows"].tolist()) * max_epochs)
        raise MixtureError(
            f"{samples:,} windows are wanted, {max_epochs:g} epochs of all datasets give {all_windows:,}: "
            "raise --max-epochs or take fewer steps"
        )
    return _pour(_normal(per_window), most)


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


class PlannedDataset(msgspec.Struct, frozen=True, kw_only=True):
    """What a run reads of one dataset.

    Attributes:
        name, family: of the dataset.
        asked: share that was asked for, over the whole run, of what the weights are shares of.
        realised: share that the run really draws of the same.
        windows: that the run draws.
        window_share: share of the windows of the run.
        tokens, loss_tokens: that these windows hold, without prompts.
        passes: windows of the run / windows of one epoch.
        epoch_windows: windows of one epoch.
        first_repeat: step at which a window comes for the second time; None if none does.
    """

    name: str
    family: str
    asked: float
    realised: float
    windows: int
    window_share: float
    tokens: int
    loss_tokens: int
    passes: float
    epoch_windows: int
    first_repeat: int | None


class MixturePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run reads; `measure` is that of the last stage."""

    steps: int
    batch_size: int
    context_length: int
    window: str
    measure: Measure
    datasets: list[PlannedDataset]

    @property
    def never_drawn(self) -> list[str]:
        """Datasets with a weight that the run is too short to draw from."""
        return [dataset.name for dataset in self.datasets if dataset.asked and not dataset.windows]


def describe(mixture: Mixture, path: Path, run: Run) -> MixturePlan:
    """What a run of this mixture reads, from manifests and indexes alone.

    Args:
        mixture: the mixture.
        path: its file, which need not exist yet: datasets are found beside it.
        run: how much is read.

    Raises:
        FormatError: an index is damaged.
        MixtureError: a dataset changed, or has no window.
    """
    table, _ = read_table(open_mixture_datasets(mixture, path), "train")
    numbers = WindowNumbers.of(table, run.settings)
    totals = dataset_totals(table, numbers.of_datasets)
    sampler = Sampler(window_stages(mixture, totals, "train"))
    counts, epoch = sampler.counts(run.samples), totals["windows"].tolist()
    passes = [count / windows if windows else 0.0 for count, windows in zip(counts, epoch, strict=True)]
    measure = mixture.stages[-1].measure
    amounts = [times * amount for times, amount in zip(passes, totals[measure].tolist(), strict=True)]
    asked = _asked(mixture, run.samples)
    rows = []
    for number, dataset in enumerate(mixture.datasets):
        repeat = sampler.first_sample(number, epoch[number], run.samples) if epoch[number] else None
        rows.append(
            PlannedDataset(
                name=dataset.name,
                family=dataset.family,
                asked=asked[number],
                realised=amounts[number] / sum(amounts),
                windows=counts[number],
                window_share=counts[number] / run.samples,
                tokens=round(passes[number] * int(totals["tokens"][number])),
                loss_tokens=round(passes[number] * int(totals["loss-tokens"][number])),
                passes=passes[number],
                epoch_windows=epoch[number],
                first_repeat=None if repeat is None else repeat // run.batch_size,
            )
        )
    return MixturePlan(
        steps=run.steps,
        batch_size=run.batch_size,
        context_length=run.settings.context_length,
        window=run.settings.window,
        measure=measure,
        datasets=rows,
    )


def _asked(mixture: Mixture, samples: int) -> list[float]:
    """Weights of the stages, averaged over the samples that each of them draws."""
    ends = [stage.first_sample for stage in mixture.stages[1:]]
    asked = [0.0] * len(mixture.datasets)
    for stage, end in zip(mixture.stages, [*ends, samples], strict=True):
        length = max(0, min(end, samples) - min(stage.first_sample, samples))
        for number, weight in enumerate(_normal(stage.weights)):
            asked[number] += weight * length / samples
    return asked
