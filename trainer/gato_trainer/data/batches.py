"""Where windows come from: the only module of the trainer that knows the reader."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from gato_data.errors import GatoError, MixtureError
from gato_data.reading.batch import Batch
from gato_data.reading.first_windows import FirstWindows
from gato_data.reading.settings import ReadSettings
from gato_data.shards.checked import CHECKED
from gato_schemas.dataset import VocabularyInfo
from gato_schemas.sequence import Modality

_EACH = 64
_LEAST_EACH = 8
_ALL = 8192
"""Validation windows of one dataset, at least, and of all of them, unless a number is given."""

if TYPE_CHECKING:
    from gato_data.reading.explain import ExplainedWindow
    from gato_data.reading.plan import StreamPlanner
    from gato_data.shards.episodes import OpenDataset


class BatchSource(Protocol):
    """Windows by global sample number; a mixture's reader is one.

    What a source cannot tell of its windows need not be written: a class that inherits from this
    one has it.
    """

    @property
    def context_length(self) -> int:
        """Input tokens of a window, L."""

    @property
    def vocabulary_size(self) -> int:
        """Rows that the token table must have."""

    @property
    def dataset_names(self) -> tuple[str, ...]:
        """What `Batch.dataset` counts."""

    @property
    def max_observation_tokens(self) -> int | None:
        """Rows that the table of local positions must have; None leaves that to the model."""
        return None

    @property
    def vocabulary(self) -> VocabularyInfo | None:
        """The id ranges and the text model of the datasets."""
        return None

    @property
    def datasets(self) -> "Sequence[OpenDataset]":
        """The folders that are read; none where there are none."""
        return ()

    @property
    def modalities(self) -> frozenset[Modality] | None:
        """Those of the datasets' tokens; None where that is not known."""
        return None

    @property
    def dataset_contents(self) -> Mapping[str, str]:
        """The content id of each dataset by name."""
        return {}

    @property
    def dataset_windows(self) -> tuple[int, ...]:
        """Windows of each dataset in one epoch."""
        return ()

    @property
    def planner(self) -> "StreamPlanner | None":
        """What is read for any sample, without reading it."""
        return None

    @property
    def first_windows(self) -> FirstWindows | None:
        """What there is, where that is a limited number of windows of every dataset; None where it has no end."""
        return None

    @property
    def settings(self) -> ReadSettings | None:
        """How the data are read and checked."""
        return None

    @property
    def warnings(self) -> Sequence[str]:
        """What its windows are probably not meant to be, a sentence each."""
        return ()

    def batch(self, samples: range) -> Batch:
        """Read the windows with these global sample numbers; a pure function of them."""

    def stream(self, ranges: Iterable[range]) -> Iterator[Batch]:
        """The batches of many ranges, in order; the arrays of one are valid until the next one is asked for."""
        return (self.batch(samples) for samples in ranges)

    def explain(self, samples: range) -> "list[ExplainedWindow]":
        """What these windows are made of, by name; empty if that is not known."""
        return []

    def close(self) -> None:
        """Close the files."""


def open_sources(
    mixture: Path, context_length: int, seed: int, *, each: int | None = None, **read_options: Any
) -> tuple[BatchSource, BatchSource | None]:
    """Open the training windows of a mixture file, and the validation windows if any dataset has that split.

    Args:
        mixture: the file that `gato-data mix` wrote.
        context_length: input tokens of a window.
        seed: of the order of the windows.
        each: validation windows of every dataset; None takes `windows_each`.
        read_options: further fields of `gato_data.reading.reader.ReadSettings`.

    Raises:
        MixtureError: the mixture or its datasets cannot be used.
    """
    from gato_data.reading.reader import open_mixture

    settings = ReadSettings(context_length=context_length, seed=seed, **read_options)
    source: BatchSource = open_mixture(mixture, split="train", settings=settings)
    try:
        each = each or windows_each(len(source.dataset_names))
        validation: BatchSource | None = open_mixture(mixture, split="validation", settings=settings, each=each)
    except MixtureError:
        validation = None
    return source, validation


def windows_each(datasets: int) -> int:
    """Validation windows of each of so many datasets: 64, or fewer if those were more than 8,192, but 8."""
    return max(_LEAST_EACH, min(_EACH, _ALL // datasets))


def close_sources(*sources: BatchSource | None) -> None:
    """Close the sources that there are."""
    for source in sources:
        if source is not None:
            source.close()


def identity(source: BatchSource, sample: int) -> dict[str, str]:
    """What decides the windows before `sample`; a checkpoint keeps it. Empty if the source cannot tell."""
    return {} if source.planner is None else source.planner.identity(sample)


def check_identity(stored: Mapping[str, str], source: BatchSource, sample: int) -> None:
    """Check that a run that stopped before `sample` goes on with the windows it began with.

    Raises:
        MixtureError: names what changed: a dataset, a weight, a setting of the reader.
    """
    from gato_data.reading.plan import check_identity as check

    check(stored, identity(source, sample))


def contents(source: BatchSource) -> dict[str, str]:
    """The content of each dataset by name; "" where the source cannot tell."""
    return {name: source.dataset_contents.get(name, "") for name in source.dataset_names}


def check_contents(stored: Mapping[str, str], source: BatchSource, path: Path) -> None:
    """Check that the datasets of a checkpoint are what they were; datasets may have been added since.

    Raises:
        MixtureError: names the dataset that changed.
    """
    now = contents(source)
    for name, content in stored.items():
        if content != now.get(name, content):
            raise MixtureError(
                f"dataset {name} is not what it was when {path} was written (its content {content[:12]} became "
                f"{now[name][:12]}): bring the former dataset back, or start a new run"
            )


def checked(source: BatchSource) -> str:
    """What is checked of the data while they are read; "" if the source has nothing to check."""
    verify = None if source.settings is None else source.settings.verify
    return "" if verify is None else f"--verify {verify}: {CHECKED[verify]}"


def window_pieces(source: BatchSource, samples: range) -> list[list[dict[str, Any]]]:
    """The pieces of episodes that each window is made of, by name; empty lists if the source cannot tell."""
    found = source.explain(samples)
    return [msgspec.to_builtins(window.pieces) for window in found] or [[] for _ in samples]


def described(source: BatchSource, samples: range) -> list[dict[str, Any]]:
    """Each window's sample, dataset and pieces, as `explain` names them; why not, where they cannot be read."""
    problem: dict[str, str] = {}
    try:
        found = source.explain(samples)
    except GatoError as error:
        found, problem = [], {"problem": str(error)}
    if not found:
        return [{"sample": sample, "dataset": None, "pieces": [], **problem} for sample in samples]
    return [
        {"sample": window.sample, "dataset": window.dataset, "pieces": msgspec.to_builtins(window.pieces)}
        for window in found
    ]


def passes(source: BatchSource, samples: int) -> dict[str, float]:
    """How often each dataset is read in a run of so many windows; empty if the source cannot tell."""
    if source.planner is None:
        return {}
    counts = source.planner.sampler.counts(samples)
    named = zip(source.dataset_names, counts, source.dataset_windows, strict=True)
    return {name: count / epoch if epoch else 0.0 for name, count, epoch in named}
