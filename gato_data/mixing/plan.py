"""What a run of so many steps reads of each dataset, known before it starts."""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from gato_data.errors import MixtureError
from gato_data.mixing.copies import Copies, copy_sentences, find_copies
from gato_data.reading.cut_timesteps import CutTask, cut_sentences, find_cut_tasks
from gato_data.reading.datasets import open_mixture_datasets
from gato_data.reading.pieces import WindowNumbers
from gato_data.reading.sampler import Sampler
from gato_data.reading.settings import ReadSettings
from gato_data.reading.weights import dataset_totals, normal, window_stages
from gato_data.shards.episodes import read_table
from gato_schemas.mixture import Measure, Mixture

_MOST = 2**31 - 1
"""What a mixture file can say of a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How much a run reads: `steps` batches of `batch_size` windows, drawn by `settings`."""

    steps: int
    batch_size: int
    settings: ReadSettings = field(default_factory=ReadSettings)

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1:
            raise MixtureError(f"{self.steps} steps of {self.batch_size} windows: at least 1 of each is wanted")
        if max(self.steps, self.batch_size, self.settings.context_length) > _MOST:
            raise MixtureError(
                f"{self.steps:,} steps of {self.batch_size:,} windows of {self.settings.context_length:,} tokens: at "
                f"most {_MOST:,} of each are wanted"
            )

    @property
    def samples(self) -> int:
        """Windows of the whole run."""
        return self.steps * self.batch_size


class PlannedDataset(msgspec.Struct, frozen=True, kw_only=True):
    """What a run reads of one dataset.

    Attributes:
        name: of the dataset, with its view in brackets.
        family: row of the paper's Table 1 that it stands for.
        asked: share that was asked for, over the whole run, of what the weights are shares of.
        realised: share that the run really draws of the same.
        windows: that the run draws.
        window_share: share of the windows of the run.
        tokens: that these windows hold, without prompts.
        loss_tokens: those of them under the loss mask.
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
    """What a run reads.

    Attributes:
        steps: of the run.
        batch_size: windows of a step.
        context_length: input tokens of a window.
        window: where windows start, as `ReadSettings.window` has it.
        pack: whether short episodes share windows.
        measure: of the last stage.
        datasets: all of the mixture.
        untrained: those of them without a token under the loss mask.
        cut: tasks of which no whole timestep fits a window.
        copies: pairs of datasets that share episodes.
    """

    steps: int
    batch_size: int
    context_length: int
    window: str
    pack: bool
    measure: Measure
    datasets: list[PlannedDataset]
    untrained: list[str]
    cut: list[CutTask]
    copies: list[Copies]

    def check_trained(self) -> None:
        """Check that the run is trained on anything at all.

        Raises:
            MixtureError: no dataset that is drawn has a token under the loss mask.
        """
        drawn = [dataset.name for dataset in self.datasets if dataset.windows]
        if set(drawn) <= set(self.untrained):
            raise MixtureError(
                f"nothing can be learned from {', '.join(drawn)}: no token is under the loss mask; add another dataset"
            )

    @property
    def never_drawn(self) -> list[str]:
        """Datasets with a weight that the run is too short to draw from."""
        return [dataset.name for dataset in self.datasets if dataset.asked and not dataset.windows]

    @property
    def warnings(self) -> list[str]:
        """What the run will probably not be meant to do, a sentence each."""
        never = [f"{name} is never drawn in {self.steps} steps of {self.batch_size}" for name in self.never_drawn]
        untrained = [
            f"no token of {name} is under the loss mask: nothing is learned from it" for name in self.untrained
        ]
        return [*never, *untrained, *cut_sentences(self.cut, self.context_length), *copy_sentences(self.copies)]


def describe(mixture: Mixture, path: Path, run: Run) -> MixturePlan:
    """What a run of this mixture reads, from manifests and indexes; of shards only checksums are looked at.

    Args:
        mixture: the mixture.
        path: its file, which need not exist yet: datasets are found beside it.
        run: how much is read.

    Raises:
        FormatError: an index is damaged, or a shard is not the one that was written.
        MixtureError: a dataset changed, or has no window.
    """
    datasets = open_mixture_datasets(mixture, path, run.settings.cache)
    table, _ = read_table(datasets, "train")
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
        pack=run.settings.pack,
        measure=measure,
        datasets=rows,
        untrained=[
            dataset.name
            for dataset, loss_tokens in zip(mixture.datasets, totals["loss-tokens"].tolist(), strict=True)
            if not loss_tokens
        ],
        cut=find_cut_tasks(table, datasets, run.settings.context_length),
        copies=find_copies(datasets),
    )


def _asked(mixture: Mixture, samples: int) -> list[float]:
    """Weights of the stages, averaged over the samples that each of them draws."""
    ends = [stage.first_sample for stage in mixture.stages[1:]]
    asked = [0.0] * len(mixture.datasets)
    for stage, end in zip(mixture.stages, [*ends, samples], strict=True):
        length = max(0, min(end, samples) - min(stage.first_sample, samples))
        for number, weight in enumerate(normal(stage.weights)):
            asked[number] += weight * length / samples
    return asked
