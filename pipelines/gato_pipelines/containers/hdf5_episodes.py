"""HDF5 files whose episodes are groups with a number, and what is read of one of them."""

import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError, InputError
from gato_data.remote.fetch import FetchError
from gato_pipelines.containers.container import ACTION, Container, File, RawItem
from gato_pipelines.containers.hdf5 import (
    SUFFIXES,
    below,
    find,
    leaf_of,
    num_rows,
    open_hdf5,
    read_bytes,
    read_numbers,
    read_texts,
    set_of,
    walk,
)
from gato_pipelines.containers.ranges import episode_ranges
from gato_pipelines.files.find import root_of
from gato_pipelines.rlds.episode import EncodedImage, RldsEpisode
from gato_pipelines.rlds.features import Features, Kind, Leaf

INSTRUCTION = Leaf(path="steps/language_instruction", kind=Kind.TEXT, dtype="string")
EPISODE_ID = Leaf(path="episode_id", kind=Kind.SCALAR, dtype="int64")
T = TypeVar("T")
_NUMBER = re.compile(r"\d{1,18}$")


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows [start, stop) of the datasets of a set, which have to have `wanted` rows unless that is None."""

    start: int
    stop: int
    wanted: int | None = None


@dataclass(frozen=True, kw_only=True)
class NumberedEpisodes(Container):
    """Files of episodes that are groups.

    Attributes:
        groups: names of the episodes of each file, in the order of their numbers.
        damaged: why a file of the folder cannot be read.
    """

    groups: Mapping[str, tuple[str, ...]]
    damaged: Mapping[str, str] = field(default_factory=dict)

    def files(self, split: str) -> list[File]:
        """All files, in ranges of their episodes, or of those that are in the split."""
        if split not in self.splits:
            has = ", ".join(self.splits)
            raise InputError(f"{self.path} has no split {split!r}: {self.format} has {has} here")
        found = [
            part
            for name, groups in self.groups.items()
            for part in episode_ranges(name, self._size(name), len(groups), self.chosen(name, split))
        ]
        return [*found, *(File(name, 0, None, missing=why) for name, why in self.damaged.items())]

    def _size(self, file: str) -> int:
        return sum(path.stat().st_size for path in self.paths(file))

    def chosen(self, file: str, split: str) -> Sequence[int]:
        """The ordinals, in order, of the episodes of a file that are in a split."""
        return range(len(self.groups[file]))

    def episode_numbers(self, file: str) -> Sequence[int]:
        """Those in the names of groups; a file that is none stands for one that is missing."""
        return [number_of(name) for name in self.groups.get(file, (file,))]

    def episodes(
        self, file: str, leaves: tuple[Leaf, ...], first: int = 0, count: int | None = None
    ) -> Iterator[RawItem]:
        """The episodes of a file, by number."""
        groups = self.groups[file]
        stop = len(groups) if count is None else first + count
        with open_hdf5(self.path / file) as root:
            for ordinal, name in enumerate(groups[first:stop], first):
                try:
                    yield RawItem(ordinal, self.episode(root, file, name, leaves))
                except EpisodeError as error:
                    yield RawItem(ordinal, error=EpisodeError(f"{name}: {error}", stage=error.stage))

    @abstractmethod
    def episode(self, root: Any, file: str, name: str, leaves: tuple[Leaf, ...]) -> RldsEpisode:
        """One episode of an open file.

        Raises:
            EpisodeError: it cannot be read.
        """


def number_of(name: str) -> int:
    """The number at the end of a name; 0 where there is none."""
    match = _NUMBER.search(name)
    return int(match[0]) if match else 0


def by_number(names: Iterable[str], prefix: str) -> tuple[str, ...]:
    """The names that are a prefix and a number, in the order of the numbers: 10 comes behind 9."""
    found = (name for name in names if _NUMBER.fullmatch(name.removeprefix(prefix)) and name.startswith(prefix))
    return tuple(sorted(found, key=lambda name: (number_of(name), name)))


def by_path(leaves: Iterable[Leaf]) -> tuple[Leaf, ...]:
    """The leaves in the order of their paths."""
    return tuple(sorted(leaves, key=lambda leaf: leaf.path))


def leaves_of(group: Any, sets: Mapping[str, str]) -> tuple[Leaf, ...]:
    """The leaves of an episode, sorted by path.

    Args:
        group: of the episode.
        sets: names in the file of what RLDS calls otherwise; those that are not there are passed by.

    Raises:
        EpisodeError: something is damaged.
    """
    found: list[Leaf] = []
    for target, name in sets.items():
        inside = below(group, name)
        for path, data in () if inside is None else walk(inside, target):
            found.append(leaf_of(path, data) or Leaf(path=path, kind=Kind.OTHER, dtype=""))
    return by_path(found)


def read_episode(
    group: Any, leaves: Sequence[Leaf], sets: Mapping[str, str], rows: Mapping[str, Rows], *, number: int = 0
) -> RldsEpisode:
    """The datasets of one episode.

    Args:
        group: of the episode.
        leaves: what is read; the instruction, and what an episode has once, are no datasets, and
            are passed by.
        sets: names in the file of what RLDS calls otherwise.
        rows: which rows are read of a set; ACTION's stand for those that have none of their own.
        number: of the episode.

    Raises:
        EpisodeError: one is missing, damaged, too large, or has another number of timesteps.
    """
    tensors: dict[str, NDArray[Any]] = {}
    images: dict[str, list[EncodedImage]] = {}
    texts: dict[str, list[str]] = {}
    for leaf in leaves:
        if leaf == INSTRUCTION or not leaf.in_steps:
            continue
        data = find(group, leaf.path, sets)
        span = rows.get(set_of(leaf.path, sets), rows[ACTION])
        if span.wanted is not None and (found := num_rows(leaf.path, data)) != span.wanted:
            raise EpisodeError(f"{leaf.path} has {found} timesteps, {span.wanted} were expected", stage="read")
        if leaf.kind == Kind.TEXT:
            texts[leaf.path] = read_texts(leaf.path, data, span.start, span.stop)
        elif leaf.kind == Kind.IMAGE:
            images[leaf.path] = [*read_bytes(leaf.path, data, span.start, span.stop)]
        else:
            tensors[leaf.path] = read_numbers(leaf.path, data, span.start, span.stop)
    span = rows[ACTION]
    return RldsEpisode(
        num_timesteps=max(span.stop - span.start, 0),
        tensors=tensors,
        images=images,
        texts=texts,
        episode={EPISODE_ID.path: np.asarray(number, np.int64)} if EPISODE_ID in leaves else {},
    )


def told(episode: RldsEpisode, instruction: str) -> RldsEpisode:
    """An episode whose timesteps all have one instruction."""
    texts = {**episode.texts, INSTRUCTION.path: [instruction] * episode.num_timesteps}
    return replace(episode, texts=texts)


def num_actions(group: Any, sets: Mapping[str, str]) -> int:
    """Timesteps of an episode: rows of its actions.

    Raises:
        EpisodeError: there are none, their datasets have different numbers of rows, or are damaged.
    """
    found = []
    for target in (target for target in sets if target == ACTION or target.startswith(ACTION + "/")):
        if (actions := below(group, sets[target])) is None:
            raise EpisodeError(f"it has no {sets[target]}", stage="read")
        found += [num_rows(path, data) for path, data in walk(actions, target)]
    if len({*found}) > 1:
        raise EpisodeError(
            f"its actions have {min(found)} to {max(found)} timesteps: one number is wanted", stage="read"
        )
    return found[0] if found else 0


def hdf5_files(path: Path) -> tuple[str, ...]:
    """Names of the HDF5 files of a folder, or of the one that is given; episode_10 comes behind episode_9."""
    if path.is_file():
        return (path.name,)
    found = [entry.name for entry in path.iterdir() if entry.suffix in SUFFIXES and not entry.name.startswith(".")]
    stems = {name: name.partition(".")[0] for name in found}
    return tuple(sorted(found, key=lambda name: (_NUMBER.sub("", stems[name]), number_of(stems[name]), name)))


def look_into(path: Path, look: Callable[[Any], T]) -> tuple[dict[str, T], dict[str, str]]:
    """What is learnt of every file of a folder, or of one file, and why others cannot be read, by their names.

    Raises:
        InputError: a file is not what is wanted, or none can be read.
        FetchError: what lies at an address did not come.
    """
    found: dict[str, T] = {}
    damaged: dict[str, InputError] = {}
    for name in hdf5_files(path):
        file = root_of(path) / name
        with ExitStack() as stack:
            try:
                root = stack.enter_context(open_hdf5(file))
            except FetchError:
                raise
            except InputError as error:
                damaged[name] = error
                continue
            try:
                found[name] = look(root)
            except EpisodeError as error:
                damaged[name] = InputError(f"{file} cannot be read: {error}")
    if not found:
        raise next(iter(damaged.values()), InputError(f"{path} holds no HDF5 file"))
    return found, {name: str(error) for name, error in damaged.items()}


def same_leaves(path: Path, leaves: Mapping[str, tuple[Leaf, ...]]) -> Features:
    """The leaves that the files of a folder have in common, which are all that they have.

    Raises:
        InputError: they differ.
    """
    (first, wanted), *others = leaves.items()
    for name, found in others:
        if unlike := sorted({leaf.path for leaf in {*wanted} ^ {*found}}):
            raise InputError(
                f"{path} holds files of different fields ({first} and {name} differ in {unlike[0]}): give one of them, "
                f"or several as inputs of their own, such as {path}/*{PurePath(name).suffix}"
            )
    return Features(wanted)
