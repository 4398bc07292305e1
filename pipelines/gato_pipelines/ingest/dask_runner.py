"""Beam's Dask runner with work for every worker: an element a task, and each for the worker that had it before."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from math import ceil
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pipeline import Pipeline
from apache_beam.runners.dask.dask_runner import DaskOptions, DaskRunner, DaskRunnerResult
from apache_beam.runners.dask.overrides import dask_overrides

MAX_TASKS = 1 << 12
"""Tasks of a pass, which Dask's scheduler keeps in memory; where there are more elements, a task has several."""


@dataclass
class _Seats:
    """Which worker of a scheduler had which element last."""

    scheduler: str = ""
    workers: dict[Hashable, str] = field(default_factory=dict)


_seats = _Seats()


class SpreadDaskRunner(DaskRunner):  # type: ignore[misc]
    """Runs a pipeline over these elements on all workers of a cluster.

    A task is meant for the worker that had its element in the pass before, and still has what it read for it; or
    else for one after the other. A worker without work takes what is meant for another, and so do the
    others when one is lost.
    """

    def __init__(self, elements: Sequence[Hashable]) -> None:
        super().__init__()
        self._elements = elements

    def run_pipeline(self, pipeline: Pipeline, options: PipelineOptions) -> DaskRunnerResult:
        """Submit the tasks of a pipeline."""
        dask, distributed = import_module("dask"), import_module("distributed")

        asked: dict[str, Any] = options.view_as(DaskOptions).get_all_options(drop_default=True, current_only=True)
        cut = DaskOptions._extract_bag_kwargs(asked)
        count = len(self._elements)
        size = cut.get("partition_size") or max(ceil(count / cut.get("npartitions", MAX_TASKS)), 1)
        client = distributed.Client(**asked)
        pipeline.replace_all(dask_overrides())
        visitor = self.to_dask_bag_visitor({"partition_size": size})
        pipeline.visit(visitor)
        (last,) = dask.optimize(list(visitor.bags.values())[-1])
        shares = [self._elements[start : start + size] for start in range(0, count, size)]
        workers = _wanted(client, shares)
        futures = [
            client.compute(task, **({"workers": [worker], "allow_other_workers": True} if worker else {}))
            for task, worker in zip(last.to_delayed(), workers, strict=True)
        ]
        return _Result(client, futures, shares)


def _wanted(client: Any, shares: Sequence[Sequence[Hashable]]) -> list[str]:
    """A worker for every task; empty names where none has come yet."""
    known = client.scheduler_info(n_workers=-1)
    if known["id"] != _seats.scheduler:
        _seats.scheduler, _seats.workers = known["id"], {}
    workers = sorted(known["workers"])
    if not workers:
        return [""] * len(shares)
    before = [_seats.workers.get(share[0], "") for share in shares]
    return [seat if seat in known["workers"] else workers[number % len(workers)] for number, seat in enumerate(before)]


class _Result(DaskRunnerResult):  # type: ignore[misc]
    """Waits for the tasks, notes who had them, and takes leave of the cluster."""

    def __init__(self, client: Any, futures: Sequence[Any], shares: Sequence[Sequence[Hashable]]) -> None:
        super().__init__(client, futures)
        self._shares = shares

    def wait_until_finish(self, duration: float | None = None) -> str:
        """Wait for the last of them; raises what one raised."""
        try:
            state: str = super().wait_until_finish(duration)
            holders = self.client.who_has(self.futures)
            for future, share in zip(self.futures, self._shares, strict=True):
                for holder in holders.get(future.key, ())[:1]:
                    _seats.workers.update(dict.fromkeys(share, holder))
            return state
        finally:
            self.client.close()
