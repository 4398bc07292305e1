"""The ingest pipeline, top to bottom: parts -> plan -> one shard per part and split -> manifest.

    parts       what the source finds in the input
    scan        a first pass over all parts, without decoding images  (Beam: Create | Reshuffle | Map)
    plan        what needs all parts: fields, final-step policy, tables
    write       read, tokenize and write the shards of each part      (Beam: Create | Reshuffle | Map)
    commit      merge the indexes, write the manifest last

A part's shards depend on the part and the job alone, so any runner and any number of workers gives
the same bytes, and a run that was interrupted continues with the parts that are not finished.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from gato_data.dataset_names import dataset_name
from gato_data.errors import InputError, SettingError
from gato_data.report.account import headed_line
from gato_pipelines.files.git_lfs import fetched_parts, unfetched
from gato_pipelines.ingest.chosen_source import ChosenSource
from gato_pipelines.ingest.complete import without_dead_letters
from gato_pipelines.ingest.dataset_writer import DatasetWriter
from gato_pipelines.ingest.families import check_looks
from gato_pipelines.ingest.fingerprint import Recipe, make_recipe
from gato_pipelines.ingest.growth import grown_job, open_parent
from gato_pipelines.ingest.inputs import InputFolders
from gato_pipelines.ingest.job import Job
from gato_pipelines.ingest.output import check_ours, kept_nothing, work_folder
from gato_pipelines.ingest.places import Places, fitting, places
from gato_pipelines.ingest.planning import check_observation_tokens, make_plan
from gato_pipelines.ingest.progress import Watcher, following, scan_progress, watching
from gato_pipelines.ingest.read_errors import ReadErrors, find_read_errors, try_documents
from gato_pipelines.ingest.retry import buried_parts
from gato_pipelines.ingest.scan_job import ScanJob
from gato_pipelines.ingest.settings import IngestSettings
from gato_pipelines.ingest.summary import Summary
from gato_pipelines.source import PartScan, Plan, Source
from gato_schemas.index import Part


@dataclass(frozen=True)
class DryRun:
    """What an ingest would do.

    Attributes:
        plan: of the dataset.
        recipe: all that decides its bytes, and its fingerprint.
        unreadable: episodes that cannot be read.
        bad_start: why none of the first documents can be read; empty where one can.
    """

    plan: Plan
    recipe: Recipe
    unreadable: ReadErrors
    bad_start: str = ""


def plan_only(
    source: str,
    settings: Mapping[str, Any],
    inputs: Path | str | Sequence[Path | str],
    out: Path | str,
    ingest: IngestSettings,
) -> DryRun:
    """Scan the inputs and decide, without writing anything.

    Raises:
        InputError, OutputError, MixtureError: as `run`, as far as it can be told without writing; or no episode
            can be read.
    """
    chosen = ChosenSource(source, settings)
    ingest = as_source_says(chosen.made, ingest)
    with places(chosen.made, inputs, out) as found, chosen.blamed():
        check_ours(found.out)
        scan = planning_pass(chosen, found)
        scans = [scan.scan(number) for number in range(len(scan.parts))]
        plan = decide(scan, scans, ingest)
        if ingest.append:
            job = make_job(scan, plan, ingest, found)
            grown_job(job, open_parent(job), scans)
        tries = chosen.made.reads_documents and not scan.inputs.mirrors
        bad_start = try_documents(chosen.made, scan.inputs, plan) if tries else ""
    recipe = make_recipe(chosen, plan, ingest)
    return DryRun(plan, recipe, find_read_errors(scans, plan), bad_start)


def run(
    source: str,
    settings: Mapping[str, Any],
    inputs: Path | str | Sequence[Path | str],
    out: Path | str,
    ingest: IngestSettings,
    report: Callable[[str], None] = lambda line: None,
    watcher: Watcher | None = None,
) -> Summary:
    """Turn the episodes of one or several inputs into a dataset in `out`, or continue doing so.

    Args:
        source: name of the source.
        settings: the source's settings; those not given have their defaults.
        inputs: folders or files, or addresses such as s3://bucket/folder; a pattern such as
            `recordings/*` stands for all that match it.
        out: the dataset's folder, created if need be, or its address.
        ingest: everything else.
        report: called with a line of what was found out.
        watcher: is shown how far it is.

    Raises:
        InputError: an input is missing, empty, or not what the source reads.
        OutputError: `out` is not ours, holds another dataset, cannot be written, or too many
            episodes are bad.
        MixtureError: what is to be appended does not go with what is there.
        MissingPackageError: a package for an address is not installed.
        SettingError: the runner is "array", whose tasks are for `run_task`.
    """
    if ingest.runner == "array":
        raise SettingError("runner array does one task of several: call run_task")
    chosen = ChosenSource(source, settings)
    ingest = fitting(as_source_says(chosen.made, ingest), inputs, out)
    with places(chosen.made, inputs, out) as found, chosen.blamed():
        retries = ingest.retry_dead_letters
        if retries and (whole := without_dead_letters(found.out)) is not None:
            report(f"{out} has no dead letters: there is nothing to try again")
            return whole
        again = buried_parts(found.out) if retries else set()
        scan = planning_pass(chosen, found)
        before = found.remote.names() if found.remote is not None else set()
        is_fruitless = not (ingest.overwrite or retries or ingest.append) and kept_nothing(found.out)
        with work_folder(found.out, overwrite=ingest.overwrite or is_fruitless, remote=found.remote):
            if is_fruitless:
                report("an earlier try kept no episode and makes way")
            if found.remote is not None:
                found.remote.drop(before)
            if ingest.runner != "local":
                for mirror in found.mirrors.values():
                    mirror.leave_list()
            look = following(scan.work, ingest.engine, scan_progress(scan.work.folder, scan.prefix, len(scan.parts)))
            with watching(look, watcher):
                scans = scan.run(ingest, again)
            plan = decide(scan, scans, ingest)
            report_notes(plan, report)
            writer = DatasetWriter(make_job(scan, plan, ingest, found), scans, report, watcher)
            if ingest.append:
                return writer.append()
            return writer.retry() if retries else writer.write()


def report_notes(plan: Plan, report: Callable[[str], None]) -> None:
    """Say what was assumed, passed over or is missing."""
    for note in plan.notes + [note for note in plan.expected if note.kind == "left-out"]:
        report(headed_line(note))


def planning_pass(source: ChosenSource, found: Places) -> ScanJob:
    """The planning pass over the parts of all inputs."""
    inputs = found.find(source.made)
    return ScanJob(source, inputs, _parts(source, inputs), found.work)


def make_job(scan: ScanJob, plan: Plan, ingest: IngestSettings, found: Places) -> Job:
    """All that the shards of every part are made by."""
    return Job(
        source=scan.source,
        settings=ingest,
        plan=plan,
        recipe=make_recipe(scan.source, plan, ingest),
        inputs=scan.inputs,
        out=found.out,
        name=ingest.name or dataset_name(found.out),
        remote=found.remote,
    )


def as_source_says(source: Source, ingest: IngestSettings) -> IngestSettings:
    """The settings with what the source's own ones say of tokenizing."""
    if (end := source.end_of_text) is None:
        return ingest
    return replace(ingest, tokenize=replace(ingest.tokenize, end_of_text_documents=end))


def _parts(source: ChosenSource, inputs: InputFolders) -> list[Part]:
    """The parts of all inputs, in their order; a family that is given is not checked."""
    parts = []
    for name, folder in inputs.folders.items():
        found = fetched_parts(source.made, folder)
        if "family" not in source.settings:
            check_looks(source.made, source.name, folder)
        if not found:
            raise InputError(f"{folder} has no episodes: nothing was written")
        parts += [msgspec.structs.replace(part, input=name) for part in found]
    return parts


def decide(scan: ScanJob, scans: Sequence[PartScan], ingest: IngestSettings) -> Plan:
    """What needs all parts."""
    source, folders = scan.source.made, scan.inputs.folders.values()
    notes = [note for folder in folders for note in unfetched(source, folder)]
    notes += [note for folder in folders for note in source.notes(folder)]
    plan = make_plan(scans, source, ingest.max_episodes, notes)
    check_observation_tokens(plan, ingest.tokenize.max_observation_tokens)
    return plan
