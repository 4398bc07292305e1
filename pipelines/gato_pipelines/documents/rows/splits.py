"""Splits of a dataset of the Hub, as names of files and folders tell them."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from gato_data.errors import InputError
from gato_schemas.account import Note

_SHARD = re.compile(r"(?:^|/)([A-Za-z]\w*(?:\.\w+)*)-\d{5}-of-\d{5}\.")
_PROMISE = re.compile(r"^(?P<start>.*)-(?P<index>\d{5})-of-(?P<count>\d{5})(?P<end>\.\w+)$")
_USUAL = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
_WORDS = re.compile(r"[A-Za-z]+")
_NO_SPLITS = ("data", "part", "shard", "chunk")
_DEFAULT, _ALL = "train", "all"


def split_of(name: str) -> str:
    """The split that a file belongs to; empty where its name does not say.

    The Hub's rules: a word such as train, val or test in the file's name, or in that of the nearest folder; else what
    stands before `-00000-of-00002`.
    """
    for piece in reversed(name.split("/")):
        if words := [_USUAL[word] for word in map(str.lower, _WORDS.findall(piece)) if word in _USUAL]:
            return words[-1]
    shard = _SHARD.search(name)
    return shard[1] if shard and shard[1] not in _NO_SPLITS else ""


def of_split(names: Sequence[str], split: str, where: str) -> tuple[list[str], list[Note]]:
    """The files of a split, and a note of the others.

    Args:
        names: of files.
        split: the one wanted, or all; empty for train where there is one, or for the only one.
        where: how errors call the input.

    Raises:
        InputError: there is no such split, or several and none is train.
    """
    splits = {name: split_of(name) for name in names}
    if split == _ALL:
        return list(names), []
    there = sorted({*splits.values()} - {""})
    wanted = _USUAL.get(split.lower(), split) if split else _DEFAULT
    if wanted not in there:
        if split or len(there) > 1:
            have = ", ".join(there) or "no files that tell theirs"
            raise InputError(f"{where} has no split {wanted!r}: it has {have}; name one with --split")
        return list(names), []
    kept = [name for name in names if splits[name] == wanted or (not split and not splits[name])]
    others = Counter(splits[name] for name in names if name not in set(kept))
    notes = [
        Note("passed-over", f"tables of the split {name}" if name else "tables of no split", count)
        for name, count in sorted(others.items())
    ]
    return kept, notes


def absent(names: Sequence[str]) -> list[Note]:
    """A note of the files that names such as `train-00001-of-00002.parquet` promise and that are not there."""
    there: dict[tuple[str, int, str], set[int]] = defaultdict(set)
    for match in filter(None, map(_PROMISE.match, names)):
        there[match["start"], int(match["count"]), match["end"]].add(int(match["index"]))
    lost = {shards: gone for shards, found in there.items() if (gone := shards[1] - len(found)) > 0}
    if not lost:
        return []
    start, count, end = next(iter(lost))
    first = next(index for index in range(count) if index not in there[start, count, end])
    text = f"tables that others' names promise and that are not there, such as {start}-{first:05}-of-{count:05}{end}"
    return [Note("left-out", text, sum(lost.values()))]
