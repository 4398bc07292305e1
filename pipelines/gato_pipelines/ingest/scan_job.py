"""The planning pass on a runner: one scan of every part, each a file that a continued run finds again."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from gato_data.errors import OutputError
from gato_data.files import write_durably
from gato_pipelines.files.find import root_of
from gato_pipelines.files.git_lfs import check_fetched
from gato_pipelines.files.unchanged import files_of, size_of
from gato_pipelines.ingest.runners import run_over
from gato_pipelines.ingest.settings import RunnerName
from gato_pipelines.ingest.shards import cannot_read, cannot_write
from gato_pipelines.registry.find import make_source
from gato_pipelines.registry.own import blamed
from gato_pipelines.remote.input import Mirror, files_here
from gato_pipelines.source import PartScan
from gato_schemas.index import Part

SMALL_SCAN, SMALL_WRITE = 2**28, 2**24
"""Bytes of input below which one process reads it all: starting several takes longer."""

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
    """The planning pass over all parts; every scan is a file in `work`, so that a continued run does not repeat it."""

    source: str
    settings: dict[str, Any]
    inputs: dict[str, Path]
    parts: list[Part]
    work: Path
    mirrors: Mapping[str, Mirror] = field(default_factory=dict)

    def run(
        self,
        runner: RunnerName,
        options: Sequence[str] = (),
        workers: int | None = None,
        again: Collection[PartKey] = (),
    ) -> list[PartScan]:
        """Scan every part on a runner; those in `again` even where there is a scan of them."""
        for number, part in enumerate(self.parts):
            if part_key(part) in again:
                self._file(number).unlink(missing_ok=True)
        todo = [number for number in range(len(self.parts)) if self._stored(number) is None]
        if todo:
            processes = local_workers(self.parts, SMALL_SCAN, workers)
            log = self.work / "workers.log"
            run_over(todo, self.scan, runner, options, processes, log, lambda number: self.parts[number].file)
        return [self._found(number) for number in range(len(self.parts))]

    def scan(self, number: int) -> None:
        """Scan one part, and leave the result in a file.

        Raises:
            InputError: the part cannot be read.
            OutputError: the result cannot be written.
        """
        content = msgspec.json.encode((self.parts[number], self.look(number)))
        try:
            write_durably(self._file(number), content)
        except OSError as error:
            raise cannot_write(error, self.work.parent) from error

    def look(self, number: int) -> PartScan:
        """Scan one part.

        Raises:
            InputError: the part cannot be read.
        """
        part, source = self.parts[number], make_source(self.source, self.settings)
        folder = self.inputs[part.input]
        try:
            with blamed(self.source, type(source)):
                size = size_of(source, folder, part)
                with files_here(self.mirrors, source, folder, part):
                    if part.input in self.mirrors:
                        check_fetched([root_of(folder) / name for name in files_of(source, folder, part)])
                    found = msgspec.structs.replace(source.scan(folder, part), size=size)
                return msgspec.json.decode(msgspec.json.encode(found), type=PartScan)  # what is of another type fails
        except OSError as error:
            raise cannot_read(error, part.file) from error

    @property
    def prefix(self) -> str:
        """What the names of all scans with these settings begin with."""
        settings = [self.source, asdict(make_source(self.source, self.settings))]  # type: ignore[call-overload]
        encoded = msgspec.json.encode(settings, enc_hook=str, order="deterministic")
        return f"scan-{hashlib.sha256(encoded).hexdigest()[:16]}-"

    def _file(self, number: int) -> Path:
        return self.work / f"{self.prefix}{number:05d}.json"

    def _found(self, number: int) -> PartScan:
        scan = self._stored(number)
        if scan is None:
            raise OutputError(
                f"what the workers found in {self.parts[number].file} is not in {self.work}: is it a folder that all "
                "of them share?"
            )
        return scan

    def _stored(self, number: int) -> PartScan | None:
        """A finished scan of the same part; None where there is none."""
        try:
            part, scan = msgspec.json.decode(self._file(number).read_bytes(), type=tuple[Part, PartScan])
        except (OSError, msgspec.MsgspecError):
            return None
        return scan if part == self.parts[number] and scan.size == self._size(number) else None

    def _size(self, number: int) -> int | None:
        part = self.parts[number]
        return size_of(make_source(self.source, self.settings), self.inputs[part.input], part)
