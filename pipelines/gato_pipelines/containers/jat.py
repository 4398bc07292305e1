"""Parquet files of the JAT dataset: one row per episode, one list per column.

    <config>/<split>-00000-of-00004.parquet
        image_observations        list<struct<bytes, path>>      PNG; Atari's four channels are four gray frames
        text_observations         list<string>
        discrete_observations     list<list<int64>>
        continuous_observations   list<list<float>>
        discrete_actions          list<int64>      or     continuous_actions    list<list<float>>
        rewards                   list<float>

A row has T observations and T actions; the final observation is not stored. A file has the columns
its domain needs. Large files are several parts, of whole row groups.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from gato_data.errors import EpisodeError, InputError, MissingPackageError
from gato_data.image_header import read_header
from gato_pipelines.containers.arrow_lists import array_of, images_of, texts_of
from gato_pipelines.containers.container import ACTION, OBSERVATION, REWARD, Container, File, RawItem
from gato_pipelines.containers.ranges import row_group_ranges
from gato_pipelines.containers.shard_names import absent_shards
from gato_pipelines.remote.ranged import ranged_file
from gato_pipelines.rlds.episode import EncodedImage, RldsEpisode
from gato_pipelines.rlds.features import Features, Kind, Leaf
from gato_schemas.dataset import FinalStep

SUFFIX = ".parquet"
MAX_ROW_GROUP_BYTES = 1 << 34
"""Uncompressed bytes that a row group may claim."""
_READ_BYTES = 1 << 20
"""Bytes of a column that are read at once."""
_SPLIT_NAME = re.compile(r"^(?P<split>[a-z]+)-\d{5}-of-\d{5}\.parquet$")
_OBSERVATIONS = ("image_observations", "text_observations", "discrete_observations", "continuous_observations")
_ACTIONS = ("discrete_actions", "continuous_actions")


@dataclass(frozen=True, kw_only=True)
class JatContainer(Container):
    """A folder of parquet files, or one of them.

    Attributes:
        names: the files of each split.
        columns: the column of each leaf.
        alone: whether it is one file, beside which others do not count.
    """

    format: ClassVar[str] = "JAT (parquet)"
    stacks_frames: ClassVar[bool] = True
    has_episodes_apart: ClassVar[bool] = False

    names: dict[str, tuple[str, ...]]
    columns: dict[str, str]
    alone: bool

    @property
    def splits(self) -> tuple[str, ...]:
        """Those that the files' names say."""
        return tuple(self.names)

    def files(self, split: str) -> list[File]:
        """The files of a split, in ranges of their rows."""
        if split not in self.names:
            raise InputError(f"{self.path} has no split {split!r}: it has {', '.join(self.names)}")
        names = self.names[split]
        found = [part for name in names for part in _parts(self.path / name)]
        return found if self.alone else [*found, *absent_shards(names)]

    def episodes(
        self, file: str, leaves: tuple[Leaf, ...], first: int = 0, count: int | None = None
    ) -> Iterator[RawItem]:
        """The rows of a file, one at a time."""
        damage = _import_parquet()[1]
        columns = [self.columns[leaf.path] for leaf in leaves]
        found, stop = first, None if count is None else first + count
        try:
            with _open(self.path / file) as opened:
                _check(opened, columns)
                for row, batch in islice(_rows(opened, columns, first), count):
                    yield _item(row, batch, leaves, columns)
                    found = row + 1
                if stop is not None and found < stop:
                    raise EpisodeError(f"it ends after {opened.metadata.num_rows} rows, {stop} were wanted")
        except damage as error:
            problem = EpisodeError(f"{file} cannot be read: {error}", stage="read")
            yield RawItem(found, error=problem, count=1 if stop is None else stop - found, rest=True)


def jat_container(path: Path) -> JatContainer:
    """The container of a folder of parquet files, or of one file.

    Raises:
        InputError: the columns are not those of JAT, or there is no row.
        MissingPackageError: pyarrow is not installed.
    """
    folder = path.parent if path.is_file() else path
    names = _split_names([path] if path.is_file() else folder.glob(f"*{SUFFIX}"))
    example = _first_row(path, names)
    observed = [name for name in _OBSERVATIONS if name in example]
    acted = [name for name in _ACTIONS if name in example]
    if not observed or len(acted) != 1:
        raise InputError(
            f"{path} has the columns {', '.join(example)}: those of JAT are wanted (one of {', '.join(_ACTIONS)}, and "
            f"some of {', '.join(_OBSERVATIONS)})"
        )
    paths = {name: OBSERVATION if len(observed) == 1 else f"{OBSERVATION}/{name}" for name in observed}
    paths |= {acted[0]: ACTION} | ({"rewards": REWARD} if "rewards" in example else {})
    leaves = [_leaf(paths[name], name, example[name]) for name in paths]
    return JatContainer(
        path=folder,
        name="jat",
        config=folder.resolve().name,
        licence="Apache-2.0 (JAT)",
        features=Features(tuple(sorted(leaves, key=lambda leaf: leaf.path))),
        final_step=FinalStep("keep", "JAT stores an action with every observation, and no final observation"),
        names=names,
        columns={path: name for name, path in paths.items()},
        alone=path.is_file(),
    )


def _import_parquet() -> tuple[Any, tuple[type[BaseException], ...]]:
    """pyarrow.parquet, and what is raised where a file is damaged."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingPackageError('parquet files need pyarrow: pip install "gato-data[ingest]"') from error
    return pyarrow.parquet, (EpisodeError, pyarrow.ArrowException, OSError, ValueError)


def _split_names(paths: Iterable[Path]) -> dict[str, tuple[str, ...]]:
    """The files of each split; those whose names do not say are "train"."""
    found: dict[str, list[str]] = {}
    for path in sorted(paths):
        match = _SPLIT_NAME.match(path.name)
        found.setdefault(match["split"] if match else "train", []).append(path.name)
    return {split: tuple(names) for split, names in found.items()}


def _open(path: Path) -> Any:
    return _import_parquet()[0].ParquetFile(ranged_file(path) or path, pre_buffer=False, buffer_size=_READ_BYTES)


def _rows(opened: Any, columns: Sequence[str] | None, first: int = 0) -> Iterator[tuple[int, Any]]:
    """Number and batch of every row from one on; row groups before it are passed over."""
    row = 0
    for group in range(opened.num_row_groups):
        stop = row + opened.metadata.row_group(group).num_rows
        if stop > first:
            batches = opened.iter_batches(batch_size=1, row_groups=[group], columns=columns)
            yield from ((at, batch) for at, batch in enumerate(batches, row) if at >= first)
        row = stop


def _parts(path: Path) -> list[File]:
    """A file in ranges of its rows; in one where it cannot be read."""
    size = path.stat().st_size
    try:
        with _open(path) as opened:
            groups = [opened.metadata.row_group(number) for number in range(opened.num_row_groups)]
            sizes = [(group.num_rows, _stored_bytes(group)) for group in groups]
    except _import_parquet()[1]:
        return [File(path.name, size, None)]
    return row_group_ranges(path.name, size, sizes)


def _stored_bytes(group: Any) -> int:
    """Bytes of a row group in the file."""
    return sum(group.column(at).total_compressed_size for at in range(group.num_columns))


def _first_row(path: Path, names: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """The first row that can be read, by column, of a file or of a folder's files."""
    folder, what = (path.parent, f"{path} cannot be read") if path.is_file() else (path, "")
    damage = _import_parquet()[1]
    problem = "it has no rows"
    for name in (name for split in names.values() for name in split):
        try:
            with _open(folder / name) as opened:
                columns = [column for column in opened.schema_arrow.names if column in _known()]
                _check(opened, columns)
                for _, batch in _rows(opened, columns or None):
                    return {column: batch.column(column)[0] for column in batch.schema.names}
        except damage as error:
            problem = str(error)
    what = what or f"no parquet file in {path} can be read"
    raise InputError(f"{what} ({problem}): download the dataset again")


def _known() -> tuple[str, ...]:
    return (*_OBSERVATIONS, *_ACTIONS, "rewards")


def _check(opened: Any, columns: Sequence[str]) -> None:
    """Check before reading that the columns are there, and how much memory they claim."""
    if missing := [name for name in columns if name not in opened.schema_arrow.names]:
        raise EpisodeError(f"it has no column {missing[0]}", stage="read")
    for number in range(opened.num_row_groups):
        group = opened.metadata.row_group(number)
        if group.total_byte_size > MAX_ROW_GROUP_BYTES:
            raise EpisodeError(
                f"a row group takes {group.total_byte_size} bytes, at most {MAX_ROW_GROUP_BYTES} are read", stage="read"
            )


def _leaf(path: str, column: str, value: Any) -> Leaf:
    """The leaf of a column, its shape taken from the first row."""
    if column == "text_observations":
        return Leaf(path=path, kind=Kind.TEXT, dtype="string")
    try:
        if column == "image_observations":
            header = read_header(images_of(path, value.values)[0])
            return Leaf(path=path, kind=Kind.IMAGE, dtype="uint8", shape=tuple(header), image_format="png")
        array = array_of(path, value)
    except (EpisodeError, IndexError) as error:
        raise InputError(f"the first row has no usable {column} ({error}): remove it") from error
    return Leaf(path=path, kind=Kind.TENSOR, dtype=array.dtype.name, shape=array.shape[1:])


def _item(ordinal: int, batch: Any, leaves: Sequence[Leaf], columns: Sequence[str]) -> RawItem:
    try:
        return RawItem(ordinal, _decode(batch, leaves, columns))
    except EpisodeError as error:
        return RawItem(ordinal, error=error)


def _decode(batch: Any, leaves: Sequence[Leaf], columns: Sequence[str]) -> RldsEpisode:
    tensors: dict[str, NDArray[Any]] = {}
    images: dict[str, list[EncodedImage]] = {}
    texts: dict[str, list[str]] = {}
    for leaf, column in zip(leaves, columns, strict=True):
        value = batch.column(column)[0]
        if leaf.kind == Kind.IMAGE:
            images[leaf.path] = images_of(leaf.path, value.values)
        elif leaf.kind == Kind.TEXT:
            texts[leaf.path] = texts_of(leaf.path, value.values)
        else:
            tensors[leaf.path] = array_of(leaf.path, value)
    lengths = {path: len(values) for group in (tensors, images, texts) for path, values in group.items()}
    if len(set(lengths.values())) > 1:
        raise EpisodeError(f"features have different numbers of timesteps: {lengths}", stage="read")
    return RldsEpisode(num_timesteps=next(iter(lengths.values()), 0), tensors=tensors, images=images, texts=texts)
