"""Scores from results that are written down, and their plot."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from gato_pipelines.rollout.plot import plot_scores
from gato_pipelines.rollout.results import Arm, EpisodeResult
from gato_pipelines.rollout.scores import Reference, TaskScore, all_scores, task_score
from gato_pipelines.rollout.statistics import Estimate


def results(task: str, actor: Arm, returns: list[float]) -> list[EpisodeResult]:
    return [
        EpisodeResult(
            task=task, actor=actor, episode=number, episode_return=value, length=10, terminal=True, seconds=0.25
        )
        for number, value in enumerate(returns)
    ]


def score(returns: dict[Arm, list[float]], reference: Reference | None = None) -> TaskScore:
    found = [result for arm, values in returns.items() for result in results("it", arm, values)]
    return task_score(found, "it", "family", "place", episodes=9, expert="a bot", reference=reference)


def test_the_scores_of_a_task() -> None:
    found = score({"random": [0, 2, 1], "expert": [9, 11, 10], "policy": [5, 5, 5]})
    assert found.normalised is not None
    assert found.normalised.value == pytest.approx((5 - 1) / 9)
    assert found.arms["policy"].mean_return.value == 5
    assert (found.arms["policy"].milliseconds, found.arms["policy"].success) == (25, None)


def test_an_episode_of_which_success_is_not_told_counts_as_not_solved() -> None:
    told = [replace(each, success=True) for each in results("it", "policy", [1, 1])]
    found = task_score([*told, *results("it", "random", [0, 0])], "it", "family", "place", episodes=2)
    solved = {arm: each.success.value for arm, each in found.arms.items() if each.success}
    assert solved == {"policy": 1, "random": 0}


def test_an_expert_that_is_not_better_than_chance_gives_no_score() -> None:
    found = score({"random": [0, 2, 1], "expert": [2, 0, 1], "policy": [5, 5, 5]})
    assert (found.normalised, found.why) == (None, "the expert is not better than chance")


def test_who_was_recorded_stands_for_the_expert() -> None:
    found = score({"random": [0, 2, 1], "policy": [5, 5, 5]}, Reference("somebody", 11))
    assert found.normalised is not None
    assert (found.normalised.value, found.expert) == (0.4, "somebody")


def test_means_of_families_and_of_all() -> None:
    tasks = [
        TaskScore("a", "x", "", {}, normalised=Estimate(1.0, 0.1)),
        TaskScore("b", "x", "", {}, normalised=Estimate(0.5, None)),
        TaskScore("c", "y", "", {}, why="no expert is known"),
        TaskScore("d", "z", "", {}, normalised=Estimate(0.0, 0.2)),
    ]
    found = all_scores(tasks)
    assert [(each.family, each.normalised, each.tasks, each.of) for each in found.families] == [
        ("x", 0.75, 2, 2),
        ("y", None, 0, 1),
        ("z", 0.0, 1, 1),
    ]
    assert found.overall is not None
    assert (found.overall.normalised, found.overall.tasks, found.overall.of) == (0.5, 3, 4)


@pytest.mark.parametrize("count", [1, 60])
def test_a_plot_of_few_tasks_and_of_many(count: int, tmp_path: Path) -> None:
    from PIL import Image

    tasks = [TaskScore(f"task {i}", "x", "", {}, normalised=Estimate(i / count, 0.1)) for i in range(count)]
    assert plot_scores(all_scores(tasks), tmp_path / "scores.png")
    with Image.open(tmp_path / "scores.png") as picture:
        assert (picture.size[0] > 800) is (count < 40)


def test_nothing_is_drawn_of_nothing(tmp_path: Path) -> None:
    assert not plot_scores(all_scores([TaskScore("c", "y", "", {}, why="")]), tmp_path / "scores.png")
    assert not (tmp_path / "scores.png").exists()


def test_a_task_may_be_called_like_a_formula(tmp_path: Path) -> None:
    task = TaskScore("$\\frac$", "$x", "", {}, normalised=Estimate(1.0, 0.1))
    assert plot_scores(all_scores([task]), tmp_path / "plot.png")
