"""Errors that workers send to the driver: one sentence, with the traceback as text.

Dask sends an error with its causes and the frames of all. Those of an endless recursion cannot be packed,
or not unpacked, and the driver then waits for ever, or gets another error than was raised.
"""

from collections.abc import Callable
from dataclasses import dataclass
from traceback import format_exception, format_exception_only
from typing import Any

from gato_data.errors import GatoError

_FIRST, _LAST = 40, 160
"""Lines of a traceback that are kept."""
_MAX_REASON = 300


class WorkerError(Exception):
    """An error as it was raised on a worker: the text of its traceback."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


@dataclass(frozen=True)
class SentErrors:
    """A function whose errors can be sent: a `GatoError` as it is, another as `worker_failed` says it."""

    function: Callable[[Any], None]

    def __call__(self, element: Any) -> None:
        """Call the function.

        Raises:
            GatoError: what it raised, with a `WorkerError` as cause.
        """
        try:
            self.function(element)
            return
        except Exception as error:
            lines = "".join(format_exception(error)).splitlines(keepends=True)
            failed = error if isinstance(error, GatoError) else worker_failed("".join(format_exception_only(error)))
        # Not in the handler above, which would chain the error with all its frames.
        failed.__context__ = None
        raise failed.with_traceback(None) from WorkerError("".join(_shortened(lines)))


def worker_failed(reason: str) -> GatoError:
    """What a user is told of an error that is none of ours."""
    said = " ".join(reason.split())[:_MAX_REASON]
    return GatoError(f"a worker failed ({said}): --debug shows where; finished shards are kept")


def _shortened(lines: list[str]) -> list[str]:
    left_out = len(lines) - _FIRST - _LAST
    return lines if left_out <= 0 else [*lines[:_FIRST], f"  ... {left_out} lines left out\n", *lines[-_LAST:]]
