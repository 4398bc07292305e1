"""Tasks of which no whole timestep fits a window, told by the indexes alone."""

from collections.abc import Sequence
from itertools import groupby

import msgspec
import numpy as np

from gato_data.shards.episodes import EpisodeTable, OpenDataset, numbered_tasks

_SHOWN = 3


class CutTask(msgspec.Struct, frozen=True):
    """A task whose timesteps are longer than the context.

    Attributes:
        dataset, task: names.
        tokens: of a timestep; where they vary, the mean of the episode that has the shortest ones.
        varying: whether they do, so that single ones may fit after all.
    """

    dataset: str
    task: str
    tokens: int
    varying: bool


def find_cut_tasks(table: EpisodeTable, datasets: Sequence[OpenDataset], context_length: int) -> list[CutTask]:
    """The tasks of which every window holds parts of timesteps alone."""
    stepped = np.flatnonzero(table.timesteps)
    kind = table.kind[table.episode_record[stepped]]
    tokens, rest = np.divmod(table.episode_tokens[stepped], table.timesteps[stepped])
    kinds, first, place = np.unique(kind, return_index=True, return_inverse=True)
    least, varying = tokens[first], np.zeros(len(kinds), np.bool_)
    np.minimum.at(least, place, tokens)
    np.logical_or.at(varying, place, (rest > 0) | (tokens != tokens[first][place]))
    names = {number: (dataset.manifest.name, task) for number, dataset, task in numbered_tasks(datasets)}
    rows = zip(kinds.tolist(), least.tolist(), varying.tolist(), strict=True)
    return [CutTask(*names[number], size, varies) for number, size, varies in rows if size > context_length]


def cut_sentences(cut: Sequence[CutTask], context_length: int) -> list[str]:
    """What is said of each dataset that has such tasks."""
    sentences = []
    for dataset, members in groupby(cut, key=lambda task: task.dataset):
        tasks = list(members)
        more = f" and {len(tasks) - _SHOWN} more tasks" if len(tasks) > _SHOWN else ""
        listed = ", ".join(map(_size, tasks[:_SHOWN]))
        none = "hardly a" if any(task.varying for task in tasks) else "no"
        sentences.append(
            f"{none} whole timestep of {dataset} ({listed}{more}) fits a context of {context_length:,} tokens: "
            "timesteps are cut, and actions are trained on without the whole observation before them; give "
            f"--context-length {max(task.tokens for task in tasks)} or more"
        )
    return sentences


def _size(task: CutTask) -> str:
    return f"{'about ' if task.varying else ''}{task.tokens:,} tokens in task {task.task!r}"
