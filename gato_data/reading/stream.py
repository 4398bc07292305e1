"""Batches ahead of their use: threads fill a ring of buffers, in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Lock, Thread

from gato_data.reading.batch import Batch
from gato_data.reading.buffers import Buffers
from gato_data.reading.plan import BatchPlan

PLANNED_SAMPLES = 4096
"""Samples planned at a time, in the end: enough for the cost of planning to be that of arrays."""
ANNOUNCED_BYTES, ANNOUNCED_SAMPLES = 2**28, 512
"""How far ahead of the threads the kernel is told what will be read, whichever is less."""


def plan_ahead(ranges: Iterable[range], plan: Callable[[list[range]], list[BatchPlan]]) -> Iterator[BatchPlan]:
    """Plan ranges for as long as there are some: one, so that the first batch need not wait, then more at a time."""
    remaining = iter(ranges)
    wanted = 1
    while lump := list(islice(remaining, 1)):
        while sum(map(len, lump)) < wanted and (more := list(islice(remaining, 1))):
            lump += more
        yield from plan(lump)
        wanted = min(4 * sum(map(len, lump)), PLANNED_SAMPLES)


def announce_ahead(plans: Iterator[BatchPlan], announce: Callable[[BatchPlan], None], most: int) -> Iterator[BatchPlan]:
    """The same plans; each is announced some time before it is handed on, more and more up to `most` samples."""
    waiting: deque[BatchPlan] = deque()
    held = handed_on = 0
    for plan in plans:
        announce(plan)
        waiting.append(plan)
        held += len(plan.sample)
        while held > min(most, 2 * handed_on) and len(waiting) > 1:
            held -= len(waiting[0].sample)
            handed_on += len(waiting[0].sample)
            yield waiting.popleft()
    yield from waiting


class _PendingBatch:
    """One batch to be filled, by whichever thread claims it first."""

    __slots__ = ("_claimed", "_done", "_fill", "batch", "buffers", "error", "plan")

    def __init__(self, fill: Callable[[BatchPlan, Buffers], Batch], plan: BatchPlan, buffers: Buffers) -> None:
        self._fill, self.plan, self.buffers = fill, plan, buffers
        self.batch: Batch | None = None
        self.error: BaseException | None = None
        self._claimed, self._done = Lock(), Lock()
        self._done.acquire()

    def run(self) -> bool:
        """Fill it, unless another thread does; an error is kept for the one who asks for the batch."""
        if not self._claimed.acquire(blocking=False):
            return False
        try:
            self.batch = self._fill(self.plan, self.buffers)
        except BaseException as error:
            self.error = error
        self._done.release()
        return True

    def result(self) -> Batch:
        """The batch; filled here and now if no thread has begun with it."""
        if not self.run():
            self._done.acquire()
        if self.error is not None:
            raise self.error
        assert self.batch is not None
        return self.batch


def _work(jobs: "SimpleQueue[_PendingBatch | None]") -> None:
    while (job := jobs.get()) is not None:
        job.run()


def stream_batches(
    plans: Iterator[BatchPlan],
    fill: Callable[[BatchPlan, Buffers], Batch],
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
        threads: that fill ahead, may be 0; who asks for a batch that none of them has begun fills it himself.
    """
    free: list[Buffers] = []
    pending: deque[_PendingBatch] = deque()
    jobs: SimpleQueue[_PendingBatch | None] = SimpleQueue()
    workers = [Thread(target=_work, args=(jobs,), daemon=True, name=f"gato-read-{n}") for n in range(threads)]
    for worker in workers:
        worker.start()
    try:
        following = next(plans, None)
        while following is not None or pending:
            while following is not None and len(pending) < min(slots(len(following.sample)), threads + 1):
                pending.append(_PendingBatch(fill, following, _take(free, len(following.sample), make_buffers)))
                jobs.put(pending[-1])
                following = next(plans, None)
            job = pending.popleft()
            yield job.result()
            free.append(job.buffers)
    finally:
        with suppress(Empty):  # a worker may take the last one in between
            while True:
                jobs.get_nowait()
        for _ in workers:
            jobs.put(None)
        for worker in workers:
            worker.join()


def _take(free: list[Buffers], rows: int, make_buffers: Callable[[int], Buffers]) -> Buffers:
    """Buffers with room for `rows`; smaller ones are given up."""
    while free:
        buffers = free.pop()
        if buffers.rows >= rows:
            return buffers
    return make_buffers(max(rows, 1))
