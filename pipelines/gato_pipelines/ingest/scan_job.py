"""The planning pass on a runner: one scan of every part, each a file that a continued run finds again."""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TypeAlias

import msgspec

from gato_data.errors import OutputError
from gato_pipelines.files.unchanged import size_of
from gato_pipelines.ingest.chosen_source import ChosenSource
from gato_pipelines.ingest.disk_errors import cannot_read, cannot_write
from gato_pipelines.ingest.inputs import InputFolders
from gato_pipelines.ingest.places import at_work
from gato_pipelines.ingest.runners import run_over
from gato_pipelines.ingest.settings import IngestSettings
from gato_pipelines.remote.output import RemoteOutput
from gato_pipelines.remote.work_files import WorkFiles, read_once
from gato_pipelines.source import PartScan
from gato_schemas.index import Part

SMALL_SCAN, SMALL_WRITE = 2**28, 2**24
"""Bytes of input below which one process reads it all: starting several takes longer."""

_PARTS = "parts.msgpack"

PartKey: TypeAlias = tuple[str, str, int]
"""Which part: its input, its file, and where in it it begins."""


def part_key(part: Part) -> PartKey:
    """Which part it is, whatever is in it."""
    return part.input, part.file, part.first


def local_workers(parts: Sequence[Part], small: int, asked: int | None) -> int | None:
    """Processes of the local runner: as asked, else one for a small input, else all cores (None)."""
    return asked or (1 if sum(part.size for part in parts) < small else None)


@dataclass(frozen=True)
class ScanJob:
    """The planning pass over all parts.

    Every scan is a file in the work folder, so that a continued run does not repeat it.
    """

    source: ChosenSource
    inputs: InputFolders
    parts: list[Part]
    work: WorkFiles

    def run(self, settings: IngestSettings, again: Collection[PartKey] = ()) -> list[PartScan]:
        """Scan every part on a runner; those in `again` even where there is a scan of them."""
        parts = enumerate(self.parts)
        self.work.forget([self.name(number) for number, part in parts if part_key(part) in again])
        found = [self.stored(number) for number in range(len(self.parts))]
        todo = [number for number, scan in enumerate(found) if scan is None]
        self.work.forget([self.name(number) for number in todo])
        if todo:
            self.run_over(todo, self._leave(travels=settings.engine != "local").write, settings, self.work.folder)
            if isinstance(self.work.out, RemoteOutput) and settings.engine != "local":
                self.work.out.follow()
        return [scan or self.written(number) for number, scan in enumerate(found)]

    def run_over(
        self, todo: Sequence[int], write: Callable[[int], None], settings: IngestSettings, notes: Path
    ) -> None:
        """Scan these parts on a runner, whose processes leave their log and notes in a folder."""
        if todo:
            processes = local_workers(self.parts, SMALL_SCAN, settings.workers)
            run_over(
                todo,
                write,
                settings.engine,
                settings.beam_options,
                processes,
                notes / "workers.log",
                lambda number: self.parts[number].file,
            )

    def _leave(self, *, travels: bool) -> "ScanFile":
        """Leave in the work folder what workers need to know."""
        try:
            digest = self.work.leave(_PARTS, msgspec.msgpack.encode(self.parts), travels=travels)
        except OSError as error:
            raise cannot_write(error, self.work.folder.parent) from error
        return ScanFile(self.source, self.inputs, self.work, digest)

    def write(self, number: int) -> None:
        """Scan one part, and leave the result in a file.

        Raises:
            InputError: the part cannot be read.
            OutputError: the result cannot be written.
        """
        content = msgspec.json.encode((self.parts[number], self.scan(number)))
        try:
            self.work.leave(self.name(number), content, travels=True)
        except OSError as error:
            raise cannot_write(error, self.work.folder.parent) from error

    def scan(self, number: int) -> PartScan:
        """Scan one part.

        Raises:
            InputError: the part cannot be read.
        """
        part = self.parts[number]
        try:
            with self.source.blamed():
                return self._scan(part)
        except OSError as error:
            raise cannot_read(error, part.file) from error

    def _scan(self, part: Part) -> PartScan:
        source, folder = self.source.made, self.inputs.folder(part)
        size = size_of(source, folder, part)
        with self.inputs.files_here(source, part, scans=True):
            found = msgspec.structs.replace(source.scan(folder, part), size=size)
        # What is of another type than it says fails here, and not in the file.
        return msgspec.json.decode(msgspec.json.encode(found), type=PartScan)

    @cached_property
    def prefix(self) -> str:
        """What the names of all scans with these settings begin with."""
        settings = [self.source.name, asdict(self.source.made)]  # type: ignore[call-overload]
        encoded = msgspec.json.encode(settings, enc_hook=str, order="deterministic")
        return f"scan-{hashlib.sha256(encoded).hexdigest()[:16]}-"

    def name(self, number: int) -> str:
        """Name of the file of a scan."""
        return f"{self.prefix}{number:05d}.json"

    def written(self, number: int) -> PartScan:
        """What a worker has left."""
        scan = self.stored(number)
        if scan is None:
            raise OutputError(
                f"what the workers found in {self.parts[number].file} is not in {self.work.folder}: is it "
                "a folder that all of them share?"
            )
        return scan

    def stored(self, number: int) -> PartScan | None:
        """A finished scan of the same part; None where there is none."""
        part = self.parts[number]
        try:
            content = (self.work.folder / self.name(number)).read_bytes()
            scanned, scan = msgspec.json.decode(content, type=tuple[Part, PartScan])
        except (OSError, msgspec.MsgspecError):
            return None
        size = size_of(self.source.made, self.inputs.folder(part), part)
        return scan if scanned == part and scan.size == size else None


@dataclass(frozen=True)
class ScanFile:
    """Stands for a planning pass on its way to workers; its parts lie in the work folder, with this digest."""

    source: ChosenSource
    inputs: InputFolders
    work: WorkFiles
    digest: str

    def write(self, number: int) -> None:
        """Scan one part, as `ScanJob.write`; a runner asks for it once more when it lost who has done it."""
        with at_work(self.inputs, self.work):
            parts = read_once(self.work, _PARTS, self.digest, partial(msgspec.msgpack.decode, type=list[Part]))
            job = ScanJob(self.source, self.inputs, parts, self.work)
            if not self.work.has(job.name(number)):
                job.write(number)
