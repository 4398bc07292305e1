"""Addresses of what is not on this machine: `s3://bucket/folder`, `gs://bucket/folder`, whatever fsspec knows.

What an address holds of credentials is never shown.
"""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gato_data.errors import InputError

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_HUB = "https://huggingface.co/datasets/"
_LOGIN, _QUERY = re.compile(r"(?<=://)[^/\s@]+@"), re.compile(r"(\w://[^\s?'\"]+)\?[^\s'\",)]+")
_SECRET_LETTERS = 4
"""Shorter words stand in too many texts to be kept out of them."""
_SECRET_NAME = re.compile("auth|cred|key|pass|secret|sig|token", re.IGNORECASE)
_LONG = 20
"""Letters from which on a value of any name is taken for a secret: `split=train` is none."""
_SECRETS: set[str] = set()
"""What addresses held of credentials that were opened: packages quote parts of an address, too."""


def is_remote(place: Path | str) -> bool:
    """Whether a place is an address, such as s3://bucket/folder, and not a path; `file://` is a path."""
    return isinstance(place, str) and bool(_ADDRESS.match(place)) and not place.lower().startswith("file://")


def as_place(text: str) -> Path | str:
    """A path, or the address of something remote as it is.

    Raises:
        InputError: an address that names nothing, such as s3://, or that ends in "..".
    """
    if is_remote(text):
        return address_of(text)
    return Path(unquote(urlsplit(text).path)) if text.lower().startswith("file://") else Path(text)


def address_of(text: str) -> str:
    """An address without slashes at its end; what it holds of credentials is shown nowhere from now on.

    Raises:
        InputError: it names nothing, such as s3://, or ends in ".."; or is a page of the Hub.
    """
    note_secrets(text)
    if text.startswith(_HUB) and "/resolve/" not in text:  # which is a file
        name = "/".join(text.removeprefix(_HUB).split("/")[:2])
        raise InputError(
            f"{redacted(text)} is a page for people: give hf://datasets/{name}, which is where its files are"
        )
    protocol, _, rest = without_query(text).partition("://")
    if last_name(rest) in ("", ".", ".."):
        raise InputError(f"{redacted(text)} names no folder: give an address such as {protocol}://bucket/folder")
    return text.rstrip("/") if without_query(text) == text else text


def is_web(address: str) -> bool:
    """Whether an address is of a server of files, whose signatures and other questions stand behind a "?"."""
    return address.partition("://")[0].lower() in ("http", "https")


def without_query(address: str) -> str:
    """An address without what stands behind the name of its file; object stores have names with "?" in them."""
    return re.split(r"[?#]", address, maxsplit=1)[0] if is_web(address) else address


def last_name(address: str) -> str:
    """The last part of an address, without its query."""
    return without_query(address).rstrip("/").rpartition("/")[2]


def redacted(text: str) -> str:
    """The text without the user names, passwords and signatures that addresses in it may hold."""
    shown = _QUERY.sub(r"\1?***", _LOGIN.sub("***@", text))
    for secret in sorted(_SECRETS, key=len, reverse=True):
        shown = shown.replace(secret, "***")
    return shown


def note_secrets(address: str) -> None:
    """Let this process show nothing that an address holds of credentials from now on."""
    login = _LOGIN.search(address)
    query = address.partition("?")[2] if _QUERY.search(address) else ""
    pairs = [part.partition("=")[::2] for part in query.split("&")]
    words = [
        *(login[0][:-1].split(":") if login else ()),
        query,
        *(value for name, value in pairs if _SECRET_NAME.search(name) or len(value) >= _LONG),
    ]
    _SECRETS.update(word for word in words if len(word) >= _SECRET_LETTERS)
