"""Windows for a torch DataLoader: one stream, whatever the workers and ranks, that goes on where it was."""

from itertools import chain
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs torch, of the extra [train]")

import torch
from torch.utils.data import DataLoader

import gato_data
from gato_data.errors import SettingError
from gato_data.torch import Windows

OPTIONS: dict[str, Any] = {"context_length": 64, "batch_size": 8, "steps": 7}


@pytest.fixture(scope="module")
def expected(breakout: Path) -> list[list[int]]:
    with gato_data.open(breakout) as dataset:
        return [batch.sample.tolist() for batch in dataset.batches(**OPTIONS)]


@pytest.mark.parametrize(("workers", "ranks"), [(0, 1), (2, 1), (4, 1), (0, 3), (2, 3), (0, 8)])
def test_workers_and_ranks_read_one_stream(breakout: Path, expected: list[list[int]], workers: int, ranks: int) -> None:
    parts = []
    for rank in range(ranks):
        windows = Windows(breakout, rank=rank, world_size=ranks, **OPTIONS)
        parts.append([batch["sample"].tolist() for batch in DataLoader(windows, batch_size=None, num_workers=workers)])
    assert [[*chain(*step)] for step in zip(*parts, strict=True)] == expected


def test_a_batch_is_tensors_of_the_batchs_names(breakout: Path) -> None:
    windows = Windows(breakout, **OPTIONS)
    assert len(windows) == len(DataLoader(windows, batch_size=None)) == 7
    first = next(iter(windows))
    with gato_data.open(breakout) as dataset:
        wanted = dataset.batches(**OPTIONS)[0]
    assert torch.equal(first["tokens"], torch.from_numpy(wanted.tokens))
    assert torch.equal(first["distinct_patches"][first["patch_index"]], torch.from_numpy(wanted.patches))
    assert (int(first["num_distinct"]), "segment" in first) == (wanted.num_distinct, False)
    assert [batch["sample"].tolist() for batch in windows] == [batch["sample"].tolist() for batch in windows]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stateful_loader_goes_on_where_it_was(breakout: Path, expected: list[list[int]], workers: int) -> None:
    stateful = pytest.importorskip("torchdata.stateful_dataloader", reason="needs torchdata")

    def loader() -> Any:
        return stateful.StatefulDataLoader(Windows(breakout, **OPTIONS), batch_size=None, num_workers=workers)

    stopped = loader()
    found = [batch["sample"].tolist() for _, batch in zip(range(3), stopped, strict=False)]
    state = stopped.state_dict()
    resumed = loader()
    resumed.load_state_dict(state)
    assert found + [batch["sample"].tolist() for batch in resumed] == expected


def test_a_run_begins_at_any_step(breakout: Path, expected: list[list[int]]) -> None:
    windows = Windows(breakout, first=5, **OPTIONS)
    assert [batch["sample"].tolist() for batch in DataLoader(windows, batch_size=None, num_workers=2)] == expected[5:]


def test_what_cannot_be_is_said_before_a_worker_starts(breakout: Path) -> None:
    with pytest.raises(SettingError, match="a batch of 2 windows do not go together"):
        Windows(breakout, batch_size=2, rank=0, world_size=3)
    with pytest.raises(SettingError, match="rank and world_size belong together"):
        Windows(breakout, rank=0)
    windows = Windows(breakout, **OPTIONS)
    windows.load_state_dict({"step": 3, "workers": 2})
    with pytest.raises(SettingError, match="of a loader with 2 workers, this one has 0"):
        next(iter(windows))
