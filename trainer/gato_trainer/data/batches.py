"""Where windows come from: the only module of the trainer that knows the reader."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from gato_data.errors import MixtureError
from gato_data.reading.batch import Batch
from gato_data.reading.settings import CHECKED, ReadSettings
from gato_schemas.dataset import VocabularyInfo


class BatchSource(Protocol):
    """Where windows come from: `batch` is a pure function of the global sample numbers."""

    @property
    def context_length(self) -> int:
        """Input tokens of a window, L."""

    @property
    def vocabulary_size(self) -> int:
        """Rows that the token table must have."""

    @property
    def dataset_names(self) -> tuple[str, ...]:
        """What `Batch.dataset` counts."""

    def batch(self, samples: range) -> Batch:
        """Read the windows with these global sample numbers."""


def open_sources(
    mixture: Path, context_length: int, seed: int, **read_options: Any
) -> tuple[BatchSource, BatchSource | None]:
    """Open the training windows of a mixture file, and the validation windows if any dataset has that split.

    Args:
        mixture: the file that `gato-data mix` wrote.
        context_length: input tokens of a window.
        seed: of the order of the windows.
        read_options: further fields of `gato_data.reading.reader.ReadSettings`.

    Raises:
        MixtureError: the mixture or its datasets cannot be used.
    """
    from gato_data.reading.reader import open_mixture

    settings = ReadSettings(context_length=context_length, seed=seed, **read_options)
    source: BatchSource = open_mixture(mixture, split="train", settings=settings)
    try:
        validation: BatchSource | None = open_mixture(mixture, split="validation", settings=settings)
    except MixtureError:
        validation = None
    return source, validation


def close_sources(*sources: BatchSource | None) -> None:
    """Close the sources that can be closed."""
    for source in sources:
        close = getattr(source, "close", None)
        if callable(close):
            close()


def stream(source: BatchSource, ranges: Iterable[range]) -> Iterator[Batch]:
    """The reader's own stream, which reads with threads, or one batch after the other.

    The arrays of a batch are valid until the next one is asked for.
    """
    streaming = getattr(source, "stream", None)
    if streaming is None:
        return (source.batch(samples) for samples in ranges)
    batches: Iterator[Batch] = iter(streaming(ranges))
    return batches


def identity(source: BatchSource, sample: int) -> dict[str, str]:
    """What decides the windows before `sample`; a checkpoint keeps it. Empty if the source cannot tell."""
    planner = getattr(source, "planner", None)
    return {} if planner is None else dict(planner.identity(sample))


def check_identity(stored: Mapping[str, str], source: BatchSource, sample: int) -> None:
    """Check that a run that stopped before `sample` goes on with the windows it began with.

    Raises:
        MixtureError: names what changed: a dataset, a weight, a setting of the reader.
    """
    from gato_data.reading.plan import check_identity as check

    check(stored, identity(source, sample))


def contents(source: BatchSource) -> dict[str, str]:
    """The content of each dataset by name; "" where the source cannot tell."""
    found: Mapping[str, str] = getattr(source, "dataset_contents", {})
    return {name: found.get(name, "") for name in source.dataset_names}


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


def warnings(source: BatchSource) -> list[str]:
    """What its windows are probably not meant to be, a sentence each."""
    return list(getattr(source, "warnings", ()))


def checked(source: BatchSource) -> str:
    """What is checked of the data while they are read; "" if the source has nothing to check."""
    settings: ReadSettings | None = getattr(source, "settings", None)
    return "" if settings is None else f"--verify {settings.verify}: {CHECKED[settings.verify]}"


def vocabulary(source: BatchSource) -> VocabularyInfo | None:
    """The id ranges and the text model of the datasets; None if the source cannot tell."""
    found: VocabularyInfo | None = getattr(source, "vocabulary", None)
    return found


def window_pieces(source: BatchSource, samples: range) -> list[list[dict[str, Any]]]:
    """The pieces of episodes that each window is made of, by name; empty lists if the source cannot tell."""
    explain = getattr(source, "explain", None)
    if explain is None:
        return [[] for _ in samples]
    return [msgspec.to_builtins(window.pieces) for window in explain(samples)]


def passes(source: BatchSource, samples: int) -> dict[str, float]:
    """How often each dataset is read in a run of so many windows; empty if the source cannot tell."""
    planner = getattr(source, "planner", None)
    if planner is None:
        return {}
    counts = planner.sampler.counts(samples)
    windows: tuple[int, ...] = source.dataset_windows  # type: ignore[attr-defined]
    named = zip(source.dataset_names, counts, windows, strict=True)
    return {name: count / epoch if epoch else 0.0 for name, count, epoch in named}
