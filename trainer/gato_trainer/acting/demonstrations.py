"""The best episodes of the tasks of a dataset, each cut to its first timesteps, as the paper prompts with them."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from math import isfinite
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from gato_data.distinct_patches import distinct_patches
from gato_data.shards.episodes import OpenDataset, hashes_of_others
from gato_data.shards.index import DatasetShard, record_data
from gato_schemas.compression import PatchEncoding
from gato_schemas.index import ShardIndex
from gato_schemas.policy import Demonstration
from gato_schemas.record import Record, decode_record, encode_record
from gato_schemas.sequence import TokenSequence

PROMPT_TOKENS = 1024
"""Of a demonstration (paper section 2.3: the first 1,024 tokens)."""
PER_TASK = 4
_MOST_SHARDS = 64
"""Shards that are looked at, spread over the dataset."""


K = TypeVar("K")


class _Episode(NamedTuple):
    """Where an episode stands: number of the shard and of the record; its return, -inf where there is none."""

    goodness: float
    place: int
    record: int


def best_demonstrations(
    dataset: OpenDataset,
    tasks: list[str] | None = None,
    per_task: int = PER_TASK,
    datasets: Sequence[OpenDataset] = (),
) -> dict[str, list[Demonstration]]:
    """Of the training split, by task: those of highest return, the best first; of equal ones the first recorded.

    Args:
        dataset: whose shards are read; its view says which episodes come.
        tasks: those that are wanted; None for all that have timesteps.
        per_task: most of each.
        datasets: of the mixture, some of whose episodes a view may leave out.

    Raises:
        FormatError: an index or a record is damaged.
    """
    shards = dataset.shards("train")
    places = np.unique(np.linspace(0, len(shards) - 1, min(len(shards), _MOST_SHARDS), dtype=np.int64)).tolist()
    others = hashes_of_others(dataset, datasets)
    best: dict[str, list[_Episode]] = {}
    for place in places:
        index, _ = shards[place].load_index()
        in_view = dataset.view.records(index, others)
        for task, found in _episodes(index, in_view, place, per_task):
            if tasks is None or task in tasks:
                best.setdefault(task, []).append(found)
    encoding = dataset.manifest.patch_encoding.name
    found_all = {}
    for task in sorted(best):
        chosen = sorted(best[task], key=lambda each: (-each.goodness, each.place, each.record))[:per_task]
        cut = [_cut(shards[each.place], each, encoding) for each in chosen]
        found_all[task] = [each for each in cut if each is not None]
    return found_all


def _episodes(index: ShardIndex, in_view: NDArray[np.bool_], place: int, most: int) -> Iterator[tuple[str, _Episode]]:
    """The best episodes of every task in a shard."""
    first = np.flatnonzero((index.chunk == 0) & (index.num_timesteps > 0) & in_view)
    goodness = index.episode_return[first].astype(np.float64)
    goodness[~np.isfinite(goodness)] = -np.inf
    for number in np.unique(index.task[first]).tolist():
        of_task = np.flatnonzero(index.task[first] == number)
        for at in of_task[np.argsort(-goodness[of_task], kind="stable")[:most]].tolist():
            yield index.header.tasks[number], _Episode(float(goodness[at]), place, int(first[at]))


def _cut(shard: DatasetShard, episode: _Episode, encoding: str) -> Demonstration | None:
    """The first whole timesteps of an episode, which its first chunk has; None where not one is short enough."""
    index, _ = shard.load_index()
    record = decode_record(record_data(shard.path, index, episode.record), encoding)
    sequence = first_timesteps(record.sequence, PROMPT_TOKENS)
    if not sequence.num_timesteps:
        return None
    cut = Record(episode_id=record.episode_id, task=record.task, agent=record.agent, sequence=sequence)
    return Demonstration(
        task=record.task,
        agent=record.agent,
        episode_id=record.episode_id,
        episode_return=episode.goodness if isfinite(episode.goodness) else None,
        record=encode_record(cut, distinct_patches(sequence.patches), PatchEncoding("zlib")).data,
    )


def first_timesteps(sequence: TokenSequence, most: int) -> TokenSequence:
    """The first whole timesteps of at most so many tokens; none where the first one is longer."""
    ends = np.append(sequence.timestep_starts[1:], sequence.num_tokens)
    steps = int(np.searchsorted(ends, most, side="right"))
    tokens = int(ends[steps - 1]) if steps else 0
    images = sequence.num_images // max(sequence.num_timesteps, 1) * steps
    return sequence.slice(0, tokens, timesteps=slice(steps), images=slice(images))


def within(demonstrations: Mapping[K, Sequence[Demonstration]], room: int) -> tuple[list[tuple[K, Demonstration]], int]:
    """Those that fit into so many bytes, all keys having one before any has two; and how many were left out."""
    kept: list[tuple[K, Demonstration]] = []
    dropped = 0
    for turn in zip_longest(*demonstrations.values()):
        for key, each in zip(demonstrations, turn, strict=True):
            if each is None:
                continue
            if len(each.record) <= room:
                kept.append((key, each))
                room -= len(each.record)
            else:
                dropped += 1
    return kept, dropped
