"""The kernel is told in time of every byte that a batch then reads."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from gato_data.reading.pieces import Pieces
from gato_data.reading.plan import BatchPlan
from gato_data.reading.reader import ReadSettings, open_mixture
from gato_data.reading.reads import Reads
from gato_data.reading.stream import ANNOUNCED_SAMPLES, announce_ahead, plan_ahead
from gato_data.shards.files import Maps, ShardFiles

Mix = Callable[..., Path]


@pytest.mark.parametrize("kind", ["pong", "raw", "walker", "pages"])
def test_everything_read_was_announced(library: Path, mix: Mix, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    announced: set[tuple[int, int]] = set()
    read: set[tuple[int, int]] = set()

    def will_need(_: ShardFiles, shard: int, offset: int, size: int) -> None:
        announced.update((shard, byte) for byte in range(offset, offset + size))

    def count(self: ShardFiles, shard: int, offset: int, view: memoryview) -> None:
        read.update((shard, byte) for byte in range(offset, offset + len(view)))
        original(self, shard, offset, view)

    original = ShardFiles.read
    settings = ReadSettings(context_length=64, map_files=False, threads=1)
    with open_mixture(mix(library / kind), settings=settings) as reader:
        monkeypatch.setattr(ShardFiles, "is_cached", lambda *_: False)
        monkeypatch.setattr(ShardFiles, "will_need", will_need)
        plan = reader.planner.plan([range(12)])[0]
        reader._warmer.warm(plan.reads)
        monkeypatch.undo()
        monkeypatch.setattr(ShardFiles, "read_many", _one_by_one)
        monkeypatch.setattr(ShardFiles, "read", count)
        reader.batch(range(12))
    assert read
    assert read <= announced


def _one_by_one(
    self: ShardFiles,
    shard: np.ndarray,
    offset: np.ndarray,
    begin: np.ndarray,
    end: np.ndarray,
    view: memoryview,
    maps: Maps,
) -> None:
    for number in range(len(shard)):
        self.read(int(shard[number]), int(offset[number]), view[int(begin[number]) : int(end[number])])


def test_what_is_in_memory_is_not_announced(library: Path, mix: Mix, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("announced")

    with open_mixture(mix(library / "walker"), settings=ReadSettings(context_length=64)) as reader:
        monkeypatch.setattr(ShardFiles, "is_cached", lambda *_: True)
        monkeypatch.setattr(ShardFiles, "will_need", refuse)
        reader._warmer.warm(reader.planner.plan([range(12)])[0].reads)


def test_one_missing_window_among_many_is_enough(library: Path, mix: Mix, monkeypatch: pytest.MonkeyPatch) -> None:
    announced: list[int] = []
    looks = iter([True, True, False])
    with open_mixture(mix(library / "raw"), settings=ReadSettings(context_length=64)) as reader:
        monkeypatch.setattr(ShardFiles, "is_cached", lambda *_: next(looks))
        monkeypatch.setattr(ShardFiles, "will_need", lambda _, shard, offset, size: announced.append(size))
        reader._warmer.warm(reader.planner.plan([range(12)])[0].reads)
    assert len(announced) >= 12


def test_looks_become_rare_while_everything_is_in_memory(
    library: Path, mix: Mix, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: set[int] = set()
    with open_mixture(mix(library / "walker"), settings=ReadSettings(context_length=64)) as reader:
        reads = reader.planner.plan([range(12)])[0].reads
        for number in range(120):
            monkeypatch.setattr(ShardFiles, "is_cached", lambda *_, n=number: bool(looked.add(n)) or n < 100)
            reader._warmer.warm(reads)
    assert sorted(looked) == [0, 2, 6, 14, 30, 46, 62, 78, 94, *range(110, 120)]


def plan_of(samples: range) -> BatchPlan:
    nothing = np.zeros(0, np.int64)
    reads = Reads(*[nothing] * 6, nothing.astype(np.int32), *[nothing] * 2)
    return BatchPlan(Pieces(*[nothing] * 6), reads, reads, nothing, np.arange(samples.start, samples.stop))


def test_plans_are_announced_further_and_further_ahead() -> None:
    announced: list[int] = []
    ranges = [range(n * 10, n * 10 + 10) for n in range(200)]
    plans = announce_ahead(map(plan_of, ranges), lambda plan: announced.append(int(plan.sample[0])), ANNOUNCED_SAMPLES)
    ahead = []
    for number, plan in enumerate(plans):
        assert plan.sample[0] == number * 10
        ahead.append(len(announced) - number)
    assert ahead[0] == 2
    assert ahead[100] == 52
    assert len(announced) == 200


def test_ranges_are_planned_in_lumps_and_never_endlessly() -> None:
    taken: list[int] = []

    def endless() -> Iterator[range]:
        number = 0
        while True:
            taken.append(number)
            yield range(number * 1000, number * 1000 + 1000)
            number += 1

    lumps: list[int] = []

    def plan(ranges: list[range]) -> list[BatchPlan]:
        lumps.append(len(ranges))
        return [plan_of(one) for one in ranges]

    plans = plan_ahead(endless(), plan)
    for _ in range(6):
        next(plans)
    assert lumps == [1, 4, 5]
    assert len(taken) == 10
