"""The micro-batches of the coming steps, read and prepared in a thread while the device computes."""

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType

import torch

from gato_data.reading.batch import Batch
from gato_trainer.config import ModelConfig, TrainSettings
from gato_trainer.data.batches import BatchSource
from gato_trainer.data.inputs import Inputs, Randomness, prepare
from gato_trainer.data.padding import padded
from gato_trainer.data.skipped_steps import SkippedSteps
from gato_trainer.world import World


def micro_windows(settings: TrainSettings, world: World) -> int:
    """Windows of a step's largest micro-batch."""
    share = -(-settings.batch_size // world.size)
    return -(-share // -(-share // (settings.micro_batch_size or share)))


def micro_ranges(samples: range, settings: TrainSettings, world: World) -> list[range]:
    """This process's samples of a step, cut into micro-batches, as many on every process (some may be empty)."""
    share = world.share(samples)
    pieces = -(-len(samples) // (world.size * micro_windows(settings, world)))
    bounds = [index * len(share) // pieces for index in range(pieces + 1)]
    return [share[low:high] for low, high in pairwise(bounds)]


def read(source: BatchSource, ranges: Iterable[range], prepared: "Preparation") -> Iterator[Inputs]:
    """Read micro-batches for evaluation; an empty range becomes a window without supervised rows."""
    for samples in ranges:
        yield prepared(source.batch(_readable(samples)), samples, None)


def _readable(samples: range) -> range:
    """Processes must compute equally often, so one without samples computes on one that does not count."""
    return samples if len(samples) else range(1)


@dataclass(frozen=True, slots=True)
class Preparation:
    """How batches become tensors: as they are, or filled up to few shapes.

    Attributes:
        windows: that every micro-batch is filled up to, its other sizes to one of a few; None leaves batches as they
            are, which an uncompiled run on a CPU is fastest with.
        gathered: whether what stochastic depth skips is left out of the computation.
    """

    config: ModelConfig
    windows: int | None
    gathered: bool = True

    @classmethod
    def of(cls, settings: TrainSettings, config: ModelConfig, world: World) -> "Preparation":
        """That of a run."""
        static = world.device.type == "cuda" or settings.compiled_on(world.device.type)
        return cls(config, micro_windows(settings, world) if static else None, not settings.cuda_graph)

    def __call__(self, batch: Batch, samples: range, randomness_of: Randomness | None) -> Inputs:
        """The tensors of a batch that was read for some samples, maybe none."""
        inputs = prepare(batch, self.config, randomness_of)
        inputs = inputs if len(samples) else inputs.unsupervised()
        inputs = inputs if self.windows is None else padded(inputs, self.windows)
        return inputs.gathered(in_buckets=self.windows is not None) if self.gathered else inputs


def _use(device: torch.device) -> None:
    """Pinning memory in a thread would otherwise wake the first GPU of the machine."""
    if device.type == "cuda":
        torch.cuda.set_device(device)


class Feed:
    """The micro-batches of steps `start` to `stop` but skipped ones, read `settings.read_ahead` before they are needed.

    Attributes:
        waited: seconds that the caller spent waiting for data.
    """

    def __init__(
        self,
        source: BatchSource,
        settings: TrainSettings,
        config: ModelConfig,
        world: World,
        start: int,
        stop: int,
    ) -> None:
        self._settings, self._world = settings, world
        self._prepared = Preparation.of(settings, config, world)
        self._pinned = world.device.type == "cuda"
        skipped, steps = SkippedSteps.parse(settings.skip_steps), range(start, stop)
        self._steps = skipped.trained(steps)
        ranges = (samples for step in skipped.trained(steps) for samples in self._ranges(step))
        self._batches = source.stream(_readable(samples) for samples in ranges)
        # One thread: the stream is read in order; a reader with more threads brings its own.
        self._pool = ThreadPoolExecutor(
            max_workers=1, thread_name_prefix="read-ahead", initializer=_use, initargs=(world.device,)
        )
        self._queue: deque[Future[list[Inputs]]] = deque()
        self.waited = 0.0

    def __enter__(self) -> "Feed":
        for _ in range(self._settings.read_ahead):
            self._submit()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        if isinstance(self._batches, Generator):
            self._batches.close()

    def next(self) -> list[Inputs]:
        """The micro-batches of the next step.

        Raises:
            GatoError: the source failed to read them.
        """
        began = time.perf_counter()
        micro_batches = self._queue.popleft().result()
        self.waited += time.perf_counter() - began
        self._submit()
        return micro_batches

    def _submit(self) -> None:
        step = next(self._steps, None)
        if step is not None:
            self._queue.append(self._pool.submit(self._read, step))

    def _ranges(self, step: int) -> list[range]:
        size = self._settings.batch_size
        return micro_ranges(range(step * size, (step + 1) * size), self._settings, self._world)

    def _read(self, step: int) -> list[Inputs]:
        randomness_of = Randomness(self._settings.seed, step)
        prepared = [self._prepared(next(self._batches), samples, randomness_of) for samples in self._ranges(step)]
        return [inputs.pinned() for inputs in prepared] if self._pinned else prepared
