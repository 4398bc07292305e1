"""The list of what was left out: it is checked by its digest, and made again from the indexes."""

import hashlib
from contextlib import suppress
from pathlib import Path

import msgspec

from gato_data.files import write_durably
from gato_data.shards.index import readable_indexes
from gato_data.verify.findings import Findings
from gato_data.verify.quarantine import set_aside
from gato_schemas.dataset import DEAD_LETTERS, Manifest
from gato_schemas.index import DeadLetter

_MAX_LINE = 1 << 20


def check_dead_letters(folder: Path, manifest: Manifest, findings: Findings) -> None:
    """Find what is wrong with the list.

    Raises:
        OSError: it cannot be read.
    """
    path, total, digest = folder / DEAD_LETTERS, 0, hashlib.sha256()
    if not path.is_file():
        findings.about("missing", path.name, "the file is missing", "rebuild")
        return
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(_MAX_LINE), b"")):
            digest.update(line)
            try:
                total += msgspec.json.decode(line, type=DeadLetter).count
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                message = f"line {number + 1} is no dead letter ({error})"
                findings.about("dead letters", path.name, message, "rebuild", byte=file.tell() - len(line))
                return
    if total != manifest.dead_letters:
        message = f"it has {total} episodes, the manifest says {manifest.dead_letters}"
        findings.about("manifest", path.name, message, "rebuild")
    elif digest.hexdigest() != manifest.dead_letters_digest:
        findings.about("dead letters", path.name, "it is not the list that the manifest was written for", "rebuild")


def restore_dead_letters(folder: Path, manifest: Manifest) -> bool | None:
    """Make a damaged list again from the indexes; None where it is whole.

    Returns whether it is now what it was, by its digest; else it holds what the indexes and its own whole lines say.

    Raises:
        OSError: the list cannot be written.
    """
    path = folder / DEAD_LETTERS
    found = path.read_bytes() if path.is_file() else b""
    if path.is_file() and hashlib.sha256(found).hexdigest() == manifest.dead_letters_digest:
        return None
    told, lost = _told(folder, manifest)
    exact = hashlib.sha256(_joined(told)).hexdigest() == manifest.dead_letters_digest
    known = {(letter.source, letter.key) for letter in told}
    more = [letter for letter in _read(found) if (letter.source, letter.key) not in known]
    if exact:  # what is more is damage, unless a repair that was killed had not come to write the index
        more = [letter for letter in more if letter.source in lost]
    text = _joined([*told, *more])
    if text != found or not path.is_file():
        if found:
            set_aside(path)
        write_durably(path, text)
    return exact


def append_dead_letters(folder: Path, letters: list[DeadLetter]) -> None:
    """Add dead letters to those of a dataset; one that is there already is not added again.

    Raises:
        OSError: the list cannot be read or written.
    """
    found = _read((folder / DEAD_LETTERS).read_bytes())
    if new := [letter for letter in letters if letter not in found]:
        write_durably(folder / DEAD_LETTERS, _joined([*found, *new]))


def sort_dead_letters(folder: Path, manifest: Manifest) -> tuple[int, str]:
    """Put the list into the order of the indexes, by which it can be made again; returns its episodes and its digest.

    Raises:
        OSError: the list cannot be read or written.
    """
    path = folder / DEAD_LETTERS
    found = path.read_bytes()
    told, _ = _told(folder, manifest)
    text = _joined([*told, *(letter for letter in _read(found) if letter not in told)])
    if text != found:
        write_durably(path, text)
    return sum(letter.count for letter in _read(text)), hashlib.sha256(text).hexdigest()


def _told(folder: Path, manifest: Manifest) -> tuple[list[DeadLetter], set[str]]:
    """The dead letters in the headers of all indexes, in the order of the shards; and the shards without an index."""
    told: list[DeadLetter] = []
    lost = set()
    for _, shard, index in readable_indexes(folder, manifest):
        if index is None:
            lost.add(shard.name)
        else:
            told += index.header.dead_letters
    return told, lost


def _read(data: bytes) -> list[DeadLetter]:
    letters = []
    for line in data.splitlines():
        with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            letters.append(msgspec.json.decode(line, type=DeadLetter))
    return letters


def _joined(letters: list[DeadLetter]) -> bytes:
    return b"".join(msgspec.json.encode(letter) + b"\n" for letter in letters)
