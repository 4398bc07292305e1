"""Processes that meet in a store in which others have met before."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta

import pytest
from torch.distributed import HashStore
from torch.distributed.distributed_c10d import PrefixStore, Store

from gato_trainer import meeting

Meet = Callable[[int, int, float], Store]


@pytest.fixture
def meet(monkeypatch: pytest.MonkeyPatch) -> Meet:
    """`meet` of a rank among so many, with seconds, in one store over all starts."""
    store = HashStore()
    monkeypatch.setattr(meeting, "rendezvous", lambda *_, **__: iter([(PrefixStore("agent", store), 0, 0)]))
    return lambda rank, size, seconds: meeting.meet(rank, size, timedelta(seconds=seconds))


def started(meet: Meet, order: list[int], pause: float = 0.0) -> list[Store]:
    """The stores of the ranks, which begin one after the other."""
    with ThreadPoolExecutor(len(order)) as pool:
        found: dict[int, Future[Store]] = {}
        for rank in order:
            found[rank] = pool.submit(meet, rank, len(order), 20.0)
            time.sleep(pause)
        return [found[rank].result() for rank in sorted(order)]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0]])
def test_no_start_sees_what_another_wrote(meet: Meet, order: list[int]) -> None:
    for start in range(3):
        stores = started(meet, order, pause=0.05)
        assert not any(store.check(["address"]) for store in stores)
        stores[2].set("address", f"of start {start}")
        assert [store.get("address") for store in stores] == [f"of start {start}".encode()] * 3


@pytest.mark.parametrize("lone", [0, 1])
def test_a_start_that_not_all_came_to_is_no_matter_for_the_next(meet: Meet, lone: int) -> None:
    with pytest.raises(RuntimeError, match=r"[Tt]imed out|[Tt]imeout"):
        meet(lone, 2, 0.1)
    first, second = started(meet, [1, 0], pause=0.05)
    first.set("address", "new")
    assert second.get("address") == b"new"
