"""What a user is told whose input cannot be read, or whose output cannot be written."""

from pathlib import Path

from gato_data.errors import InputError, OutputError


def cannot_write(error: OSError, out: Path) -> OutputError:
    """The disk is full, or the folder is closed to the user."""
    reason = error.strerror or type(error).__name__
    return OutputError(
        f"{out} cannot be written ({reason}): free space or mend its permissions, then run the "
        "same command again; finished shards are kept"
    )


def cannot_read(error: OSError, file: str) -> InputError:
    """No episode is lost by it: the part is read again."""
    reason = error.strerror or type(error).__name__
    return InputError(f"{file} cannot be read ({reason}): mend that, then run the same command again")
