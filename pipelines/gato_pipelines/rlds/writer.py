"""Writing an RLDS dataset as a TFDS folder, without TensorFlow."""

import json
import os
import re
from collections.abc import Iterable
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from gato_data.errors import OutputError, SettingError
from gato_pipelines.rlds.card import DatasetCard, features_json, info_json
from gato_pipelines.rlds.directory import FILE_FORMAT, Directory, open_directory
from gato_pipelines.rlds.encode import check_writable, encode_episode
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Leaf
from gato_pipelines.rlds.versions import DATASET_INFO, FEATURES
from gato_schemas.tfrecord import frame

METADATA = "metadata.json"
TEMPORARY = ".tmp"
"""Ending of a file that is being written."""


def shard_name(card: DatasetCard, split: str, index: int, count: int) -> str:
    """File name of shard `index` of `count`, as TFDS names it."""
    return f"{card.name}-{split}.{FILE_FORMAT}-{index:05}-of-{count:05}"


def write_directory(
    folder: Path,
    card: DatasetCard,
    episodes: Iterable[RldsEpisode],
    *,
    num_episodes: int,
    num_shards: int = 1,
    split: str = "train",
    overwrite: bool = False,
) -> Directory:
    """Write `num_episodes` episodes in order, spread evenly over the shards; one episode is held at a time.

    `metadata.json` comes first and says that the folder is `card.module`'s; a shard gets its name
    when it is whole; `dataset_info.json` is last, and without it the folder is unfinished. The same
    episodes and card give the same bytes.

    Raises:
        SettingError: there are more shards than episodes, or none; or fewer episodes come than were
            announced.
        OutputError: the folder holds something else, or a finished dataset without `overwrite`, or
            cannot be written.
        EpisodeError: an episode is not what the features say.
        InputError: a feature is of a kind that cannot be written.
    """
    if not 1 <= num_shards <= num_episodes:
        raise SettingError(f"{num_episodes} episodes cannot be spread over {num_shards} shards: each needs one or more")
    for leaf in card.features.leaves:
        check_writable(leaf)
    try:
        claim_folder(folder, card, overwrite=overwrite)
        lengths, size = _write_shards(folder, card, episodes, num_episodes, num_shards, split)
        _write_json(folder / FEATURES, features_json(card.features))
        _write_json(folder / DATASET_INFO, info_json(card, split, lengths, size))
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror})") from error
    return open_directory(folder)


def claim_folder(folder: Path, card: DatasetCard, *, overwrite: bool) -> None:
    """Make the folder, mark it as `card.module`'s, and remove what an earlier run of it left.

    Raises:
        OutputError: the folder holds something else, or a finished dataset without `overwrite`.
        OSError: it cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file: give a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        if _read_module(folder) != card.module:
            raise OutputError(f"{folder} is not empty, and nothing of this recorder's: give a new or empty folder")
        if (folder / DATASET_INFO).exists() and not overwrite:
            raise OutputError(f"{folder} already holds a finished recording: give another folder, or use --overwrite")
    (folder / DATASET_INFO).unlink(missing_ok=True)
    ours = re.compile(rf"{re.escape(card.name)}-\w+\.{FILE_FORMAT}-\d+-of-\d+({re.escape(TEMPORARY)})?")
    for path in folder.iterdir():
        if ours.fullmatch(path.name):
            path.unlink()
    _write_json(folder / METADATA, {**card.metadata, "module": card.module})


def _read_module(folder: Path) -> str | None:
    try:
        metadata = json.loads((folder / METADATA).read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    module = metadata.get("module") if isinstance(metadata, dict) else None
    return module if isinstance(module, str) else None


def _write_shards(
    folder: Path, card: DatasetCard, episodes: Iterable[RldsEpisode], num_episodes: int, num_shards: int, split: str
) -> tuple[list[int], int]:
    """Returns the episodes of every shard and the bytes of all records."""
    bounds = [index * num_episodes // num_shards for index in range(num_shards + 1)]
    lengths = [stop - start for start, stop in pairwise(bounds)]
    remaining = iter(episodes)
    size = 0
    for index, length in enumerate(lengths):
        path = folder / shard_name(card, split, index, num_shards)
        size += _write_shard(path, islice(remaining, length), card.features.leaves, length)
    return lengths, size


def _write_shard(path: Path, episodes: Iterable[RldsEpisode], leaves: tuple[Leaf, ...], length: int) -> int:
    size = written = 0
    temporary = path.with_name(path.name + TEMPORARY)
    with temporary.open("wb") as file:
        for episode in episodes:
            record = encode_episode(episode, leaves)
            header, footer = frame(record)
            file.writelines((header, record, footer))
            size += len(record)
            written += 1
        file.flush()
        os.fsync(file.fileno())
    if written != length:
        raise SettingError(f"{length} episodes were announced for {path.name}, {written} came")
    temporary.replace(path)
    return size


def _write_json(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(path.name + TEMPORARY)
    temporary.write_text(json.dumps(content, indent=4, sort_keys=True) + "\n", encoding="utf-8")
    temporary.replace(path)
