"""What a container gives, against what it announces: a reader that counts wrong would lose timesteps unseen."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError, InputError
from gato_data.files import is_inside
from gato_pipelines.containers.container import Container, File, RawItem
from gato_pipelines.registry.own import own_file
from gato_pipelines.rlds.decode import NUMERIC_DTYPES, STRING_DTYPES
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Kind, Leaf


def checked_files(container: Container, split: str) -> list[File]:
    """The files of a split as `Container.files` gives them.

    Raises:
        InputError: a name is given twice or leads out of the input, or a file has another size than
            is said.
    """
    files = container.files(split)
    is_own = own_file(type(container)) is not None
    seen: set[str] = set()
    for file in files if is_own else ():
        if not isinstance(file, File):
            raise InputError(f"{_reader(container)} gives {file!r} for a file: a File is wanted")
        if file.name in seen or not is_inside(file.name):
            what = "twice" if file.name in seen else "which is no name relative to the input"
            raise InputError(f"{_reader(container)} gives the file {file.name!r} {what}: give every file once")
        seen.add(file.name)
        path = container.path / file.name
        if path.is_file() and (size := path.stat().st_size) != file.size:
            raise InputError(f"{_reader(container)} says that {file.name} has {file.size} bytes, it has {size}")
    return files


def checked_episodes(
    container: Container, file: str, leaves: tuple[Leaf, ...], first: int = 0, count: int | None = None
) -> Iterator[RawItem]:
    """The episodes of a file as `Container.episodes` gives them; one that is not as announced becomes an error.

    Raises:
        InputError: these are not the episodes that were asked for.
        OSError: the file cannot be opened.
    """
    after, found = first, 0
    for raw in container.episodes(file, leaves, first, count):
        if not isinstance(raw, RawItem):
            raise InputError(f"{_reader(container)} gives {type(raw).__name__} for an episode: a RawItem is wanted")
        if raw.ordinal < after:
            raise InputError(
                f"{_reader(container)} gives episode {raw.ordinal} of {file} where one from {after} on was asked for: "
                "every episode has a number of its own, in order"
            )
        after, found = raw.ordinal + 1, found + raw.count
        reason = _why_not_announced(raw.episode, leaves) if raw.episode is not None else ""
        yield RawItem(raw.ordinal, error=EpisodeError(reason, stage="read")) if reason else raw
    if count is not None and found != count:
        raise InputError(
            f"{_reader(container)} gives {found} episodes of {file} where {count} were asked for: the same file has "
            "the same episodes every time, `first` and `count` select among them"
        )


def _reader(container: Container) -> str:
    return f"the reader of {container.format}"


def _why_not_announced(episode: RldsEpisode, leaves: tuple[Leaf, ...]) -> str:
    """What an episode lacks of what was asked for; empty where nothing."""
    if not isinstance(episode, RldsEpisode):
        return f"the episode is of type {type(episode).__name__}: an RldsEpisode is wanted"
    return next(filter(None, (_why_not(episode, leaf) for leaf in leaves)), "")


def _why_not(episode: RldsEpisode, leaf: Leaf) -> str:
    if not leaf.in_steps:
        return "" if leaf.path in episode.episode else f"{leaf.path} is missing, though it is announced"
    is_text = leaf.dtype in STRING_DTYPES and leaf.kind != Kind.IMAGE
    numbers = (episode.tensors, episode.images, episode.frames, episode.texts)
    groups = (episode.texts, episode.images) if is_text else numbers
    values = next((group[leaf.path] for group in groups if leaf.path in group), None)
    if values is None:
        return f"{leaf.path} is missing, though it is announced"
    if leaf.path in episode.tensors and not isinstance(values, np.ndarray):
        return f"{leaf.path} is of type {type(values).__name__}: an array is wanted"
    timesteps = values.size if isinstance(values, np.ndarray) and not values.ndim else len(values)
    if timesteps != episode.num_timesteps:
        return f"{leaf.path} has {timesteps} timesteps, num_timesteps is {episode.num_timesteps}"
    return _why_other_numbers(values, leaf) if timesteps and isinstance(values, np.ndarray) else ""


def _why_other_numbers(values: NDArray[Any], leaf: Leaf) -> str:
    """What is wrong with numbers: floats stay floats, bytes bytes, and every value has the announced shape."""
    if leaf.dtype in NUMERIC_DTYPES:
        announced, given = np.dtype(leaf.dtype), values.dtype
        is_other = (announced.kind == "f") != (given.kind == "f") or given.kind not in "biuf"
        if is_other or (leaf.dtype == "uint8" and given != announced):
            return f"{leaf.path} is of {given}, {leaf.dtype} is announced"
    shape = (*leaf.sequences, *leaf.shape)
    wanted, sides = ([side for side in found if side != 1] for found in (shape, values.shape[1:]))
    fits = len(wanted) == len(sides) and all(want in (None, side) for want, side in zip(wanted, sides, strict=True))
    return "" if fits else f"{leaf.path} has values of shape {values.shape[1:]}, {shape} is announced"
