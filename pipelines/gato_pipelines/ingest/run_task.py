"""One ingest by several processes that share nothing but the output folder: what one of them does.

    agree       with the other tasks on input and settings
    scan        its own parts, and what nobody else has scanned: all come to the same plan
    write       its own parts
    commit      where no part is missing then; of several that see this at once, each writes the same bytes

A task that is run again does what is left of its own parts, and commits if that was all.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec

from gato_data.errors import SettingError
from gato_pipelines.ingest.agreement import Agreement
from gato_pipelines.ingest.chosen_source import ChosenSource
from gato_pipelines.ingest.dataset_writer import DatasetWriter
from gato_pipelines.ingest.places import fitting, places
from gato_pipelines.ingest.progress import Watcher, scan_progress, watching
from gato_pipelines.ingest.run import as_source_says, decide, make_job, planning_pass, report_notes
from gato_pipelines.ingest.scan_job import ScanJob
from gato_pipelines.ingest.settings import IngestSettings
from gato_pipelines.ingest.shared_folder import shared_work_folder
from gato_pipelines.ingest.shared_scan import SharedScan
from gato_pipelines.ingest.summary import Summary, Unfinished
from gato_pipelines.source import recorded_settings


def run_task(
    source: str,
    settings: Mapping[str, Any],
    inputs: Path | str | Sequence[Path | str],
    out: Path | str,
    ingest: IngestSettings,
    report: Callable[[str], None] = lambda line: None,
    watcher: Watcher | None = None,
) -> Summary | Unfinished:
    """Do one task of an array; arguments as those of `run`, of which `ingest` names the task.

    Returns:
        the summary of the dataset where no part is missing any more, else which ones are.

    Raises:
        as `run`; and OutputError where another task does something else, or this one is running already.
    """
    task = ingest.which_task
    if task is None:
        raise SettingError("this is no task of an array: give runner array and a task, such as 1/4")
    chosen = ChosenSource(source, settings)
    ingest = fitting(as_source_says(chosen.made, ingest), inputs, out)
    with places(chosen.made, inputs, out) as found, chosen.blamed():
        alone = planning_pass(chosen, found)
        agreement = Agreement(task, found.out, None if found.remote is None else found.remote.remote)
        with shared_work_folder(found.out, task), agreement.noted():
            agreement.check("asked", _asked(alone, ingest))
            scan = SharedScan(**_fields(alone), agreement=agreement)
            with watching(scan_progress(scan.work.folder, scan.prefix, len(scan.parts)), watcher):
                scans = scan.run(ingest)
            plan = decide(scan, scans, ingest)
            report_notes(plan, report)
            writer = DatasetWriter(make_job(scan, plan, ingest, found), scans, report, watcher)
            return writer.share(task, agreement)


def _asked(scan: ScanJob, ingest: IngestSettings) -> dict[str, Any]:
    """What all tasks are to be given alike, as far as it is known without the planning pass."""
    digest = hashlib.sha256(msgspec.json.encode(scan.parts)).hexdigest()[:16]
    size = sum(part.size for part in scan.parts)
    return {
        "name": ingest.name,
        "source": scan.source.name,
        "settings": recorded_settings(scan.source.made),
        **ingest.deciding(),
        "max_episodes": ingest.max_episodes,
        "licence": ingest.licence,
        "inputs": list(scan.inputs.folders),
        "parts": {"bytes": size, "hash": digest, "number": len(scan.parts)},
    }


def _fields(scan: ScanJob) -> dict[str, Any]:
    return {entry.name: getattr(scan, entry.name) for entry in fields(scan)}
