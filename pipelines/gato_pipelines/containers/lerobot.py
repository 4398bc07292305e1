"""LeRobot datasets, v2.0, v2.1 and v3.0: rows in parquet, cameras in videos or in the rows.

    meta/                                                           see `lerobot_metadata`
    data/chunk-000/episode_000000.parquet                           v2: a file for each episode
    data/chunk-000/file-000.parquet                                 v3: many episodes
    videos/chunk-000/observation.images.top/episode_000000.mp4      v2
    videos/observation.images.top/chunk-000/file-000.mp4            v3

An episode is T rows with T actions, the last of them valid; its rewards and flags are of after the
action. Frames are found by time: row i is frame round((begin + timestamp) * fps) of its file. The
instruction is the text of the row's own task.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import ClassVar

from gato_data.errors import EpisodeError, InputError
from gato_pipelines.containers.container import Container, File, RawItem
from gato_pipelines.containers.lerobot_episodes import LerobotEpisodes
from gato_pipelines.containers.lerobot_features import Columns, columns_of
from gato_pipelines.containers.lerobot_info import INFO, Info, read_info
from gato_pipelines.containers.lerobot_metadata import Episodes, read_episodes, read_ranges, read_tasks
from gato_pipelines.containers.ranges import episode_ranges
from gato_pipelines.rlds.features import Kind, Leaf
from gato_schemas.account import Note
from gato_schemas.dataset import FinalStep

_PACKED = 16
"""Bytes of pixels that count as one where parts are cut: about what they take in a shard."""


@dataclass(frozen=True, kw_only=True)
class LerobotContainer(Container):
    """One dataset; its description stands for all of its episodes.

    Attributes:
        info: what it says.
        columns: of its rows.
        places: where its episodes are.
        tasks: texts by number.
    """

    format: ClassVar[str] = "LeRobot"

    info: Info
    columns: Columns
    places: Episodes = field(compare=False, repr=False)
    tasks: dict[int, str] = field(repr=False)

    @property
    def splits(self) -> tuple[str, ...]:
        """Those that `info.json` names if they are several; else all is "train", as LeRobot reads it."""
        return tuple(self._bounds)

    @cached_property
    def _bounds(self) -> dict[str, tuple[int, int]]:
        """Places [first, stop) of the episodes of every split."""
        total = len(self.places.numbers)
        if len(self.info.splits) < 2:
            return {"train": (0, total)}
        found = {}
        for name, text in self.info.splits.items():
            first, _, stop = text.partition(":")
            if not (first.isdecimal() and stop.isdecimal() and int(first) <= int(stop) <= total):
                raise InputError(
                    f"{self.path}/{INFO} says that split {name!r} is {text!r} of {total} episodes: mend it"
                )
            found[name] = int(first), int(stop)
        return found

    def files(self, split: str) -> list[File]:
        """Ranges of the episodes of a split."""
        if split not in self._bounds:
            raise InputError(f"{self.path} has no split {split!r}: it has {', '.join(self.splits)}")
        first, stop = self._bounds[split]
        size = int(self.places.lengths[first:stop].sum()) * sum(map(_bytes_of, self.features.steps))
        return [
            File(file.name, file.size, file.num_episodes, first + file.first)
            for file in episode_ranges(INFO, size, stop - first)
        ]

    def episode_numbers(self, file: str) -> Sequence[int]:
        """The numbers in the rows, which may have gaps."""
        found: list[int] = self.places.numbers.tolist()
        return found

    def value_range(self, leaf: Leaf) -> tuple[list[float], list[float]] | None:
        """What the statistics of the dataset say."""
        return self._ranges.get(self.columns.names.get(leaf.path, ""))

    @cached_property
    def _ranges(self) -> dict[str, tuple[list[float], list[float]]]:
        return read_ranges(self.path, self.info)

    def paths(self, file: str) -> list[Path]:
        """The files of all episodes."""
        return self.paths_of(file, 0, 0)

    def paths_of(self, file: str, first: int, count: int) -> list[Path]:
        """The files of rows and cameras of some episodes."""
        cameras = [self.columns.names[leaf.path] for leaf in self.features.steps if leaf.kind == Kind.VIDEO]
        return self._paths(first, count, cameras)

    def paths_of_rows(self, file: str, first: int, count: int) -> list[Path]:
        """The files of rows alone."""
        return self._paths(first, count, ())

    def _paths(self, first: int, count: int, cameras: Sequence[str]) -> list[Path]:
        names: dict[str, None] = {}
        for at in range(first, first + count if count else len(self.places.numbers)):
            names[self.places.data_file(at)] = None
            names.update((self.places.video_file(at, camera), None) for camera in cameras)
        return [self.path / name for name in names]

    def check_unchanged(self, file: str, size: int) -> None:
        """Nothing: the size that is planned with is not that of files."""

    def episodes(
        self, file: str, leaves: tuple[Leaf, ...], first: int = 0, count: int | None = None
    ) -> Iterator[RawItem]:
        """Episodes by number; every file is read once as long as they are in its order."""
        stop = len(self.places.numbers) if count is None else first + count
        with closing(LerobotEpisodes(self.path, self.places, self.columns.names, self.tasks, leaves)) as files:
            for at in range(first, stop):
                try:
                    yield RawItem(at, files.episode(at))
                except EpisodeError as error:
                    yield RawItem(at, error=error)


def lerobot_container(root: Path, action: str = "") -> LerobotContainer:
    """The container of a dataset's root.

    Args:
        root: the folder that `meta` is in.
        action: column of the action; empty for the usual one.

    Raises:
        InputError: the description cannot be read, is of another version, or has no episode or no
            action.
        MissingPackageError: pyarrow is not installed.
    """
    info = read_info(root)
    name = _name(root)
    columns = columns_of(info.features, name, action)
    if info.video_path is None and any(leaf.kind == Kind.VIDEO for leaf in columns.features.leaves):
        raise InputError(f"{root / INFO} has cameras of dtype video, but no video_path: mend it")
    places = read_episodes(root, info)
    return LerobotContainer(
        path=root,
        name=name,
        features=columns.features,
        final_step=FinalStep("keep", "LeRobot stores an action with every observation, and no final observation"),
        notes=tuple(_notes(name, columns, places)),
        info=info,
        columns=columns,
        places=places,
        tasks=read_tasks(root, info),
    )


def _notes(name: str, columns: Columns, places: Episodes) -> Iterator[Note]:
    if columns.others:
        others = ", ".join(columns.others)
        yield Note("read", f"the action of {name} is {columns.action}, not {others}: see --action-key")
    found, announced = len(places.numbers), places.info.total_episodes
    if announced is not None and announced > found:
        lost = f"episodes that {INFO} of {name} counts and the other files in meta do not describe"
        yield Note("left-out", f"{lost} ({announced:,}, not {found:,}): are those complete?", announced - found)


def _bytes_of(leaf: Leaf) -> int:
    """Bytes of a leaf in one timestep, as parts are measured."""
    size = prod(side or 1 for side in leaf.shape)
    return -(-size // _PACKED) if leaf.kind in (Kind.IMAGE, Kind.VIDEO) else 4 * size


def _name(root: Path) -> str:
    """The folder's name; in a cache of the Hub, which has snapshots by hash, that of the repository."""
    folder = root.resolve()
    if folder.parent.name == "snapshots":
        return folder.parent.parent.name.rpartition("--")[2]
    return folder.name
