"""Values out of untrusted JSON: what `json.loads` reads is read, and nothing is built but what is wanted."""

import re
from collections.abc import Callable, Sequence
from mmap import mmap
from typing import Any, TypeAlias, TypeVar

import msgspec

from gato_data.closest import closest
from gato_data.errors import EpisodeError

BOM = b"\xef\xbb\xbf"
NOT_UTF8 = "the text is not valid UTF-8"
Decode: TypeAlias = Callable[[bytes], tuple[str, str]]
"""From the bytes of one record to its text and id; raises EpisodeError."""
_T = TypeVar("_T")
_LIKELY = ("text", "content", "contents", "raw_content", "body", "document", "article", "code", "markdown", "passage")
_NAMED = 8
"""Keys of an object that a reason names."""
_BEYOND_MSGSPEC = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|-?Infinity|NaN', re.DOTALL)
"""Strings, so that nothing is found inside them, and the numbers that JSON does not have."""
_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}|(?P<half>u[dD][89a-fA-F][\da-fA-F]{2})|.)", re.DOTALL
)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_KINDS = {b"{": "an object", b"[": "a list", b"n": "null", b"t": "true", b"f": "false"}


def json_decoder(key: str) -> Decode:
    """A decoder of JSON objects that parses nothing but the text under a dotted key, and a top-level `id`."""
    names = key.split(".")
    kind: Any = str
    for name in reversed(names[1:]):
        kind = msgspec.defstruct("Inner", [("value", kind)], rename={"value": name})
    members: list[Any] = [("value", kind)]
    if names[0] != "id":
        members.append(("id", Any, None))
    decoder = msgspec.json.Decoder(msgspec.defstruct("Row", members, rename={"value": names[0]}))

    def decode(data: bytes) -> tuple[str, str]:
        data = data.removeprefix(BOM)
        if data.lstrip()[:1] == b"[":
            raise EpisodeError("the line is a list: JSON lines are wanted, one object each", stage="decode")
        try:
            text: Any = _decoded(decoder, data, halves=True)
        except msgspec.ValidationError:
            return _checked(_find(data, names), data), ""
        name = getattr(text, "id", None)
        for _ in names:
            text = text.value
        return _checked(text, data), str(name) if isinstance(name, str | int) else ""

    return decode


def _checked(text: str, data: bytes) -> str:
    """A text, if no half of a surrogate pair was mended in it."""
    if "\ufffd" in text and any(found["half"] for found in _ESCAPES.finditer(data)):
        raise EpisodeError("the text has half of a surrogate pair, which is no character", stage="decode")
    return text


def _find(data: bytes, names: Sequence[str]) -> str:
    """The text under nested names, where the last of several equal names counts."""
    where = f"there is no text under {'.'.join(names)!r}"
    for name in names:
        try:
            members = _decoded(_MEMBERS, data, halves=True)
        except msgspec.ValidationError as error:
            raise EpisodeError(f"{where}: {_kind(data)} stands where an object is wanted", stage="decode") from error
        if name not in members:
            texts = [key for key, value in members.items() if bytes(value)[:1] == b'"']
            raise EpisodeError(f"{where}: {lacking(name, list(members), texts)}", stage="decode")
        data = bytes(members[name])
    try:
        return _decoded(_TEXT, data, halves=True)
    except msgspec.ValidationError as error:
        raise EpisodeError(f"{where}: {_kind(data)} stands there", stage="decode") from error


def lacking(name: str, names: Sequence[str], texts: Sequence[str], what: str = "the object") -> str:
    """What there is instead of a name, and which of them may be meant.

    Args:
        name: that is not there.
        names: that are there.
        texts: those of them with a text.
        what: what has the names.
    """
    shown = ", ".join(repr(key[:60]) for key in names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    return f"{what} has {shown or 'no name at all'}{likely(name, texts)}"


def likely(name: str, texts: Sequence[str]) -> str:
    """Which of the names of texts may be meant by a name that is not there; empty where none."""
    usual = (key for key in texts if key.rpartition(".")[2].lower() in _LIKELY)
    found = closest(name, texts) or next(usual, None)
    return f" (--text-key {found[:60]} may be meant)" if found is not None else ""


def _kind(data: bytes) -> str:
    return _KINDS.get(data.lstrip()[:1], "a number")


def decode_json(decoder: "msgspec.json.Decoder[Any]", data: bytes, lacking: str) -> Any:
    """One JSON value of the decoder's type.

    Args:
        decoder: of the type wanted.
        data: UTF-8, perhaps with a byte order mark.
        lacking: what a value of another type is called.

    Raises:
        EpisodeError: the bytes are not UTF-8, not JSON, or of another type.
    """
    try:
        return _decoded(decoder, data)
    except msgspec.ValidationError as error:
        what = re.sub(r"\[\d+\]", "[...]", str(error))  # where in a list is no kind of reason
        raise EpisodeError(f"{lacking} ({what})", stage="decode") from error


def _decoded(decoder: "msgspec.json.Decoder[_T]", data: bytes, *, halves: bool = False) -> _T:
    """One JSON value; raises EpisodeError where it is none, msgspec's ValidationError where it is of another type."""
    data, what = data.removeprefix(BOM), ""
    while True:
        try:
            return decoder.decode(data)
        except msgspec.ValidationError:
            raise
        except UnicodeDecodeError as error:
            raise EpisodeError(NOT_UTF8, stage="decode") from error
        except (msgspec.DecodeError, RecursionError) as error:
            if what:
                raise EpisodeError(f"the line is not JSON ({what})", stage="decode") from error
            what = re.sub(r" \(byte \d+\)$", "", str(error)).removeprefix("JSON is malformed: ")
            data = as_msgspec_reads(data, halves=halves)


def as_msgspec_reads(data: bytes | mmap, *, halves: bool = False) -> bytes:
    """The same JSON without what `json.loads` reads and msgspec refuses: NaN and Infinity become null.

    With `halves`, halves of surrogate pairs become U+FFFD.
    """

    def mended(found: re.Match[bytes]) -> bytes:
        if found[0][:1] != b'"':
            return b"null"
        return _ESCAPES.sub(lambda e: rb"\ufffd" if e["half"] else e[0], found[0]) if halves else found[0]

    return _BEYOND_MSGSPEC.sub(mended, data)
