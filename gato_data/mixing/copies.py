"""Episodes that stand in more than one dataset of a mixture, found by the hashes in the indexes."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from gato_data.printable import count, printable
from gato_data.shards.episodes import OpenDataset, hashes_of_others

_NAMED = 5
"""Pairs of datasets that warnings name."""


class Copies(msgspec.Struct, frozen=True, kw_only=True):
    """Episodes that two datasets share.

    Attributes:
        datasets: names of both.
        episodes: how many they share, of any split.
        leaks: those of them that one of the two trains on and the other one validates with.
    """

    datasets: tuple[str, str]
    episodes: int
    leaks: int


def find_copies(datasets: Sequence[OpenDataset]) -> list[Copies]:
    """The pairs of datasets that share episodes, those that share most first.

    Sorting all hashes brings copies side by side, so the cost is that of a sort. Of an episode that
    stands in several datasets, every dataset is paired with the next one.

    Raises:
        FormatError: an index is damaged.
    """
    numbers: dict[Path, int] = {}  # views of one dataset share what they share
    folders = np.array([numbers.setdefault(dataset.folder, len(numbers)) for dataset in datasets], np.int32)
    if len(numbers) < 2:
        return []
    hashes, owners, held_out = _episodes(datasets)
    order = np.lexsort((held_out, owners, hashes))
    hashes, owners, held_out = hashes[order], owners[order], held_out[order]
    same = np.flatnonzero((hashes[1:] == hashes[:-1]) & (folders[owners[1:]] != folders[owners[:-1]]))
    pairs = np.stack([owners[same], owners[same + 1]], axis=1)
    leaks = held_out[same] != held_out[same + 1]
    named, place = np.unique(pairs, axis=0, return_inverse=True)
    episodes = np.bincount(place.reshape(-1), minlength=len(named))
    leaked = np.bincount(place.reshape(-1), weights=leaks, minlength=len(named)).astype(np.int64)
    found = [
        Copies(datasets=(datasets[a].name, datasets[b].name), episodes=number, leaks=leaking)
        for (a, b), number, leaking in zip(named.tolist(), episodes.tolist(), leaked.tolist(), strict=True)
    ]
    return sorted(found, key=lambda each: (-each.episodes, each.datasets))


def copy_sentences(found: Sequence[Copies]) -> list[str]:
    """What was found, a sentence for each of the first pairs and one for the others."""
    sentences = []
    for each in found[:_NAMED]:
        one, other = map(printable, each.datasets)
        leaks = f", {count(each.leaks)} of them trained on by one and held out by the other" if each.leaks else ""
        sentences.append(
            f"{count(each.episodes)} episode{'s' * (each.episodes != 1)} of {one} {_stand(each.episodes)} in {other} "
            f"too{leaks}: the view {one.partition('[')[0]}[not-in={other.partition('[')[0]}] leaves them out"
        )
    if rest := found[_NAMED:]:
        total = count(sum(each.episodes for each in rest))
        sentences.append(f"{total} more episodes are shared by {count(len(rest))} more pairs of datasets: see --json")
    return sentences


def _stand(episodes: int) -> str:
    return "stands" if episodes == 1 else "stand"


def _episodes(datasets: Sequence[OpenDataset]) -> tuple[NDArray[np.uint64], NDArray[np.int32], NDArray[np.bool_]]:
    """Hash, dataset, and whether it is held out, of every episode of all splits that its view leaves."""
    hashes, owners, held_out = [np.zeros(0, np.uint64)], [np.zeros(0, np.int32)], [np.zeros(0, np.bool_)]
    for number, dataset in enumerate(datasets):
        others = hashes_of_others(dataset, datasets)
        for split in dataset.manifest.splits:
            for shard in dataset.shards(split):
                index, _ = shard.load_index()
                own = np.unique(index.episode_hash[(index.chunk == 0) & dataset.view.records(index, others)])
                hashes.append(own)
                owners.append(np.full(len(own), number, np.int32))
                held_out.append(np.full(len(own), split != "train", np.bool_))
    return np.concatenate(hashes), np.concatenate(owners), np.concatenate(held_out)
