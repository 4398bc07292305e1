"""The cache of records: what is needed last goes first, its bound, processes that share it, what a killed one left."""

import multiprocessing
import os
import signal
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

import gato_data
from gato_data.remote.cache_file import PAGE
from gato_data.remote.mirror import at_hand
from gato_data.remote.record_cache import RecordCache
from gato_schemas.dataset import read_manifest
from tests.gato_data.reading.folders import episodes, write_dataset

BOUND = 2**20


@pytest.fixture
def address(tmp_path: Path) -> str:
    """A dataset of 40 records of some pages each, at an address of this machine."""
    write_dataset(tmp_path / "there" / "pong", {"train": [episodes("pong", [30] * 40, seed=2)]}, encoding="raw")
    return f"local://{tmp_path}/there/pong"


@pytest.fixture
def shard(address: str, tmp_path: Path) -> Path:
    """Its shard, as it lies in the cache."""
    folder = at_hand(address, tmp_path / "cache")
    return folder / read_manifest(folder).splits["train"].shards[0].name


def touch(cache: RecordCache, shard: Path, record: int) -> None:
    number = cache.number(shard)
    start, stop = cache.span((number, record))
    data = bytearray(stop - start)
    assert cache.read(number, start, memoryview(data)) == len(data)


def optimal(uses: list[int], room: int) -> int:
    """Fetches of the best there can be: what is needed last goes."""
    kept: set[int] = set()
    fetches = 0
    for at, record in enumerate(uses):
        if record in kept:
            continue
        fetches += 1
        if len(kept) == room:
            following = {each: next((n for n in range(at, len(uses)) if uses[n] == each), len(uses)) for each in kept}
            kept.remove(max(following, key=lambda each: (following[each], each)))
        kept.add(record)
    return fetches


def least_recent(uses: list[int], room: int) -> int:
    kept: OrderedDict[int, None] = OrderedDict()
    fetches = 0
    for record in uses:
        if record in kept:
            kept.move_to_end(record)
            continue
        fetches += 1
        if len(kept) == room:
            kept.popitem(last=False)
        kept[record] = None
    return fetches


def test_what_is_needed_last_goes_first(shard: Path, tmp_path: Path) -> None:
    cache = RecordCache(tmp_path / "records", BOUND)
    number = cache.number(shard)
    longest = max(np.diff(cache.span((number, record)))[0] for record in range(40)) // PAGE + 2
    room = BOUND // PAGE // int(longest)
    assert 2 < room < 20
    uses = [int(n) for epoch in range(3) for n in np.random.default_rng(epoch).permutation(40)]
    for time, record in enumerate(uses):
        cache.expect([(number, record)], time)
    for time, record in enumerate(uses):
        touch(cache, shard, record)
        cache.used([(number, record)], time)
        assert cache.held <= BOUND
    assert cache.requests <= optimal(uses, room) < least_recent(uses, room)


def test_what_lies_on_the_disk_is_what_it_counts(shard: Path, tmp_path: Path) -> None:
    cache = RecordCache(tmp_path / "records", BOUND)
    for record in np.random.default_rng(5).integers(0, 40, 200).tolist():
        touch(cache, shard, record)
        files = [path for path in (tmp_path / "records").rglob("*") if path.is_file() and path.name != "lock"]
        assert sum(path.stat().st_blocks * 512 for path in files) <= cache.held <= BOUND


def read_all(address: str, cache: Path, size: int, out: Path) -> None:
    with gato_data.open(address, cache=cache) as dataset:
        batches = dataset.batches(context_length=64, batch_size=4, seed=1, cache_size=size)
        np.save(out, np.concatenate([batch.tokens for batch in batches]))


def read_until_killed(address: str, cache: Path) -> None:
    with gato_data.open(address, cache=cache) as dataset:
        batches = dataset.batches(context_length=64, batch_size=4, seed=1, cache_size=BOUND)
        for number, _ in enumerate(batches):
            if number == 6:
                os.kill(os.getpid(), signal.SIGKILL)


def test_two_processes_share_a_folder(address: str, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    outs = [tmp_path / f"{number}.npy" for number in range(2)]
    workers = [context.Process(target=read_all, args=(address, tmp_path / "cache", 2**20, out)) for out in outs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    with gato_data.open(tmp_path / "there" / "pong") as dataset:
        batches = dataset.batches(context_length=64, batch_size=4, seed=1)
        wanted = np.concatenate([batch.tokens for batch in batches])
    for out in outs:
        np.testing.assert_array_equal(np.load(out), wanted)
    held = [path for path in (tmp_path / "cache").glob("records-*/*") if path.name != "lock"]
    assert {path.parent.name for path in held} <= {"records-0", "records-1"}
    for folder in {path.parent for path in held}:
        assert sum(path.stat().st_blocks * 512 for path in held if path.parent == folder) <= 2**20


def test_what_a_killed_process_left_is_used(address: str, shard: Path, tmp_path: Path) -> None:
    worker = multiprocessing.get_context("spawn").Process(target=read_until_killed, args=(address, tmp_path / "cache"))
    worker.start()
    worker.join(120)
    assert worker.exitcode == -signal.SIGKILL
    cache = RecordCache(tmp_path / "cache", 2**24)
    whole = shard.stat().st_size
    assert 0 < cache.held <= BOUND < whole
    for record in range(40):
        touch(cache, shard, record)
    assert 0 < cache.fetched < whole
    cache.close()
    again = RecordCache(tmp_path / "cache", 2**24)
    damaged = next(path for path in (tmp_path / "cache" / "records-0").iterdir() if path.name != "lock")
    with damaged.open("r+b") as file:
        file.seek(whole // 2)
        file.write(b"damage")
    for record in range(40):
        touch(again, shard, record)
    assert again.requests == 1  # what does not match its checksum is fetched anew
