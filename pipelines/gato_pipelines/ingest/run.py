"""The ingest pipeline, top to bottom: parts -> plan -> one shard per part and split -> manifest.

    parts       what the source finds in the input
    scan        a first pass over all parts, without decoding images      (Beam: Create | Reshuffle | Map)
    plan        what needs all parts: fields, final-step policy, tables
    write       read, tokenize and write the shards of each part          (Beam: Create | Reshuffle | Map)
    commit      merge the indexes, write the manifest last

A part's shards depend on the part and the job alone, so any runner and any number of workers gives the same bytes, and
a run that was interrupted continues with the parts that are not finished.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from gato_data.errors import InputError
from gato_data.report.account import headed_line
from gato_data.vocabulary import Vocabulary
from gato_pipelines.files.git_lfs import fetched_parts, unfetched
from gato_pipelines.ingest.commit import without_dead_letters
from gato_pipelines.ingest.families import check_family
from gato_pipelines.ingest.fingerprint import Decided, decide, vocabulary_of
from gato_pipelines.ingest.inputs import find_inputs
from gato_pipelines.ingest.output import check_ours, dataset_name, kept_nothing, work_folder
from gato_pipelines.ingest.places import Places, check_apart, fitting, places
from gato_pipelines.ingest.planning import check_observation_tokens, make_plan
from gato_pipelines.ingest.progress import Watcher, scan_progress, watching
from gato_pipelines.ingest.retry import buried_parts
from gato_pipelines.ingest.scan_job import ScanJob
from gato_pipelines.ingest.settings import IngestSettings
from gato_pipelines.ingest.shards import WORK, Job
from gato_pipelines.ingest.summary import Summary
from gato_pipelines.ingest.unreadable import Unreadable, find_unreadable, try_documents
from gato_pipelines.ingest.writing import Writing
from gato_pipelines.registry.find import make_source
from gato_pipelines.registry.own import blamed
from gato_pipelines.remote.input import Mirror
from gato_pipelines.source import PartScan, Plan, Source
from gato_schemas.index import Part


@dataclass(frozen=True)
class DryRun:
    """What an ingest would do.

    Attributes:
        plan: of the dataset.
        fingerprint: of all that decides its bytes.
        vocabulary: of its tokens.
        unreadable: episodes that cannot be read.
        bad_start: why none of the first documents can be read; empty where one can.
    """

    plan: Plan
    fingerprint: str
    vocabulary: Vocabulary
    unreadable: Unreadable
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
        InputError, OutputError: as `run`, as far as it can be told without writing; or no episode can be read.
    """
    made = make_source(source, settings)
    ingest = _as_source_says(made, ingest)
    with places(made, inputs, out) as found, blamed(source, type(made)):
        check_ours(found.out)
        folders = find_inputs(made, found.inputs)
        check_apart(found, folders.values())
        parts, mirrors = _parts(source, made, settings, folders), _mirrors(found, folders)
        scan = ScanJob(source, dict(settings), folders, parts, found.out / WORK, mirrors)
        scans = [scan.look(number) for number in range(len(parts))]
        plan = _plan(made, scans, folders, ingest)
        tries = made.reads_documents and not mirrors
        bad_start = try_documents(made, folders, plan) if tries else ""
    vocabulary, _ = vocabulary_of(plan, ingest.text_model, ingest.discrete_ids)
    fingerprint = _decide(source, made, plan, vocabulary, ingest).fingerprint
    return DryRun(plan, fingerprint, vocabulary, find_unreadable(scans, plan), bad_start)


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
        inputs: folders or files, or addresses such as s3://bucket/folder; a pattern such as `recordings/*` stands for
            all that match it.
        out: the dataset's folder, created if need be, or its address.
        ingest: everything else.
        report: called with a line of what was found out.
        watcher: is shown how far it is.

    Raises:
        InputError: an input is missing, empty, or not what the source reads.
        OutputError: `out` is not ours, holds another dataset, cannot be written, or too many episodes are bad.
        MissingPackageError: a package for an address is not installed.
    """
    made = make_source(source, settings)
    ingest = fitting(_as_source_says(made, ingest), inputs, out)
    with places(made, inputs, out) as found, blamed(source, type(made)):
        if ingest.retry_dead_letters and (whole := without_dead_letters(found.out)) is not None:
            report(f"{out} has no dead letters: there is nothing to try again")
            return whole
        again = buried_parts(found.out) if ingest.retry_dead_letters else set()
        folders = find_inputs(made, found.inputs)
        check_apart(found, folders.values())
        parts, mirrors = _parts(source, made, settings, folders), _mirrors(found, folders)
        before = found.output.names() if found.output is not None else set()
        fruitless = not (ingest.overwrite or ingest.retry_dead_letters) and kept_nothing(found.out)
        with work_folder(found.out, overwrite=ingest.overwrite or fruitless):
            if fruitless:
                report("an earlier try kept no episode and makes way")
            if found.output is not None:
                found.output.drop(before)
            scan = ScanJob(source, dict(settings), folders, parts, found.out / WORK, mirrors)
            with watching(scan_progress(found.out / WORK, scan.prefix, len(parts)), watcher):
                scans = scan.run(ingest.runner, ingest.beam_options, ingest.workers, again)
            plan = _plan(made, scans, folders, ingest)
            for note in (*plan.notes, *(note for note in plan.expected if note.kind == "left-out")):
                report(headed_line(note))
            job, decided = _job(source, made, settings, folders, found.out, plan, ingest)
            job = replace(job, mirrors=mirrors, output=found.output)
            writing = Writing(job, made, scans, decided, ingest, report, watcher)
            return writing.retry() if ingest.retry_dead_letters else writing.all()


def _mirrors(found: Places, folders: Mapping[str, Path]) -> dict[str, Mirror]:
    return {name: found.mirrors[path] for name, path in folders.items() if path in found.mirrors}


def _job(
    source: str,
    made: Source,
    settings: Mapping[str, Any],
    folders: Mapping[str, Path],
    out: Path,
    plan: Plan,
    ingest: IngestSettings,
) -> tuple[Job, Decided]:
    vocabulary, model = vocabulary_of(plan, ingest.text_model, ingest.discrete_ids)
    decided = _decide(source, made, plan, vocabulary, ingest)
    job = Job(
        source=source,
        settings=dict(settings),
        inputs=dict(folders),
        out=out,
        name=ingest.name or dataset_name(out),
        plan=plan,
        tokenize=ingest.tokenize,
        vocabulary=vocabulary,
        encoding=ingest.encoding,
        text_model=model,
        holdout=ingest.holdout,
        libraries=decided.libraries,
        fingerprint=decided.fingerprint,
    )
    return job, decided


def _decide(source: str, made: Source, plan: Plan, vocabulary: Vocabulary, ingest: IngestSettings) -> Decided:
    return decide(source, made, plan, vocabulary, ingest.tokenize, ingest.encoding, ingest.holdout)


def _as_source_says(source: Source, ingest: IngestSettings) -> IngestSettings:
    """The settings with what the source's own ones say of tokenizing."""
    if (end := source.end_of_text) is None:
        return ingest
    return replace(ingest, tokenize=replace(ingest.tokenize, end_of_text_documents=end))


def _parts(source: str, made: Source, settings: Mapping[str, Any], folders: Mapping[str, Path]) -> list[Part]:
    """The parts of all inputs, in their order; a family that is given is not checked."""
    parts = []
    for name, folder in folders.items():
        found = fetched_parts(made, folder)
        if "family" not in settings:
            check_family(made, source, folder)
        if not found:
            raise InputError(f"{folder} has no episodes: nothing was written")
        parts += [msgspec.structs.replace(part, input=name) for part in found]
    return parts


def _plan(source: Source, scans: Sequence[PartScan], folders: Mapping[str, Path], ingest: IngestSettings) -> Plan:
    notes = [note for folder in folders.values() for note in unfetched(source, folder)]
    notes += [note for folder in folders.values() for note in source.notes(folder)]
    plan = make_plan(scans, source, ingest.max_episodes, notes)
    check_observation_tokens(plan, ingest.tokenize.max_observation_tokens)
    return plan
