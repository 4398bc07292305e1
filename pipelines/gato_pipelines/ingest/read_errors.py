"""Episodes that cannot be read, as far as planning sees it: a dry run says so beforehand."""

from collections.abc import Sequence
from dataclasses import dataclass

from gato_data.errors import InputError
from gato_pipelines.ingest.inputs import InputFolders
from gato_pipelines.ingest.scan_job import part_key
from gato_pipelines.source import PartScan, Plan, Source

_TRIED = 20
"""Documents, or pictures of them, that are tried before it is told that none can be read."""


@dataclass(frozen=True, slots=True)
class ReadErrors:
    """How many of all episodes cannot be read, and why the first of them cannot."""

    count: int = 0
    of: int = 0
    first: str = ""


def find_read_errors(scans: Sequence[PartScan], plan: Plan) -> ReadErrors:
    """Episodes of the plan that cannot be read.

    Raises:
        InputError: all of them.
    """
    wanted = {part_key(part): part.count for part in plan.parts}
    bad = [scan for scan in scans if scan.unreadable and part_key(scan.part) in wanted]
    count = sum(min(scan.unreadable, wanted[part_key(scan.part)]) for scan in bad)
    first = ""
    if bad:
        file, reason = bad[0].part.file, bad[0].reason
        # which says where by itself
        first = reason.partition(": ")[2] if file in reason else f"{file}, {reason}"
    found = ReadErrors(count, sum(wanted.values()), first)
    if found.count and found.count == found.of:
        raise InputError(f"no episode can be read (the first of {found.count}: {found.first})")
    return found


def try_documents(source: Source, inputs: InputFolders, plan: Plan) -> str:
    """Why the first of the documents cannot be read, where none of the first ones can; empty where one can.

    Raises:
        InputError: none of all can.
    """
    tried, first = 0, ""
    for part in plan.parts:
        for item in source.read(inputs.folder(part), part, plan.tasks[part.task]):
            if item.content is not None:
                return ""
            if item.error is None:
                continue
            first = first or f"{part.file}, {item.key}: {item.error}"
            tried += 1
            if tried == _TRIED:
                return first
    if tried:
        raise InputError(f"no episode can be read (the first of {tried}: {first})")
    return ""
