"""How well those played whose episodes were written: returns from the indexes, successes from the planning pass."""

from collections.abc import Sequence

import msgspec
import numpy as np

from gato_data.returns import scores_of, task_returns
from gato_pipelines.control.filtering import DROPPED
from gato_pipelines.ingest.job import Job
from gato_pipelines.ingest.shards import episode_id_of, split_of
from gato_schemas.dataset import Scores
from gato_schemas.index import ShardIndex

SPLIT = "train"


def task_scores(job: Job, indexes: Sequence[ShardIndex]) -> dict[str, Scores]:
    """The scores of every task with timesteps.

    Args:
        job: what was asked for.
        indexes: of the shards of the training split, one a part, in order; none where nothing was
            written.
    """
    returns = task_returns(indexes)
    known: dict[str, list[int]] = {}
    for number, index in enumerate(indexes):
        known.setdefault(job.plan.parts[number].task, []).extend(_written(job, number, index))
    found = {}
    for name, task in job.plan.tasks.items():
        if task.observations and name in returns:
            rate = float(np.mean(known[name])) if known.get(name) else None
            found[name] = msgspec.structs.replace(scores_of(returns[name]), success_rate=rate)
    return found


def _written(job: Job, number: int, index: ShardIndex) -> list[int]:
    """Whether each episode of a part in the training split succeeded.

    Empty where that is not known, or where one of them became a dead letter: which one, no index says.
    """
    part, holdout = job.plan.parts[number], job.settings.holdout
    told = job.plan.successes[number] if job.plan.successes else b""
    ids = (episode_id_of(part, number, part.first + place) for place in range(len(told)))
    found = [each for each, name in zip(told, ids, strict=True) if each != DROPPED and split_of(name, holdout) == SPLIT]
    return found if len(found) == index.header.totals.episodes else []
