"""Minari datasets in Arrow or parquet: a folder per episode, T + 1 rows of which the last one is an observation alone.

    <namespace>/<name>-v0/data/metadata.json            spaces, environment
    <namespace>/<name>-v0/data/0/part-0.arrow           observations, actions, rewards, terminations, truncations

Boxes are lists of their elements, row by row, or JPEG images; dictionaries and tuples are structs.
The episodes come out as those of the same dataset in HDF5.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from gato_data.errors import EpisodeError, InputError, MissingPackageError
from gato_data.image_header import read_header
from gato_pipelines.containers.arrow_lists import as_numbers, flat
from gato_pipelines.containers.container import ACTION, OBSERVATION, REWARD, TERMINAL, Container, File, RawItem
from gato_pipelines.containers.minari_metadata import METADATA, Space, described, read_metadata
from gato_pipelines.containers.ranges import episode_ranges
from gato_pipelines.remote.ranged import ranged_file
from gato_pipelines.rlds.episode import EncodedImage, RldsEpisode
from gato_pipelines.rlds.features import Kind, Leaf

SUFFIXES = (".arrow", ".parquet")
MAX_FILE_BYTES = 1 << 34
"""Bytes of one episode."""
_COLUMNS = {OBSERVATION: "observations", ACTION: "actions", REWARD: "rewards", TERMINAL: "terminations"}


@dataclass(frozen=True, kw_only=True)
class MinariArrowContainer(Container):
    """The `data` folder of one dataset; its description stands for all episodes, as the one file does in HDF5.

    Attributes:
        numbers: of the episodes, in order.
        lost: numbers of those whose files are not there.
        suffix: of their files.
        members: what the fields of structs are called in the files, by path.
    """

    format: ClassVar[str] = "Minari (Arrow)"

    numbers: tuple[int, ...]
    lost: tuple[int, ...]
    suffix: str
    members: Mapping[str, tuple[str, ...]]

    def files(self, split: str) -> list[File]:
        """The description in ranges of the episodes that are there, and the files of the others."""
        if split != "train":
            raise InputError(f"{self.path} has no split {split!r}: Minari datasets have only 'train'")
        size = sum(path.stat().st_size for path in self.paths(METADATA))
        names = [_file(self.path, number, self.suffix).relative_to(self.path).as_posix() for number in self.lost]
        absent = [File(name, 0, 1, missing="No such file or directory") for name in names]
        return [*episode_ranges(METADATA, size, len(self.numbers)), *absent]

    def paths(self, file: str) -> list[Path]:
        """The description, and the file of every episode."""
        return self.paths_of(file, 0, 0)

    def paths_of(self, file: str, first: int, count: int) -> list[Path]:
        """The description, and the files of these episodes."""
        numbers = self.numbers[first : first + count if count else None]
        return [self.path / file, *(_file(self.path, number, self.suffix) for number in numbers)]

    def episode_numbers(self, file: str) -> Sequence[int]:
        """Those in the names."""
        return self.numbers

    def episodes(
        self, file: str, leaves: tuple[Leaf, ...], first: int = 0, count: int | None = None
    ) -> Iterator[RawItem]:
        """The episodes, by number."""
        stop = len(self.numbers) if count is None else first + count
        for ordinal, number in enumerate(self.numbers[first:stop], first):
            try:
                with _reading(f"episode {number}"):
                    table = _table(_file(self.path, number, self.suffix))
                    yield RawItem(ordinal, _decode(table, leaves, self.members))
            except EpisodeError as error:
                yield RawItem(ordinal, error=error)


def is_minari_arrow(folder: Path) -> bool:
    """Whether a folder is the `data` folder of a dataset stored in this way."""
    return (folder / METADATA).is_file() and any(_file(folder, 0, suffix).is_file() for suffix in SUFFIXES)


def minari_arrow_container(data: Path) -> MinariArrowContainer:
    """The container of a dataset's `data` folder.

    Raises:
        InputError: it holds no episode, or the first one or its description cannot be read.
        MissingPackageError: pyarrow is not installed.
    """
    metadata = read_metadata(data / METADATA)
    folders = {int(path.name) for path in data.iterdir() if path.name.isdecimal()}
    found = {suffix: [n for n in sorted(folders) if _file(data, n, suffix).is_file()] for suffix in SUFFIXES}
    suffix, numbers = max(found.items(), key=lambda pair: len(pair[1]))
    if not numbers:
        raise InputError(f"{data} holds no episode: the files of Minari, such as 0/part-0.arrow, are wanted")
    spaces, leaves, members = metadata.spaces(), [], {}
    try:
        with _reading(f"episode {numbers[0]}"):
            table = _table(_file(data, numbers[0], suffix))
            for target, name in _COLUMNS.items():
                if name in table.schema.names:
                    rows = table.column(name).combine_chunks()[: max(len(table) - 1, 1)]
                    for path, names, column in _walk(rows, spaces, target, (name,)):
                        leaves.append(_leaf(path, column, spaces.get(path, Space())))
                        members[path] = names
                elif target in (OBSERVATION, ACTION):
                    raise EpisodeError(f"it has no {name}", stage="read")
    except EpisodeError as error:
        raise InputError(f"{data} cannot be read: {error}") from error
    return MinariArrowContainer(
        numbers=tuple(numbers),
        lost=tuple(sorted({*metadata.announced(), *folders} - {*numbers})),
        suffix=suffix,
        members=members,
        **described(data, metadata, leaves),
    )


def _file(data: Path, number: int, suffix: str) -> Path:
    return data / str(number) / f"part-0{suffix}"


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Whatever pyarrow raises in here means that a file is damaged."""
    try:
        import pyarrow
    except ImportError as error:
        raise MissingPackageError('Arrow files need pyarrow: pip install "gato-data[ingest]"') from error
    try:
        yield
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise EpisodeError(f"{what} cannot be read ({error})", stage="read") from error


def _table(path: Path) -> Any:
    """The rows of an episode, checked so that no damage is followed."""
    import pyarrow
    import pyarrow.parquet

    if (size := path.stat().st_size) > MAX_FILE_BYTES:
        raise EpisodeError(f"{path.name} has {size} bytes, at most {MAX_FILE_BYTES} are read", stage="read")
    there = ranged_file(path)
    if path.suffix == ".parquet":
        table = pyarrow.parquet.ParquetFile(there or path).read()
    else:
        with pyarrow.OSFile(str(path)) if there is None else pyarrow.PythonFile(there) as file:
            table = pyarrow.ipc.open_file(file).read_all()
    table.validate(full=True)
    return table


def _walk(
    column: Any, spaces: Mapping[str, Space], path: str, names: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...], Any]]:
    """Path, names in the file, and column of everything at or below a column, by the names that HDF5 files have."""
    import pyarrow

    if not pyarrow.types.is_struct(column.type):
        yield path, names, column
        return
    is_tuple = spaces.get(path, Space()).type == "Tuple"
    for field in column.type:
        inside = f"{path}/_index_{field.name}" if is_tuple else f"{path}/{field.name}"
        yield from _walk(column.field(field.name), spaces, inside, (*names, field.name))


def _leaf(path: str, column: Any, space: Space) -> Leaf:
    """The leaf of a column; its shape is that of its space, as files flatten it."""
    import pyarrow

    if pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type):
        return Leaf(path=path, kind=Kind.TEXT, dtype="string")
    if pyarrow.types.is_binary(column.type):
        header = read_header(column[0].as_py() or b"")
        return Leaf(path=path, kind=Kind.IMAGE, dtype="uint8", shape=tuple(header), image_format="jpeg")
    values, sides = flat(path, column)
    if values.type.num_fields or not str(values.type).startswith(("int", "uint", "float", "half", "double", "bool")):
        return Leaf(path=path, kind=Kind.OTHER, dtype="")
    shape = space.shape if space.type == "Box" and prod(space.shape) == prod(sides) else sides
    return Leaf(path=path, kind=Kind.TENSOR, dtype=as_numbers(path, values[:0]).dtype.name, shape=tuple(shape))


def _decode(table: Any, leaves: tuple[Leaf, ...], members: Mapping[str, tuple[str, ...]]) -> RldsEpisode:
    """One episode without its last row, which has no action."""
    steps = max(len(table) - 1, 0)
    tensors: dict[str, NDArray[Any]] = {}
    images: dict[str, list[EncodedImage]] = {}
    texts: dict[str, list[str]] = {}
    for leaf in leaves:
        name, *inside = members[leaf.path]
        column = table.column(name).combine_chunks()
        for field in inside:
            column = column.field(field)
        column = column[:steps]
        if leaf.kind == Kind.TENSOR:
            values, _ = flat(leaf.path, column)
            tensors[leaf.path] = as_numbers(leaf.path, values).reshape(steps, *(side or 0 for side in leaf.shape))
        elif column.null_count:
            raise EpisodeError(f"{leaf.path} has {column.null_count} empty values", stage="read")
        elif leaf.kind == Kind.IMAGE:
            images[leaf.path] = column.to_pylist()
        else:
            texts[leaf.path] = column.to_pylist()
    return RldsEpisode(num_timesteps=steps, tensors=tensors, images=images, texts=texts)
