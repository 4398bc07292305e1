"""The manifest of what is in the folder after a repair."""

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from gato_data.errors import FormatError
from gato_data.returns import scores_of, task_returns
from gato_data.verify.dataset import ShardState
from gato_schemas.dataset import Manifest, Scores, ShardInfo, SplitInfo, TaskInfo
from gato_schemas.index import ShardIndex, index_path, read_index
from gato_schemas.statistics import Counts


def recount(folder: Path, manifest: Manifest, states: list[ShardState], mended: set[str]) -> Manifest:
    """The manifest with the sizes, digests and totals of the shards as they are now.

    Args:
        folder: the dataset.
        manifest: as it was.
        states: its shards.
        mended: names of those that are what their indexes say; the others stay as they stand in the manifest.
    """
    complete = True
    train: list[ShardIndex] = []
    by_task = dict.fromkeys(manifest.tasks, Counts())
    splits: dict[str, list[ShardInfo]] = {split: [] for split in manifest.splits}
    for state in states:
        info = state.info
        try:
            index = read_index(index_path(folder / info.name))
        except (OSError, FormatError):
            complete = False
        else:
            if info.name in mended:
                header = index.header
                info = ShardInfo(name=info.name, size=header.shard_size, digest=header.digest, totals=header.totals)
            fits = index.header.totals == info.totals and index.header.tasks == list(manifest.tasks)
            complete = complete and fits
            for name, counts in index.totals_by_task() if complete else ():
                by_task[name] += counts
            train += [index] if state.split == "train" else []
        splits[state.split].append(info)
    tasks: dict[str, TaskInfo] = manifest.tasks
    returns = task_returns(train) if complete else {}
    if complete and any(task.counts != Counts() for task in tasks.values()):
        tasks = {
            name: msgspec.structs.replace(task, counts=by_task[name], scores=_scores(task, returns.get(name)))
            for name, task in tasks.items()
        }
    found = {split: SplitInfo.of(infos) for split, infos in splits.items()}
    return msgspec.structs.replace(manifest, splits=found, tasks=tasks)


def _scores(task: TaskInfo, returns: NDArray[np.float64] | None) -> Scores | None:
    """The scores of the episodes that are left; of successes nothing is known once one is gone."""
    if task.scores is None:
        return None
    found = Scores(episodes=0) if returns is None else scores_of(returns)
    same = msgspec.structs.replace(task.scores, success_rate=None) == found
    return task.scores if same else found
