"""Where the rows of LeRobot's episodes are, by the numbers in the rows: what `meta` says of files is a hint.

The converter of lerobot 0.4.0 left the first episode of many a file noted for the file before.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError
from gato_pipelines.containers.parquet import open_parquet, read_groups
from gato_pipelines.files.streams import import_pyarrow

EPISODE = "episode_index"


@dataclass(eq=False)
class RowFiles:
    """The rows of episodes, read file by file; of one file, the row groups that were read last stay here.

    Attributes:
        root: of the dataset.
        columns: those wanted.
        searches: whether rows that are not where they should be are looked for in other files.
    """

    root: Path
    columns: tuple[str, ...]
    searches: bool
    _name: str = ""
    _file: Any = field(default=None, repr=False)
    _spans: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), np.int64), repr=False)
    _groups: tuple[int, ...] = ()
    _table: Any = field(default=None, repr=False)
    _numbers: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64), repr=False)

    def rows(self, number: int, length: int, file: str) -> Any:
        """The rows of one episode as a pyarrow.Table, in the order of its frames.

        Args:
            number: of the episode.
            length: how many rows it should have.
            file: where they should be.

        Raises:
            EpisodeError: there are more or fewer, or they cannot be read.
        """
        pyarrow = import_pyarrow()
        found: list[Any] = []
        count = 0
        for name in (file, *(self._others(number, file) if self.searches else ())):
            if count >= length and found:
                break
            with self._reading(name):
                found.append(self._in_file(name, number))
                count += found[-1].num_rows
        if count != length:
            raise EpisodeError(f"episode {number} has {count} rows, meta says {length}", stage="read")
        with self._reading(file):
            return pyarrow.concat_tables(found)

    def close(self) -> None:
        """Close the file that is open."""
        if self._file is not None:
            self._file.close()
        self._file, self._name, self._table, self._groups = None, "", None, ()

    def _in_file(self, name: str, number: int) -> Any:
        if name != self._name:
            self._open(name)
        groups = tuple(np.flatnonzero((self._spans[:, 0] <= number) & (number <= self._spans[:, 1])).tolist())
        if not groups:
            return read_groups(self._file, self.columns, [])
        if groups != self._groups:
            table = read_groups(self._file, [*dict.fromkeys((*self.columns, EPISODE))], groups)
            self._table, self._numbers, self._groups = table.select(self.columns), _numbers(table), groups
        at = np.flatnonzero(self._numbers == number)
        if len(at) and len(at) == at[-1] - at[0] + 1:
            return self._table.slice(int(at[0]), len(at))
        return self._table.take(at)

    def _open(self, name: str) -> None:
        self.close()
        path = self.root / name
        if not path.is_file():
            raise EpisodeError(f"{name} is not there", stage="read")
        self._file = open_parquet(path)
        self._name, self._spans = name, _spans(self._file)

    def _others(self, number: int, file: str) -> Iterator[str]:
        """Other files that may hold rows of an episode, by name."""
        for name, low, high in self._bounds:
            if name != file and low <= number <= high:
                yield name

    @cached_property
    def _bounds(self) -> Sequence[tuple[str, int, int]]:
        """The least and the largest episode of every file."""
        found = []
        for path in sorted((self.root / "data").rglob("*.parquet")):
            name = path.relative_to(self.root).as_posix()
            with self._reading(name), open_parquet(path) as file:
                spans = _spans(file)
                spans = spans[spans[:, 0] <= spans[:, 1]]
                if len(spans):
                    found.append((name, int(spans[:, 0].min()), int(spans[:, 1].max())))
        return found

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        """Whatever pyarrow raises in here means that a file is damaged."""
        try:
            yield
        except (import_pyarrow().ArrowException, OSError, ValueError, KeyError, TypeError) as error:
            self.close()
            raise EpisodeError(f"{name} cannot be read ({error})", stage="read") from error


def _spans(file: Any) -> NDArray[np.int64]:
    """The least and the largest episode of every row group, (groups, 2), as the footer says or else its rows."""
    read_groups(file, [EPISODE], [])  # there is such a column
    at = next(n for n in range(len(file.schema)) if file.schema.column(n).path == EPISODE)
    found = []
    for number in range(file.num_row_groups):
        said = file.metadata.row_group(number).column(at).statistics
        if said is not None and said.has_min_max:
            found.append((said.min, said.max))
            continue
        numbers = _numbers(read_groups(file, [EPISODE], [number]))
        found.append((numbers.min(), numbers.max()) if len(numbers) else (1, 0))
    return np.array(found, np.int64).reshape(-1, 2)


def _numbers(table: Any) -> NDArray[np.int64]:
    numbers: NDArray[np.int64] = table.column(EPISODE).to_numpy().astype(np.int64)
    return numbers
