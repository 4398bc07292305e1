"""Scores of tasks, of families and over all, from results."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gato_pipelines.rollout.results import ARMS, Arm, EpisodeResult, of_arm
from gato_pipelines.rollout.statistics import Estimate, Rate, estimate, is_better, normalised, rate


@dataclass(frozen=True, slots=True)
class ArmScore:
    """How one actor did in a task.

    Attributes:
        episodes: how many.
        mean_return: of these.
        success: share that was solved; None where the environment never tells. Where it told of other episodes,
            one of which it did not counts as not solved.
        mean_length: in actions.
        gave_up: episodes with which the actor could not go on.
        milliseconds: an action, of deciding.
    """

    episodes: int
    mean_return: Estimate
    success: Rate | None
    mean_length: float
    gave_up: int
    milliseconds: float


@dataclass(frozen=True, slots=True)
class TaskScore:
    """How a policy did in a task.

    Attributes:
        task, family, environment: what was played.
        arms: by who played.
        expert: who the expert is: played on the same seeds, or, where there is none, whose episodes the policy was
            trained on; empty where nothing is known of one.
        normalised: 0 for chance, 1 for the expert; None where that cannot be said.
        why: why not.
    """

    task: str
    family: str
    environment: str
    arms: dict[Arm, ArmScore]
    expert: str = ""
    normalised: Estimate | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class FamilyScore:
    """Mean of the normalised scores of a family's tasks, or of all, and how many have one."""

    family: str
    normalised: float | None
    tasks: int
    of: int


@dataclass(frozen=True, slots=True)
class Reference:
    """The expert of a task that none plays: whose episodes the policy was trained on.

    Attributes:
        policy: who played them.
        mean_return: of the best stretch of them (paper section 3.1).
    """

    policy: str = ""
    mean_return: float | None = None


@dataclass(frozen=True, slots=True)
class Scores:
    """All scores of a rollout."""

    tasks: list[TaskScore]
    families: list[FamilyScore] = field(default_factory=list)
    overall: FamilyScore | None = None


def task_score(
    results: list[EpisodeResult],
    task: str,
    family: str,
    environment: str,
    *,
    episodes: int,
    expert: str = "",
    reference: Reference | None = None,
) -> TaskScore:
    """The scores of a task from the first `episodes` results of everyone who played it.

    Args:
        results: of any tasks.
        task, family, environment: its names.
        episodes: how many count.
        expert: who the expert is that played, empty if none did.
        reference: the expert where none played.
    """
    played = {arm: list(of_arm(results, task, arm))[:episodes] for arm in ARMS}
    told = any(result.success is not None for found in played.values() for result in found)
    arms = {arm: _arm_score(found, told=told) for arm, found in played.items() if found}
    returns = {arm: _returns(found) for arm, found in played.items()}
    recorded = reference or Reference()
    best = returns["expert"]
    if not len(best) and recorded.mean_return is not None:
        best, expert = np.full(len(returns["random"]), recorded.mean_return), recorded.policy or "who was recorded"
    score, why = _normalised(returns["policy"], returns["random"], best)
    return TaskScore(task, family, environment, arms, expert, score, why)


def _normalised(
    policy: NDArray[np.float64], random: NDArray[np.float64], expert: NDArray[np.float64]
) -> tuple[Estimate | None, str]:
    if not len(random) or not len(policy):
        return None, "nobody else played"
    if not len(expert):
        return None, "no expert is known"
    count = min(len(policy), len(random), len(expert))
    policy, random, expert = policy[:count], random[:count], expert[:count]
    if not is_better(expert, random):
        return None, "the expert is not better than chance"
    return normalised(policy, random, expert), ""


def _returns(found: Sequence[EpisodeResult]) -> NDArray[np.float64]:
    return np.array([result.episode_return for result in found], np.float64)


def _arm_score(found: Sequence[EpisodeResult], *, told: bool) -> ArmScore:
    solved = sum(bool(result.success) for result in found)
    actions = sum(result.length for result in found)
    return ArmScore(
        episodes=len(found),
        mean_return=estimate(_returns(found)),
        success=rate(solved, len(found)) if told else None,
        mean_length=actions / len(found),
        gave_up=sum(result.gave_up for result in found),
        milliseconds=1000 * sum(result.seconds for result in found) / max(actions, 1),
    )


def all_scores(tasks: Sequence[TaskScore]) -> Scores:
    """The scores of tasks, and their means by family and over all."""
    families = sorted({task.family for task in tasks})
    by_family = [_mean(family, [task for task in tasks if task.family == family]) for family in families]
    return Scores(list(tasks), by_family, _mean("all", tasks))


def _mean(name: str, tasks: Sequence[TaskScore]) -> FamilyScore:
    found = [task.normalised.value for task in tasks if task.normalised is not None]
    return FamilyScore(name, float(np.mean(found)) if found else None, len(found), len(tasks))
