"""The output folder of an array, which all of its tasks write to at the same time."""

import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from gato_data.errors import OutputError
from gato_pipelines.ingest.array_task import ArrayTask
from gato_pipelines.ingest.disk_errors import cannot_write
from gato_pipelines.ingest.output import LOCK, busy, check_ours, lock, release_unclaimed
from gato_schemas.dataset import WORK

_PATIENCE, _PAUSE = 10.0, 0.05
"""Seconds in which a task goes on asking for the lock, and between two times."""


@contextmanager
def shared_work_folder(out: Path, task: ArrayTask) -> Iterator[None]:
    """Hold `out` for one task of an array, beside the others; who leaves last clears up.

    Raises:
        OutputError: the folder holds something that is not ours, is in use by another ingest or by the same task, or
            cannot be written.
    """
    existed = out.exists()
    check_ours(out)
    own = out / WORK / task.folder
    try:
        with ExitStack() as held:
            _join(out, held)
            try:
                own.mkdir(exist_ok=True)
                held.enter_context(lock(own / LOCK, f"task {task} is writing to {out} already"))
                yield
            finally:
                held.close()
                _leave(out, existed=existed)
    except OSError as error:
        raise cannot_write(error, out) from error


def _join(out: Path, held: ExitStack) -> None:
    """Hold the lock of `out` together with others; a task that looks whether it is alone has it for a moment."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        (out / WORK).mkdir(parents=True, exist_ok=True)
        try:
            held.enter_context(lock(out / WORK / LOCK, busy(out), shared=True))
            return
        except (FileNotFoundError, OutputError) as error:
            if time.monotonic() > deadline:
                raise OutputError(str(error)) from error
        time.sleep(_PAUSE)


def _leave(out: Path, *, existed: bool) -> None:
    """Remove the work folder where nobody else is in it and nothing is unfinished."""
    with suppress(OutputError, FileNotFoundError), lock(out / WORK / LOCK, busy(out)):
        release_unclaimed(out, existed=existed)


def clear_parts(out: Path, numbers: Iterable[int]) -> None:
    """Remove what a killed task left half written of these parts."""
    for number in numbers:
        for path in (out / WORK).glob(f"part-{number:05d}-*"):
            shutil.rmtree(path, ignore_errors=True)
