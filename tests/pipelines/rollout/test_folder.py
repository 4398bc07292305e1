"""Who may write a folder of results."""

from pathlib import Path
from typing import Any

import pytest

from gato_data.errors import OutputError
from gato_pipelines.rollout.folder import HEADER, PLOT, RolloutFolder, RolloutHeader
from gato_pipelines.rollout.recording import check_places, folder_of
from gato_pipelines.rollout.results import EPISODES, EpisodeResult
from gato_pipelines.rollout.run import Rollout
from gato_pipelines.rollout.scores import TaskScore, all_scores
from gato_pipelines.rollout.settings import RolloutSettings

RESULT = EpisodeResult(task="it", actor="policy", episode=0, episode_return=1.0, length=3, terminal=True)


def header(**settings: Any) -> RolloutHeader:
    return RolloutHeader.of({"step": 1}, RolloutSettings(**settings), {"it": "there"})


def test_two_do_not_play_into_one_folder(tmp_path: Path) -> None:
    with RolloutFolder(tmp_path / "out", header()) as first:
        first.add(RESULT)
        with pytest.raises(OutputError, match=r"another rollout is playing into .*out: wait for it"):
            RolloutFolder(tmp_path / "out", header())
        first.add(RESULT)
    with RolloutFolder(tmp_path / "out", header()) as second:
        assert second.results == [RESULT, RESULT]


def test_a_folder_in_which_nothing_was_played_is_a_new_one(tmp_path: Path) -> None:
    with RolloutFolder(tmp_path / "out", header()):
        pass
    with RolloutFolder(tmp_path / "out", header(prompt="none")) as folder:
        folder.add(RESULT)
    assert b'"none"' in (tmp_path / "out" / HEADER).read_bytes()
    with pytest.raises(OutputError, match=r"of another rollout \(setting prompt 'none', here None\)"):
        RolloutFolder(tmp_path / "out", header())
    with RolloutFolder(tmp_path / "out", header(prompt="none")) as folder:
        assert folder.results == [RESULT]
    assert (tmp_path / "out" / EPISODES).read_bytes().count(b"\n") == 1


def test_no_plot_is_left_of_scores_that_are_none_any_more(tmp_path: Path) -> None:
    with RolloutFolder(tmp_path / "out", header()) as folder:
        (tmp_path / "out" / PLOT).write_bytes(b"an older one")
        folder.finish(Rollout({}, {}, {}, all_scores([TaskScore("it", "f", "", {}, why="so")]), [], []))
    assert not (tmp_path / "out" / PLOT).exists()


def test_a_task_is_recorded_inside_of_the_folder() -> None:
    assert [folder_of(task) for task in ("left/walk", "..", "/etc", "../up")] == ["left-walk", "-", "-etc", "--up"]


def test_two_tasks_are_not_recorded_in_one_folder(tmp_path: Path) -> None:
    check_places([tmp_path / "a", tmp_path / "b"])
    with pytest.raises(OutputError, match=r"two tasks would be recorded in .*a: play them one at a time, with --task"):
        check_places([tmp_path / "a", tmp_path / "b", tmp_path / "a"])
