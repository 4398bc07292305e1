"""`gato_data.open`: a folder or a mixture file as one object."""

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from gato_data.errors import FormatError, MixtureError, SettingError
from gato_data.library.batches import Batches
from gato_data.library.episodes import Episodes
from gato_data.library.tasks import Task
from gato_data.mixing.make import plan_mixture
from gato_data.printable import counted, printable
from gato_data.reading.datasets import open_datasets, open_mixture_datasets
from gato_data.reading.reader import MixtureReader
from gato_data.reading.settings import ReadSettings
from gato_data.remote.mirror import at_hand, origin
from gato_data.shards.episodes import OpenDataset
from gato_data.shards.views import View, joined_name
from gato_schemas.dataset import MANIFEST, read_manifest
from gato_schemas.mixture import Mixture, read_mixture


def open(
    path: str | os.PathLike[str],
    *,
    split: str = "train",
    where: str = "",
    cache: str | os.PathLike[str] | None = None,
) -> "Dataset":
    """Open a dataset folder of `gato-data ingest`, or a mixture file of `gato-data mix`.

    Args:
        path: of the folder or the file, or its address, such as "s3://bucket/breakout".
        split: "train" or "validation".
        where: of a folder, which episodes are meant, such as "task=pong,return>=20"; a mixture file
            says that itself (`gato-data mix --weights "breakout[return>=20]=1"`).
        cache: where what is read from addresses is kept; None is the user's folder for caches.

    Raises:
        InputError: there is nothing at the address, or it cannot be read.
        MissingPackageError: a package that reads it is not installed.
        FormatError: it is missing, damaged or of another version.
        SettingError: it is an open dataset, or `where` is given with a mixture file.
        MixtureError: a dataset of the mixture changed since it was mixed, there is no such split, or `where` cannot be
            read.
    """
    if isinstance(path, Dataset):
        raise SettingError(f"{path!r} is open already: give the path or the address that it was opened by")
    cached = None if cache is None else Path(cache)
    place = at_hand(os.fspath(path), cached)
    if place.is_dir() or not place.exists():
        view = View.parse(where)
        name = joined_name(read_manifest(place).name, view)
        mixture = plan_mixture([place], {name: 1.0}, folder=place)
        return Dataset(place, mixture, open_datasets([place], [view]), split)
    if where:
        raise SettingError(f"{place} is a mixture file, which has views of its own: open a dataset folder with where=")
    if place.name == MANIFEST or ".tfrecord" in place.name:
        raise FormatError(f"{place} is a file of a dataset: give its folder, {place.parent}")
    mixture = read_mixture(place)
    return Dataset(place, mixture, open_mixture_datasets(mixture, place, cached), split)


class Dataset:
    """One dataset, or the datasets of a mixture with their weights; made by `gato_data.open`.

    Attributes:
        path: of the folder or the mixture file.
        split: which part of it this is.
        mixture: weights, vocabulary and content ids; of a folder, that folder alone.
    """

    def __init__(self, path: Path, mixture: Mixture, datasets: Sequence[OpenDataset], split: str) -> None:
        self.path, self.mixture, self.split = path, mixture, split
        self._datasets = datasets
        if split not in self.splits:
            raise MixtureError(f"{origin(path)} has no split {split!r}: it has {', '.join(self.splits)}")
        self._readers: dict[ReadSettings, MixtureReader] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the datasets; `Batch.dataset` counts them."""
        return tuple(dataset.name for dataset in self._datasets)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of all splits."""
        return tuple(sorted({name for dataset in self._datasets for name in dataset.manifest.splits}))

    @cached_property
    def tasks(self) -> Mapping[str, Task]:
        """The tasks by name; by "dataset/task" where two datasets have a task of that name."""
        found: dict[str, list[Task]] = {}
        for dataset in {dataset.folder: dataset for dataset in self._datasets}.values():
            for name, info in dataset.manifest.tasks.items():
                found.setdefault(name, []).append(Task(name, info, dataset.folder, dataset.manifest))
        alone = {name: tasks[0] for name, tasks in found.items() if len(tasks) == 1}
        shared = [task for tasks in found.values() if len(tasks) > 1 for task in tasks]
        return alone | {f"{task.dataset}/{task.name}": task for task in shared}

    @cached_property
    def episodes(self) -> Episodes:
        """The episodes of the split, dataset by dataset, in the order in which they are stored."""
        return Episodes(self._datasets, self.split)

    def batches(
        self,
        *,
        context_length: int = 1024,
        batch_size: int = 8,
        seed: int = 0,
        first: int = 0,
        steps: int | None = None,
        rank: int = 0,
        world_size: int = 1,
        **settings: Any,
    ) -> Batches:
        """Windows of `context_length` + 1 tokens, drawn in an order that the seed and the weights decide.

        Any number of ranks reads one stream: a step is `batch_size` windows over all of them, and
        each rank gets its part.

        Args:
            context_length: input tokens of a window.
            batch_size: windows of a step, over all ranks.
            seed: of the order.
            first: step to begin at; a run that stopped before step n goes on with n.
            steps: how many there are, counted from step 0; None is one epoch, in which a single
                dataset has every window once.
            rank: which part of every step this process reads, from 0 on.
            world_size: how many parts there are.
            settings: further fields of `gato_data.reading.settings.ReadSettings`, such as
                `prompt_share=0.0`, `pack=True` or, at an address, `cache_size=10**9`.

        Raises:
            SettingError: a number is out of range, or there is no such setting.
            FormatError: a shard is damaged.
        """
        _check_whole(context_length=context_length, batch_size=batch_size, seed=seed, first=first)
        _check_whole(rank=rank, world_size=world_size, steps=0 if steps is None else steps)
        reader = self._reader(_settings(context_length=context_length, seed=seed, **settings))
        return Batches(reader, batch_size, first=first, steps=steps, rank=rank, world_size=world_size)

    def close(self) -> None:
        """Close all files."""
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()

    def __enter__(self) -> "Dataset":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        what = f"{len(self.names)} datasets" if len(self.names) > 1 else self.names[0]
        return (
            f"<gato_data.Dataset {printable(what)}, {self.split}: {counted(len(self.episodes), 'episode')}, "
            f"{counted(self.episodes.num_tokens, 'token')}, {counted(len(self.tasks), 'task')}>"
        )

    def _reader(self, settings: ReadSettings) -> MixtureReader:
        if settings not in self._readers:
            self._readers[settings] = MixtureReader(
                self.mixture, [*self._datasets], split=self.split, settings=settings
            )
        return self._readers[settings]


def _check_whole(**values: Any) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise SettingError(f"{name} {value!r} is not a whole number")


def _settings(**values: Any) -> ReadSettings:
    try:
        return ReadSettings(**values)
    except TypeError as error:
        unknown = sorted(values.keys() - ReadSettings.__dataclass_fields__.keys())
        if not unknown:
            raise
        names = ", ".join(ReadSettings.__dataclass_fields__)
        raise SettingError(f"there is no setting {unknown[0]!r} of reading: there are {names}") from error
