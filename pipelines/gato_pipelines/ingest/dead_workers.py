"""What is said of a worker process that died: what ended it, and what it was working on.

Every worker process notes its element in a file while it works on it; the notes of the dead tell
the rest.
"""

import os
import re
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gato_data.errors import GatoError

_DIED = re.compile(r"a worker process died \((\S+), (-?\d+)\)")
_NOTE = "working-"
_CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)
_VMSTAT = Path("/proc/vmstat")


def died(worker: str, code: int) -> str:
    """What the watch of worker processes says, to be found in whatever Beam makes of it."""
    return f"a worker process died ({worker}, {code})"


@dataclass(frozen=True)
class TrackedCall:
    """A function whose element is noted while it runs, by the name that Beam gives the process."""

    function: Callable[[Any], None]
    folder: Path

    def __call__(self, element: Any) -> None:
        """Call the function."""
        note = self.folder / f"{_NOTE}{os.environ.get('WORKER_ID', '')}"
        # what the function writes itself says what is wrong with the folder
        with suppress(OSError):
            note.write_text(str(element))
        self.function(element)
        note.unlink(missing_ok=True)


class Deaths:
    """Explains the deaths of the workers of one run; made when it starts.

    Args:
        elements: that are worked on.
        name: what each is called.
        notes: the folder that `TrackedCall` writes into; None if there is none.
    """

    def __init__(self, elements: Iterable[Any], name: Callable[[Any], str], notes: Path | None) -> None:
        self._elements = {str(element): element for element in elements}
        self._name, self._notes = name, notes
        self._kills = _kills()
        if notes is not None:
            for note in notes.glob(f"{_NOTE}*"):
                note.unlink(missing_ok=True)

    def explain(self, text: str) -> GatoError | None:
        """The error for what Beam says; None if no worker died.

        Raises:
            KeyboardInterrupt: it was the user's Ctrl-C.
        """
        found = _DIED.search(text)
        if found is None:
            return None
        code = int(found[2])
        if code == -signal.SIGINT:
            raise KeyboardInterrupt
        what, advice = self._cause(code)
        part = self._part(found[1])
        at = f" at work on {part}" if part else ""
        return GatoError(f"a worker process{at} died ({what}): {advice}; finished shards are kept")

    def _part(self, worker: str) -> str:
        try:
            element = (self._notes / f"{_NOTE}{worker}").read_text() if self._notes else ""
        except OSError:
            return ""
        return self._name(self._elements[element]) if element in self._elements else ""

    def _cause(self, code: int) -> tuple[str, str]:
        """What ended it, and what to do."""
        again = "run the same command again"
        if code >= 0:
            return f"exit code {code}", f"{again}, and look at that input if it dies there once more"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        if -code in _CRASHES:
            return f"it crashed, {name}", f"{again}, and look at that input if it crashes there once more"
        if -code != signal.SIGKILL:
            return f"something ended it, {name}", again
        kills = _kills()
        if kills is None or self._kills is None:
            return f"it was killed, {name}, perhaps for want of memory", f"{again}, with fewer --workers if so"
        if kills > self._kills:
            return f"it was killed for want of memory, {name}", f"{again} with fewer --workers"
        return f"something killed it, {name}, and memory was not short", again


def _kills() -> int | None:
    """Processes that this machine has killed for want of memory since it started; None where it does not tell."""
    try:
        counted = dict(line.split() for line in _VMSTAT.read_text().splitlines())
        return int(counted["oom_kill"])
    except (OSError, KeyError, ValueError):
        return None
