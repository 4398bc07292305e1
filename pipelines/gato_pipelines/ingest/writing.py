"""An ingest after its planning pass: write what is not finished, or what holds dead letters, and commit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from gato_data.errors import GatoError
from gato_pipelines.documents.texts.duplicates import write_duplicates
from gato_pipelines.ingest.commit import already_complete, commit
from gato_pipelines.ingest.fingerprint import Decided
from gato_pipelines.ingest.output import claim, make_way, release
from gato_pipelines.ingest.progress import Watcher, WriteProgress, watching
from gato_pipelines.ingest.retry import check_better, move_in, plan_retry, staged, to_write
from gato_pipelines.ingest.runners import run_over
from gato_pipelines.ingest.scan_job import SMALL_WRITE, local_workers
from gato_pipelines.ingest.settings import IngestSettings
from gato_pipelines.ingest.shards import WORK, Job, finished, write_part
from gato_pipelines.ingest.summary import Summary
from gato_pipelines.source import PartScan, Plan, Source


@dataclass(frozen=True)
class Writing:
    """An ingest after its planning pass.

    Attributes:
        job: what is written.
        source: of the job.
        scans: what the planning pass found.
        decided: what the dataset is made with.
        ingest: what was asked for.
        report: called with a line of what was found out.
        watcher: is shown how far it is.
    """

    job: Job
    source: Source
    scans: Sequence[PartScan]
    decided: Decided
    ingest: IngestSettings
    report: Callable[[str], None]
    watcher: Watcher | None

    def all(self) -> Summary:
        """Write what is not finished, and commit."""
        if (complete := already_complete(self.job, self.source)) is not None:
            release(self.job.out)
            if self.job.output is not None:
                self.job.output.tidy()
            return complete
        self._claim()
        self._leave_out_duplicates(self.job.out)
        parts = self.job.plan.parts
        todo = [number for number in range(len(parts)) if finished(self.job, number) is None]
        done = len(parts) - len(todo)
        self.report(_progress(self.job.plan, done))
        self._write(self.job, todo)
        return replace(self._commit(), finished_before=done)

    def retry(self) -> Summary:
        """Make the shards anew that hold dead letters, and commit."""
        retry = plan_retry(self.job, self.source, self.scans)
        self._claim()
        fresh = staged(self.job)
        (fresh.out / WORK).mkdir(parents=True, exist_ok=True)
        self._leave_out_duplicates(fresh.out)
        parts, anew = len(self.job.plan.parts), len(retry.parts)
        self.report(
            f"{retry.letters:,} episode{'s' * (retry.letters != 1)} left out so far: {anew:,} of {parts:,} "
            f"part{'s' * (parts != 1)} {'are' if anew != 1 else 'is'} made anew"
        )
        self._write(fresh, to_write(self.job, retry))
        left = check_better(self.job, retry, self.ingest.max_bad)
        move_in(self.job, retry)
        self.report(f"{max(retry.letters - left, 0):,} of {retry.letters:,} could be used now")
        return replace(self._commit(), finished_before=parts - anew)

    def _claim(self) -> None:
        """Note what the dataset is made with, and what the planning pass found, where the dataset belongs."""
        output = self.job.output
        before = output.names() if output is not None else set()
        if differed := make_way(self.job, self.decided.values):
            self.report(f"an earlier try with other settings finished nothing and makes way ({differed})")
        claim(self.job, self.decided.values)
        if output is not None:
            if differed:
                output.drop(before)
            output.push_claim()
            output.push_scans()

    def _commit(self) -> Summary:
        output = self.job.output
        try:
            summary = commit(self.job, self.source, self.ingest.max_bad)
        except GatoError:
            if output is not None:
                output.push_dead_letters()
            raise
        if output is not None:
            output.push_rest()
        return summary

    def _leave_out_duplicates(self, out: Path) -> None:
        if duplicates := write_duplicates(self.scans, out / WORK):
            self.report(f"{duplicates:,} documents occurred before and are left out")

    def _write(self, job: Job, todo: Sequence[int]) -> None:
        if not todo:
            return
        ingest, log = self.ingest, job.out / WORK / "workers.log"
        parts = job.plan.parts
        processes = local_workers(parts, SMALL_WRITE, ingest.workers)
        with watching(WriteProgress(job, todo), self.watcher):
            function = partial(write_part, job)
            run_over(
                todo, function, ingest.runner, ingest.beam_options, processes, log, lambda number: parts[number].file
            )


def _progress(plan: Plan, done: int) -> str:
    episodes, parts = sum(part.count for part in plan.parts), len(plan.parts)
    text = f"{episodes:,} episode{'s' * (episodes != 1)} in {parts:,} part{'s' * (parts != 1)}"
    return f"{text}, {done:,} of them finished already" if done else text
