"""JSON with a version number, of files that anybody may have written."""

from typing import TypeVar

import msgspec

from gato_schemas.errors import FormatError

T = TypeVar("T")


class VersionError(FormatError):
    """A file is of another version of its format."""


class _Versioned(msgspec.Struct):
    version: int | None = None


def decode_versioned(
    data: bytes, kind: type[T], version: int, *, name: str, noun: str, problem: str, advice: str = ""
) -> T:
    """Parse one JSON object of a known version.

    Args:
        data: the JSON.
        kind: what it is parsed into.
        version: the one this program reads.
        name: of the file, in errors.
        noun: what has the version, in errors: "index".
        problem: what is said of a file that is no such object: "is not a mixture file".
        advice: what to do with a file of another version.

    Raises:
        VersionError: it is of another version.
        FormatError: it is malformed.
    """
    try:
        found = msgspec.json.decode(data, type=_Versioned).version
        if found != version:
            raise VersionError(f"{name} has {noun} version {found}, this program reads version {version}{advice}")
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"{name} {problem} ({error})") from error
