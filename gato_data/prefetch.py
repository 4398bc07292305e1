"""Batches ahead of their use: threads fill a ring of buffers, in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from gato_data.batch import Batch
from gato_data.buffers import Buffers
from gato_data.plan import Plan

PLANNED_SAMPLES = 4096
"""Samples planned at a time: enough for the cost of planning to be that of arrays."""
ANNOUNCED_BYTES = 2**28
"""How far ahead of the threads the kernel is told what will be read."""


def plan_ahead(ranges: Iterable[range], plan: Callable[[list[range]], list[Plan]]) -> Iterator[Plan]:
    """Plan several ranges at once, for as long as there are some."""
    remaining = iter(ranges)
    while lump := list(islice(remaining, 1)):
        while sum(map(len, lump)) < PLANNED_SAMPLES and (more := list(islice(remaining, 1))):
            lump += more
        yield from plan(lump)


def announce_ahead(
    plans: Iterator[Plan], announce: Callable[[Plan], None], batch_bytes: Callable[[int], int]
) -> Iterator[Plan]:
    """The same plans; each is announced before several others are handed on."""
    waiting: deque[Plan] = deque()
    held = 0
    for plan in plans:
        announce(plan)
        waiting.append(plan)
        held += batch_bytes(len(plan.sample))
        while held > ANNOUNCED_BYTES and len(waiting) > 1:
            held -= batch_bytes(len(waiting[0].sample))
            yield waiting.popleft()
    yield from waiting


def stream_batches(
    plans: Iterator[Plan],
    fill: Callable[[Plan, Buffers], Batch],
    make_buffers: Callable[[int], Buffers],
    slots: Callable[[int], int],
    threads: int,
) -> Iterator[Batch]:
    """Fill plans in order; a batch's buffers are used again once the next one is asked for.

    Args:
        plans: what to read.
        fill: reads a plan into buffers.
        make_buffers: for so many rows.
        slots: how many buffers of so many rows may exist.
        threads: that fill.
    """
    free: list[Buffers] = []
    pending: deque[tuple[Future[Batch], Buffers]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="gato-read")
    try:
        following = next(plans, None)
        while following is not None or pending:
            while following is not None and len(pending) < min(slots(len(following.sample)), threads + 1):
                buffers = _take(free, len(following.sample), make_buffers)
                pending.append((pool.submit(fill, following, buffers), buffers))
                following = next(plans, None)
            future, buffers = pending.popleft()
            yield future.result()
            free.append(buffers)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _take(free: list[Buffers], rows: int, make_buffers: Callable[[int], Buffers]) -> Buffers:
    """Buffers with room for `rows`; smaller ones are given up."""
    while free:
        buffers = free.pop()
        if buffers.rows >= rows:
            return buffers
    return make_buffers(max(rows, 1))
