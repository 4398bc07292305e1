"""`log.jsonl`, the log of a run, read back: what is no line of a log is told apart, never guessed at."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec

from gato_trainer.run.folder import replace_file

LOG_FILE = "log.jsonl"


_Step = Annotated[int, msgspec.Meta(ge=0, lt=2**43)]


class _Measured(msgspec.Struct, frozen=True):
    """What every line with losses has; there is more in it.

    Attributes:
        step: optimizer steps done.
        loss: None where nothing was supervised.
        dataset_loss: by name.
    """

    step: _Step
    loss: float | None
    dataset_loss: dict[str, float | None]


class TrainLine(_Measured, frozen=True, tag_field="kind", tag="train"):
    """Losses of the steps since the line before."""


class ValidationLine(_Measured, frozen=True, tag_field="kind", tag="validation"):
    """An evaluation."""


class SkippedLine(msgspec.Struct, frozen=True, tag_field="kind", tag="skipped"):
    """Windows of a step that were left out."""

    step: _Step
    windows: list[dict[str, Any]]


LogLine = TrainLine | ValidationLine | SkippedLine
_DECODER = msgspec.json.Decoder(LogLine)


def read_log(out: Path) -> Iterator[tuple[bytes, LogLine | None]]:
    """Every line of a run's log, and what it says: None if it is damaged. A run without a log has no line."""
    try:
        with open(out / LOG_FILE, "rb") as stream:
            for line in stream:
                yield line.rstrip(b"\n"), _parse(line)
    except FileNotFoundError:
        return


def _parse(line: bytes) -> LogLine | None:
    try:
        found: LogLine = _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return found


def trim_log(out: Path, step: int) -> int:
    """Drop lines after `step`, which a continued run writes again, and damaged ones.

    Returns:
        How many were damaged; the last one, which a kill may have cut short, does not count.
    """
    lines = list(read_log(out))
    kept = [line for line, found in lines if found is not None and found.step <= step]
    if lines:
        replace_file(out / LOG_FILE, b"".join(line + b"\n" for line in kept))
    return sum(found is None for _, found in lines[:-1])


def last_evaluation(out: Path, step: int) -> dict[str, Any] | None:
    """The last evaluation of a run until a step; None if there is none."""
    last = b""
    for line, found in read_log(out):
        if isinstance(found, ValidationLine) and found.step <= step:
            last = line
    return msgspec.json.decode(last, type=dict[str, Any]) if last else None


def last_record(out: Path) -> dict[str, Any]:
    """The last training line of the log; empty if there is none."""
    last = b""
    for line, found in read_log(out):
        if isinstance(found, TrainLine):
            last = line
    record: dict[str, Any] = msgspec.json.decode(last) if last else {}
    return {name: value for name, value in record.items() if name != "kind"}
