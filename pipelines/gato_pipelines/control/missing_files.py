"""Files of a split that are not there: refused, or counted where a user allows it."""

from collections.abc import Sequence

from gato_data.errors import InputError
from gato_data.printable import counted
from gato_pipelines.containers.container import Container, File
from gato_schemas.account import Note

MAX_NAMES = 3
"""Names of missing files in one line of the account."""


def present_files(container: Container, files: Sequence[File], *, allowed: bool) -> list[File]:
    """The files that are there.

    Args:
        container: the input.
        files: all that are wanted.
        allowed: whether some may be missing.

    Raises:
        InputError: some are although they may not, or all are.
    """
    lost = [file for file in files if file.missing]
    if lost and (len(lost) == len(files) or not allowed):
        why = lost[0].missing if lost[0].name in lost[0].missing else f"{lost[0].name}: {lost[0].missing}"
        be, them = ("is", "it") if len(lost) == 1 else ("are", "them")
        advice = "" if len(lost) == len(files) else f", or go on without {them} with --allow-missing-shards"
        raise InputError(
            f"{len(lost)} of {counted(len(files), 'file')} of {container.label} {be} missing, with {_episodes(lost)} "
            f"({why}): restore {them}{advice}"
        )
    return [file for file in files if not file.missing]


def missing_notes(container: Container, files: Sequence[File]) -> list[Note]:
    """The files that are not there, in one note."""
    lost = [file for file in files if file.missing]
    names = ", ".join(file.name for file in lost[:MAX_NAMES])
    more = f" and {len(lost) - MAX_NAMES} more" if len(lost) > MAX_NAMES else ""
    text = f"files of {container.label} are not there, with {_episodes(lost)}: {names}{more}"
    return [Note("missing", text, len(lost))] if lost else []


def _episodes(files: Sequence[File]) -> str:
    counts = [file.num_episodes for file in files if file.num_episodes is not None]
    return counted(sum(counts), "episode") if len(counts) == len(files) else "an unknown number of episodes"
