"""That all tasks of an array do the same: each leaves a note of what it does where the others look.

A note is put there before the others are looked at, so of two that differ at least one sees the
other, whatever the store; its name tells its task and the hash of its content, so that a listing is
enough where all agree.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from gato_data.errors import GatoError, OutputError
from gato_data.files import write_durably
from gato_data.remote.folder import RemoteFolder
from gato_pipelines.ingest.array_task import ArrayTask
from gato_pipelines.ingest.output import difference
from gato_schemas.dataset import WORK

TASKS = "tasks"
"""Folder of the notes, in the work folder."""
_NOTE = re.compile(r"(asked|plan)-(\d{5,})-of-(\d{5,})-([0-9a-f]{16})\.json")

About: TypeAlias = Literal["asked", "plan"]
"""What a note is of: what a task was given, or what it decided for the whole dataset."""


@dataclass(frozen=True)
class Agreement:
    """The notes of one task, and those that it finds.

    Attributes:
        task: whose they are.
        out: the dataset's folder.
        there: where the dataset belongs; None where that is `out`.
    """

    task: ArrayTask
    out: Path
    there: RemoteFolder | None

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Begin without notes of an earlier run, and leave none where this one fails."""
        self._forget()
        try:
            yield
        except BaseException:
            with suppress(OSError, GatoError):
                self._forget()
            raise

    def check(self, about: About, values: Mapping[str, Any]) -> None:
        """Note what this task does, and check that no other one does something else.

        Raises:
            OutputError: another one does; says what, or that it counts other tasks.
        """
        content = msgspec.json.encode(values, order="deterministic")
        digest = hashlib.sha256(content).hexdigest()[:16]
        self._put(f"{about}-{self.task.number:05d}-of-{self.task.of:05d}-{digest}.json", content)
        for name, found in self._notes():
            if found[1] != about:
                continue
            other = ArrayTask(int(found[2]), int(found[3]))
            if other.of != self.task.of:
                raise OutputError(
                    f"{self.out} is written by {other.of} tasks, and this one is {self.task}: give every task the same "
                    f"N{self._advice}"
                )
            if found[4] != digest and (theirs := self._read(name)) is not None:
                differs = difference(msgspec.json.decode(theirs), msgspec.json.decode(content))
                raise OutputError(
                    f"task {other} of {self.out} does something else than {self.task} ({differs}): give all tasks the "
                    f"same input, settings and versions{self._advice}"
                )

    def begun(self) -> set[int]:
        """The numbers of the tasks that have begun."""
        return {int(found[2]) for _, found in self._notes()}

    @property
    def _advice(self) -> str:
        return f", or remove {self.out / WORK / TASKS} where no other one is running any more"

    @property
    def _folder(self) -> Path:
        return self.out / WORK / TASKS

    @property
    def _notes_there(self) -> RemoteFolder | None:
        return None if self.there is None else RemoteFolder(f"{self.there.address}/{WORK}/{TASKS}")

    def _notes(self) -> list[tuple[str, re.Match[str]]]:
        there = self._notes_there
        names = sorted(path.name for path in self._folder.iterdir()) if there is None else list(there.sizes())
        return [(name, found) for name in names if (found := _NOTE.fullmatch(name))]

    def _put(self, name: str, content: bytes) -> None:
        write_durably(self._folder / name, content)
        if self._notes_there is not None:
            self._notes_there.put(self._folder / name, name)

    def _read(self, name: str) -> bytes | None:
        """A note; None where its task has just failed and taken it away."""
        try:
            there = self._notes_there
            return (self._folder / name).read_bytes() if there is None else there.read(name)
        except (OSError, GatoError):
            return None

    def _forget(self) -> None:
        self._folder.mkdir(exist_ok=True)
        mine = [name for name, found in self._notes() if int(found[2]) == self.task.number]
        for name in mine:
            (self._folder / name).unlink(missing_ok=True)
        if self._notes_there is not None:
            self._notes_there.remove(mine)
