"""An ingest after its planning pass: write what is not finished, or holds dead letters; commit."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from gato_data.errors import GatoError
from gato_data.printable import counted
from gato_pipelines.documents.texts.duplicates import write_duplicates
from gato_pipelines.ingest.agreement import Agreement
from gato_pipelines.ingest.append import commit_grown, resume, stage, take_place
from gato_pipelines.ingest.array_task import ArrayTask
from gato_pipelines.ingest.commit import commit, write_files
from gato_pipelines.ingest.complete import already_complete
from gato_pipelines.ingest.growth import copies, grown_job, open_parent
from gato_pipelines.ingest.job import Job, finished
from gato_pipelines.ingest.job_file import leave_job
from gato_pipelines.ingest.output import claim, make_way, release, unclaim
from gato_pipelines.ingest.progress import Watcher, WriteProgress, following, watching
from gato_pipelines.ingest.retry import check_better, move_in, plan_retry, staged, to_write
from gato_pipelines.ingest.runners import run_over
from gato_pipelines.ingest.scan_job import SMALL_WRITE, local_workers
from gato_pipelines.ingest.shared_folder import clear_parts
from gato_pipelines.ingest.summary import Summary, Unfinished, warnings_of
from gato_pipelines.source import PartScan, Plan
from gato_schemas.dataset import WORK
from gato_schemas.index import index_path


@dataclass(frozen=True)
class DatasetWriter:
    """Writes the dataset of a job.

    Attributes:
        job: what is written.
        scans: what the planning pass found.
        report: called with a line of what was found out.
        watcher: is shown how far it is.
    """

    job: Job
    scans: Sequence[PartScan]
    report: Callable[[str], None]
    watcher: Watcher | None

    def write(self) -> Summary:
        """Write what is not finished, and commit."""
        job = self.job
        if (complete := already_complete(job)) is not None:
            complete = self._relicensed(complete)
            release(job.out)
            if job.remote is not None:
                job.remote.tidy()
            return complete
        self._claim()
        self._leave_out_duplicates(job.out)
        parts = len(job.plan.parts)
        todo = [number for number in range(parts) if finished(job, number) is None]
        self.report(_what(job.plan, parts - len(todo)))
        self._write(job, todo)
        return replace(self._commit(), finished_before=parts - len(todo))

    def share(self, task: ArrayTask, agreement: Agreement) -> Summary | Unfinished:
        """Write the parts of one task of an array, and commit where nothing is missing then."""
        job = self.job
        if (complete := already_complete(job)) is not None:
            complete = self._relicensed(complete)
            unclaim(job.out)
            if job.remote is not None:
                job.remote.tidy()
            return complete
        agreement.check("plan", job.recipe.values)
        claim(job, f"remove {job.out} to start again")
        if job.remote is not None:
            job.remote.note_claim()
        self._leave_out_duplicates(job.out)
        parts, mine = len(job.plan.parts), task.mine(len(job.plan.parts))
        clear_parts(job.out, mine)
        todo = [number for number in mine if finished(job, number) is None]
        self.report(f"{_what(job.plan, 0)}: task {task} writes {len(todo):,} of its {len(mine):,}")
        self._write(job, todo, task)
        if missing := self._missing():
            return Unfinished(task, parts, tuple(missing))
        return replace(self._commit(shared=True), finished_before=parts - len(todo))

    def _missing(self) -> list[int]:
        """The numbers of the parts that are not finished where the dataset belongs."""
        job = self.job
        parts = range(len(job.plan.parts))
        names = set(os.listdir(job.out)) if job.remote is None else job.remote.indexes()
        missing = [n for n in parts if not all(index_path(job.shard(n, split)).name in names for split in job.splits)]
        if missing:
            return missing
        if job.remote is not None:
            job.remote.pull()
        return [number for number in parts if finished(job, number) is None]

    def retry(self) -> Summary:
        """Make the shards anew that hold dead letters, and commit."""
        job = self.job
        retry = plan_retry(job, self.scans)
        self._claim()
        fresh = staged(job)
        (fresh.out / WORK).mkdir(parents=True, exist_ok=True)
        self._leave_out_duplicates(fresh.out)
        parts, anew = len(job.plan.parts), len(retry.parts)
        self.report(
            f"{counted(retry.letters, 'episode')} left out so far: {anew:,} of "
            f"{counted(parts, 'part')} {'are' if anew != 1 else 'is'} made anew"
        )
        self._write(fresh, to_write(job, retry))
        left = check_better(job, retry)
        move_in(job, retry)
        used = max(retry.letters - left, 0)
        self.report(f"{used:,} of {retry.letters:,} could be used now")
        return replace(self._commit(), finished_before=parts - anew)

    def append(self) -> Summary:
        """Write the shards of further inputs, and let the grown dataset take the place of the one that is there."""
        job = self.job
        resume(job.out)
        parent = open_parent(job)
        grown = grown_job(job, parent, self.scans)
        stage(grown, parent)
        parts, old = len(grown.plan.parts), len(parent.manifest.splits["train"].shards)
        todo = [number for number in range(parts) if finished(grown, number) is None]
        self.report(f"{counted(parts - old, 'part')} behind {old:,}, {parts - old - len(todo):,} finished already")
        self._write(grown, todo)
        again, new = copies(grown, parent)
        if new and again == new:
            release(job.out)
            self.report(f"{job.out} has all of these episodes already: nothing was appended")
            return Summary(parent.manifest, warnings_of(parent.manifest), was_complete=True)
        if again:
            self.report(f"{again:,} of {counted(new, 'new episode')} stand in {job.out} already, and now twice")
        summary = take_place(job.out, parent.manifest, commit_grown(grown, parent))
        release(job.out)
        return replace(summary, finished_before=parts - len(todo))

    def _relicensed(self, complete: Summary) -> Summary:
        """A complete dataset with the licence that is asked for."""
        licence, manifest = self.job.settings.licence, complete.manifest
        if licence in ("", manifest.source.licence):
            return complete
        manifest = msgspec.structs.replace(manifest, source=msgspec.structs.replace(manifest.source, licence=licence))
        write_files(self.job, manifest, self.job.out / WORK)
        if self.job.remote is not None:
            self.job.remote.push_rest()
        self.report(f"the licence is {licence} now")
        return replace(complete, manifest=manifest)

    def _claim(self) -> None:
        """Note what the dataset is made with and what planning found, where the dataset belongs."""
        remote = self.job.remote
        before = remote.names() if remote is not None else set()
        if differed := make_way(self.job):
            self.report(f"an earlier try with other settings finished nothing and makes way ({differed})")
        claim(self.job)
        if remote is not None:
            if differed:
                remote.drop(before)
            remote.push_claim()

    def _commit(self, *, shared: bool = False) -> Summary:
        remote = self.job.remote
        try:
            summary = commit(self.job, shared=shared)
        except GatoError:
            if remote is not None:
                remote.push_dead_letters()
            raise
        if remote is not None:
            remote.push_rest()
        return summary

    def _leave_out_duplicates(self, out: Path) -> None:
        if duplicates := write_duplicates(self.scans, out / WORK):
            self.report(f"{duplicates:,} documents occurred before and are left out")

    def _write(self, job: Job, todo: Sequence[int], task: ArrayTask | None = None) -> None:
        if not todo:
            return
        parts, settings = job.plan.parts, job.settings
        mine = range(len(parts)) if task is None else task.mine(len(parts))
        notes = job.out / WORK / (task.folder if task is not None else "")
        _forget(job, todo)
        work = leave_job(job)
        with watching(following(job.work, settings.engine, WriteProgress(job, todo, mine)), self.watcher):
            run_over(
                todo,
                work.write,
                settings.engine,
                settings.beam_options,
                local_workers(parts, SMALL_WRITE, settings.workers),
                notes / "workers.log",
                lambda number: parts[number].file,
            )
        if job.remote is not None and settings.engine != "local":
            job.remote.follow()


def _forget(job: Job, todo: Sequence[int]) -> None:
    """Remove the indexes of shards that are about to be replaced: what is not there any more has to be made."""
    stale = [index_path(job.shard(number, split)) for number in todo for split in job.splits]
    gone = [path for path in stale if path.exists()]
    for path in gone:
        path.unlink()
    if job.remote is not None and gone:
        job.remote.remove([path.name for path in gone])


def _what(plan: Plan, done: int) -> str:
    """How much is written."""
    episodes = counted(sum(part.count for part in plan.parts), "episode")
    text = f"{episodes} in {counted(len(plan.parts), 'part')}"
    return f"{text}, {done:,} of them finished already" if done else text
