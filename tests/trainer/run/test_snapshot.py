from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gato_data.errors import TrainError
from gato_trainer.config import TrainSettings
from gato_trainer.run.folder import RUN_FILE
from gato_trainer.run.snapshot import memory_snapshot
from gato_trainer.run.train import run
from gato_trainer.world import World
from tests.trainer.synthetic import SyntheticSource

Make = Callable[..., TrainSettings]
GPU = World(1, 2, torch.device("cuda", 1))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    made: list[Any] = []
    monkeypatch.setattr(torch.cuda.memory, "_record_memory_history", lambda **values: made.append(values))
    monkeypatch.setattr(torch.cuda.memory, "_dump_snapshot", lambda path: made.append(Path(path).name))
    return made


def test_a_run_on_a_cpu_has_no_snapshot(small_settings: Make, source: SyntheticSource) -> None:
    with pytest.raises(TrainError, match="--memory-snapshot records the memory of a GPU, and this run is on the cpu"):
        run(small_settings(memory_snapshot=True), source, quiet=True)
    assert not small_settings().out.exists()


@pytest.mark.parametrize(
    ("error", "written"), [(None, True), (torch.OutOfMemoryError("full"), True), (TrainError("no"), False)]
)
def test_a_snapshot_is_written_at_the_end_and_where_memory_ran_out(
    error: Exception | None, written: bool, small_settings: Make, calls: list[Any]
) -> None:
    settings = small_settings(memory_snapshot=True)
    settings.out.mkdir()
    (settings.out / RUN_FILE).touch()

    def work() -> None:
        with memory_snapshot(settings, GPU):
            if error is not None:
                raise error

    if error is None:
        work()
    else:
        with pytest.raises(type(error)):
            work()
    assert [calls[0]["max_entries"], *calls[1:]] == [1_000_000, *["rank-1.pickle"] * written, {"enabled": None}]


def test_memory_that_runs_out_before_there_is_a_run_leaves_no_folder(small_settings: Make, calls: list[Any]) -> None:
    settings = small_settings(memory_snapshot=True)
    with pytest.raises(torch.OutOfMemoryError), memory_snapshot(settings, GPU):
        raise torch.OutOfMemoryError
    assert len(calls) == 2
    assert not settings.out.exists()
