"""Which dataset each global sample number draws from, and how often that dataset was drawn before.

The datasets are the leaves of a Huffman tree of their integer weights. At a node of weight W whose left child weighs
a, the first k draws send floor((k a + floor(W / 2)) / W) to the left. Every count is therefore an exact function of
the sample number: never more than 2 from its ideal, nothing is starved, any number can be asked for in any order.
"""

import heapq
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import MixtureError, SettingError

ALGORITHM = 1
"""Grows when the same seed and mixture would give another stream."""
WEIGHT_SUM = 2**46
BLOCK = 2**16
"""Samples for which the tree's counters are kept; products of a weight and a place in a block fit in int64."""
MOST_SAMPLES = 2**43
"""Sample numbers stay below this, so that products of a draw and a share fit in int64."""
_CACHED_BLOCKS = 4


def rank_samples(step: int, batch_size: int, rank: int, world_size: int) -> range:
    """Global sample numbers of one rank at one step: [r G // W, (r + 1) G // W) of the batch of G samples.

    Raises:
        SettingError: a number is out of range.
    """
    if world_size < 1:
        raise SettingError(f"world size {world_size} is not possible: at least 1 rank is wanted")
    if not 0 <= rank < world_size:
        raise SettingError(f"rank {rank} of {world_size} does not exist: ranks are 0 to {world_size - 1}")
    if step < 0 or batch_size < 1:
        raise SettingError(f"step {step} with a batch of {batch_size}: a step from 0 and a batch from 1 are wanted")
    if (step + 1) * batch_size > MOST_SAMPLES:
        raise SettingError(f"step {step:,} lies beyond sample {MOST_SAMPLES:,}, the last one that can be drawn")
    first = step * batch_size
    return range(first + rank * batch_size // world_size, first + (rank + 1) * batch_size // world_size)


def integer_weights(weights: Sequence[float]) -> list[int]:
    """Weights as integers that sum to exactly 2**46, each within 1 of its share.

    After 10**12 samples that is within 0.015 draws. A weight may become 0 only where its dataset's share of
    `MOST_SAMPLES` samples is less than one draw.

    Raises:
        MixtureError: no weight is positive.
    """
    if not sum(weights) > 0:
        raise MixtureError("all weights are zero: at least one dataset with a positive weight is wanted")
    ratios = [Fraction(weight) for weight in weights]
    scale = WEIGHT_SUM / sum(ratios)
    exact = [ratio * scale for ratio in ratios]
    result = [int(weight) for weight in exact]
    by_rest = sorted(range(len(exact)), key=lambda number: result[number] - exact[number])
    for number in by_rest[: WEIGHT_SUM - sum(result)]:
        result[number] += 1
    return result


class Tree:
    """The Huffman tree of one stage; nodes are numbered so that children come before their parents.

    Args:
        weights: relative weights of the datasets; those of 0 are never drawn.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        self.num_datasets = len(weights)
        integers = integer_weights(weights)
        heap = [(weight, dataset) for dataset, weight in enumerate(integers) if weight]
        heapq.heapify(heap)
        self._weight = list(integers)
        self._children: list[tuple[int, int]] = [(-1, -1)] * len(integers)
        while len(heap) > 1:
            (a, left), (b, right) = heapq.heappop(heap), heapq.heappop(heap)
            heapq.heappush(heap, (a + b, len(self._weight)))
            self._weight.append(a + b)
            self._children.append((left, right))
        self._root = heap[0][1]
        self._parent = {child: node for node, pair in enumerate(self._children) for child in pair}
        self._blocks: OrderedDict[int, _BlockStart] = OrderedDict()

    def counts(self, samples: int) -> list[int]:
        """How often each dataset is drawn among the first `samples` samples."""
        return self._counters(samples)[0][: self.num_datasets]

    def count(self, dataset: int, samples: int) -> int:
        """`counts(samples)[dataset]`, by way of the nodes above the dataset alone."""
        if not self._weight[dataset]:
            return 0
        path = [dataset]
        while path[-1] != self._root:
            path.append(self._parent[path[-1]])
        for node, child in zip(path[:0:-1], path[-2::-1], strict=True):
            left, _ = self._children[node]
            to_left = (samples * self._weight[left] + self._weight[node] // 2) // self._weight[node]
            samples = to_left if child == left else samples - to_left
        return samples

    def draw(self, samples: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The dataset of each sample, and how many samples before it had the same one; both int64 (N,)."""
        dataset, draw = np.empty_like(samples), np.empty_like(samples)
        number, within = np.divmod(samples, BLOCK)
        for one in np.unique(number).tolist():
            where = np.flatnonzero(number == one)
            dataset[where], draw[where] = self._block(one).draw(within[where])
        return dataset, draw

    def _counters(self, samples: int) -> tuple[list[int], list[int]]:
        """For every node: draws among the first `samples`, and the remainder of its division."""
        before, remainder = [0] * len(self._weight), [0] * len(self._weight)
        before[self._root] = samples
        for node in range(len(self._weight) - 1, self.num_datasets - 1, -1):
            left, right = self._children[node]
            weight = self._weight[node]
            to_left, remainder[node] = divmod(before[node] * self._weight[left] + weight // 2, weight)
            before[left], before[right] = to_left, before[node] - to_left
        return before, remainder

    def _block(self, number: int) -> "_BlockStart":
        block = self._blocks.get(number)
        if block is None:
            block = _BlockStart(self._root, self._weight, self._children, *self._counters(number * BLOCK))
            self._blocks[number] = block
            while len(self._blocks) > _CACHED_BLOCKS:
                self._blocks.popitem(last=False)
        return block


class _BlockStart:
    """The counters of all nodes at the start of a block of samples, as arrays."""

    def __init__(
        self, root: int, weight: list[int], children: list[tuple[int, int]], before: list[int], remainder: list[int]
    ) -> None:
        self._root = root
        self._weight = np.array(weight, np.int64)
        self._left, self._right = np.array(children, np.int64).T.copy()
        self._left_weight = np.where(self._left < 0, 0, self._weight[self._left])
        self._before, self._remainder = np.array(before, np.int64), np.array(remainder, np.int64)

    def draw(self, within: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Descend with all samples at once, level by level."""
        node = np.full(len(within), self._root, np.int64)
        place = within.copy()  # number of draws of `node` since the start of the block, before this sample
        active = np.flatnonzero(self._left[node] >= 0)
        while len(active):
            here, at = node[active], place[active]
            weight, left_weight = self._weight[here], self._left_weight[here]
            to_left, rest = np.divmod(self._remainder[here] + at * left_weight, weight)
            goes_left = rest + left_weight >= weight
            here = np.where(goes_left, self._left[here], self._right[here])
            node[active], place[active] = here, np.where(goes_left, to_left, at - to_left)
            active = active[self._left[here] >= 0]
        return node, self._before[node] + place


class Draws(Protocol):
    """What says which dataset a sample draws from: a `Sampler`, or `FirstWindows`."""

    def draw(self, samples: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The dataset of each sample and the number of its draw; int64 (N,)."""

    def counts(self, samples: int) -> list[int]:
        """How often each dataset is drawn among the first `samples` samples."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Weights that hold from one global sample number on."""

    first_sample: int
    weights: tuple[float, ...]


class Sampler:
    """A stream of draws over stages: counts run on from one stage into the next.

    Args:
        stages: ascending by first sample, the first one at 0, all with the same number of datasets.

    Raises:
        MixtureError: the stages are not in order.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        starts = [stage.first_sample for stage in stages]
        if not starts or starts[0] != 0 or any(a >= b for a, b in pairwise(starts)):
            raise MixtureError(f"stages start at samples {starts}: 0 first and ascending numbers are wanted")
        self._trees = [Tree(stage.weights) for stage in stages]
        self._starts = np.array(starts, np.int64)
        self._carried = np.zeros((len(stages), len(stages[0].weights)), np.int64)
        for number in range(1, len(stages)):
            spent = self._trees[number - 1].counts(starts[number] - starts[number - 1])
            self._carried[number] = self._carried[number - 1] + np.array(spent, np.int64)

    def draw(self, samples: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The dataset of each sample and the number of its draw, counted from 0 over the whole run; int64 (N,)."""
        stage = np.searchsorted(self._starts, samples, side="right") - 1
        dataset, draw = np.empty_like(samples), np.empty_like(samples)
        for number in np.unique(stage).tolist():
            where = np.flatnonzero(stage == number)
            drawn, place = self._trees[number].draw(samples[where] - self._starts[number])
            dataset[where], draw[where] = drawn, place + self._carried[number, drawn]
        return dataset, draw

    def counts(self, samples: int) -> list[int]:
        """How often each dataset is drawn among the first `samples` samples of the run."""
        number = int(np.searchsorted(self._starts, samples, side="right")) - 1
        here = self._trees[number].counts(samples - int(self._starts[number]))
        return [carried + count for carried, count in zip(self._carried[number].tolist(), here, strict=True)]

    def first_sample(self, dataset: int, draw: int, before: int) -> int | None:
        """The sample that is draw number `draw` of a dataset; None if it is not among the first `before`."""
        if self._count(dataset, before) <= draw:
            return None
        low, high = 0, before
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._count(dataset, middle) > draw else (middle, high)
        return high - 1

    def _count(self, dataset: int, samples: int) -> int:
        number = int(np.searchsorted(self._starts, samples, side="right")) - 1
        here = self._trees[number].count(dataset, samples - int(self._starts[number]))
        return int(self._carried[number, dataset]) + here
