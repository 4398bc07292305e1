"""Windows of a mixture, read straight from its shards: `batch` is a pure function of the global sample numbers.

sample number -> dataset, draw     sampler.py over permutation.py
              -> episode, tokens   pieces.py over windows.py, prompts.py
              -> batch             fill.py, patches.py over columns.py, shards/files.py
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from gato_data.errors import SettingError
from gato_data.reading.batch import Batch
from gato_data.reading.buffers import Allocate, Buffers, batch_bytes, default_allocate
from gato_data.reading.columns import RecordColumns
from gato_data.reading.cut_timesteps import cut_sentences, find_cut_tasks
from gato_data.reading.datasets import open_mixture_datasets
from gato_data.reading.explain import ExplainedWindow, Explainer
from gato_data.reading.fill import Filler
from gato_data.reading.history import limits
from gato_data.reading.inflated import Inflated
from gato_data.reading.layout_search import find_layouts
from gato_data.reading.layouts import READ_COLUMNS
from gato_data.reading.page_cache import CacheWarmer
from gato_data.reading.plan import BatchPlan, StreamPlanner
from gato_data.reading.settings import ReadSettings
from gato_data.reading.stream import ANNOUNCED_BYTES, ANNOUNCED_SAMPLES, announce_ahead, plan_ahead, stream_batches
from gato_data.reading.timesteps import TimestepStarts
from gato_data.remote.ahead import FORESEEN, read_ahead
from gato_data.shards.episodes import EpisodeTable, OpenDataset, read_table
from gato_data.shards.files import ShardFiles, is_mapped
from gato_schemas.mixture import Mixture, read_mixture
from gato_schemas.sequence import Modality

__all__ = ["MixtureReader", "ReadSettings", "open_mixture"]


def open_mixture(
    path: str | Path, *, split: str = "train", settings: ReadSettings | None = None, each: int | None = None
) -> "MixtureReader":
    """Open a mixture file and all its datasets.

    Args:
        path: of the mixture file.
        split: of the datasets.
        settings: how windows are drawn and read.
        each: draw only the first so many windows of every dataset, one dataset after another, in place of
            drawing by weight without end; see `FirstWindows`.

    Raises:
        FormatError: the file, a manifest, an index or a shard is missing or damaged.
        MixtureError: a dataset changed since it was mixed, or none has a window in this split.
        SettingError: the memory does not suffice.
    """
    path = Path(path)
    mixture = read_mixture(path)
    cache = None if settings is None else settings.cache
    datasets = open_mixture_datasets(mixture, path, cache)
    return MixtureReader(mixture, datasets, split=split, settings=settings, each=each)


class MixtureReader:
    """Draws windows of a mixture; made by `open_mixture`.

    Attributes:
        settings: as given.
        context_length: input tokens of a window.
        vocabulary_size: rows of the token table.
        max_observation_tokens: rows of the table of local positions.
        vocabulary: id ranges and text model of all datasets.
        datasets: the folders that are read.
        modalities: those of their tokens, in any split.
        dataset_names: what `Batch.dataset` counts.
        dataset_contents: content id of each dataset by name.
        dataset_windows: windows of each dataset in one epoch.
        num_windows: of all datasets together.
        first_windows: what is drawn, where that is a limited number of windows of every dataset; else None.
        warnings: sentences about what the windows are probably not meant to be.
        planner: what is read for any sample, without reading it.
        fingerprint: differs where the same samples would be other windows.
    """

    def __init__(
        self,
        mixture: Mixture,
        datasets: list[OpenDataset],
        *,
        split: str = "train",
        settings: ReadSettings | None = None,
        each: int | None = None,
    ) -> None:
        self.settings = settings = settings or ReadSettings()
        self.context_length = settings.context_length
        self.vocabulary_size = mixture.vocabulary_size
        self.max_observation_tokens = mixture.max_observation_tokens
        self.datasets = tuple(datasets)
        self.dataset_names = tuple(dataset.name for dataset in mixture.datasets)
        self.vocabulary = mixture.vocabulary
        self.modalities = frozenset(
            kind for kind in Modality if any(made.manifest.totals.tokens_by_modality[kind] for made in datasets)
        )
        self.dataset_contents = {dataset.name: dataset.content_id for dataset in mixture.datasets}
        shards = [shard for dataset in datasets for shard in dataset.shards(split)]
        half = settings.memory // 2
        self._files = ShardFiles(
            shards,
            max_open=settings.max_open_files,
            index_bytes=half,
            verify=settings.verify,
            map_files=settings.map_files,
        )
        self._files.check_sizes()
        table, counts = read_table(datasets, split, self._files, check=settings.verify != "off")
        self.warnings = cut_sentences(find_cut_tasks(table, datasets, settings.context_length), settings.context_length)
        self._files.limit_indexes(half - _check_memory(table, settings) - settings.most_inflated)
        self._inflated = Inflated(settings.most_inflated)
        columns = RecordColumns(self._files, self._inflated)
        self._ahead = read_ahead([shard.path for shard in shards], table, settings.cache_size)
        layouts = find_layouts(datasets, table, counts, self._files, columns)
        starts = TimestepStarts(table, columns, self._ahead)
        self.planner = StreamPlanner(mixture, table, starts, layouts, settings, split, each)
        self.first_windows = self.planner.first_windows
        self.fingerprint = self.planner.fingerprint
        self.dataset_windows = tuple(self.planner.numbers.of_datasets.tolist())
        self.num_windows = sum(self.dataset_windows)
        # copies from maps hold the interpreter's lock, so threads would only get into each other's way
        self._all_mapped = settings.map_files and all(map(is_mapped, shards)) and self._ahead is None
        self._with_patches = bool(counts.by_modality[:, Modality.PATCH].any())
        self._slots(1)
        self._token_dtype = np.dtype("<u2" if mixture.vocabulary.token_dtype == "uint16" else "<i4")
        self._filler = Filler(
            table,
            self._files,
            columns,
            layouts,
            width=settings.context_length + 1,
            token_dtype=self._token_dtype,
            with_segments=settings.pack,
            limit=limits(settings.history, self.dataset_names),
            check_data=settings.verify == "touched",
        )
        self._explainer = Explainer(table, self._files, self.dataset_names)
        self._warmer = CacheWarmer(table, self._files, self._token_dtype.itemsize)
        self._most_announced = max(1, min(ANNOUNCED_BYTES // self._batch_bytes(1), ANNOUNCED_SAMPLES))
        uneven = bool(((layouts.of_record == READ_COLUMNS) & (counts.timesteps > 0)).any())
        if self._ahead is not None and not uneven:  # else planning has to read records
            self._most_announced = FORESEEN

    def batch(self, samples: range) -> Batch:
        """Read the windows with these global sample numbers into new arrays.

        Raises:
            FormatError: a shard is missing or damaged; the message names file, record and byte.
        """
        return self._fill(self.planner.plan([samples])[0], self._buffers(max(1, len(samples)), default_allocate))

    def stream(self, ranges: Iterable[range], allocate: Allocate = default_allocate) -> Iterator[Batch]:
        """The batches of many ranges, in order, read ahead by threads into a ring of buffers.

        The arrays of a batch are used again: they are valid until the next one is asked for.

        Args:
            ranges: global sample numbers of each batch; may be endless, and is read ahead of the batches.
            allocate: gives the memory of the buffers, for instance pinned memory.

        Raises:
            FormatError: as `batch`.
            SettingError: a batch does not fit into half the memory.
        """
        return stream_batches(
            announce_ahead(plan_ahead(ranges, self.planner.plan), self._announce, self._most_announced),
            self._fill,
            lambda rows: self._buffers(rows, allocate),
            self._slots,
            0 if self._all_mapped else self.settings.threads,
        )

    def explain(self, samples: range) -> list[ExplainedWindow]:
        """What the windows of these samples are made of, by name.

        Raises:
            FormatError: as `batch`.
        """
        windows = self.planner.windows(np.arange(samples.start, samples.stop, samples.step))
        prompts = self.planner.prompter.choose(windows)
        return self._explainer.explain(windows, self.planner.plan([samples])[0], prompts)

    def close(self) -> None:
        """Close all files."""
        if self._ahead is not None:
            self._ahead.stop()
        self._files.close()
        self._inflated.clear()

    def __enter__(self) -> "MixtureReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _fill(self, plan: BatchPlan, buffers: Buffers) -> Batch:
        batch = self._filler.fill(plan, buffers)
        if self._ahead is not None and len(plan.sample):
            self._ahead.read(int(plan.sample[0]))
        return batch

    def _announce(self, plan: BatchPlan) -> None:
        """Let begin what can be read before it is needed."""
        self._warmer.warm(plan.reads)
        if self._ahead is not None and len(plan.sample):
            self._ahead.announce(int(plan.sample[0]), plan.reads.record, plan.reads.shard)

    def _buffers(self, rows: int, allocate: Allocate) -> Buffers:
        return Buffers(rows, self.context_length + 1, self._token_dtype, allocate)

    def _batch_bytes(self, rows: int) -> int:
        return batch_bytes(max(rows, 1), self.context_length + 1, self._with_patches)

    def _slots(self, rows: int) -> int:
        needed = self._batch_bytes(rows)
        if needed > self.settings.memory // 2:
            raise SettingError(
                f"a batch of {rows} windows of {self.context_length} can take {needed / 2**20:,.0f} MiB, half the "
                f"memory is {self.settings.memory / 2**21:,.1f} MiB: raise --memory or make the batch smaller"
            )
        return self.settings.memory // 2 // needed


def _check_memory(table: EpisodeTable, settings: ReadSettings) -> int:
    """Bytes of the tables, which may take a quarter of the memory."""
    if table.nbytes > settings.memory // 4:
        raise SettingError(
            f"the tables of {table.num_episodes:,} episodes take {table.nbytes / 2**20:,.1f} MiB, a quarter of the "
            f"memory is {settings.memory / 2**22:,.1f} MiB: raise --memory"
        )
    return table.nbytes
