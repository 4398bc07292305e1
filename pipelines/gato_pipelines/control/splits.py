"""`--split` in TFDS's grammar: train, train+val, train[:10%], train[10:20], train[2shard:], all."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby, pairwise

from gato_data.errors import InputError, SettingError
from gato_pipelines.containers.container import Container, File
from gato_pipelines.control.announced import checked_files

ALL = "all"
_TERM = re.compile(r"(?P<name>[\w-]+)(\[(?P<slice>[^\[\]]*)\])?")
_BOUND = re.compile(r"((?P<value>-?[\d_.]+)(?P<unit>%|shard)?)?")
_WANTED = "such as train, train+val, train[:10%], train[10:20] or all"


def split_files(container: Container, text: str) -> list[File]:
    """The files that `--split` stands for, or ranges of their episodes, without those that hold none.

    A percentage is rounded to the closest episode, as TFDS does by default.

    Raises:
        SettingError: it is no such text, reaches beyond a split, or names an episode twice.
        InputError: there is no such split, or the input does not say how many episodes its files
            hold.
    """
    if text in container.splits:
        found = checked_files(container, text)
    elif text == ALL:
        found = [file for name in container.splits for file in checked_files(container, name)]
    else:
        found = [file for term in text.split("+") for file in _term(container, term.strip(), text)]
        _check_once(found, text)
    return [file for file in found if file.num_episodes != 0]


def _term(container: Container, term: str, text: str) -> list[File]:
    match = _TERM.fullmatch(term)
    if match is None:
        raise SettingError(f"split {text!r} is none: one {_WANTED} is wanted")
    files = checked_files(container, match["name"])
    if match["slice"] is None:
        return files
    if any(file.num_episodes is None for file in files):
        raise InputError(
            f"{container.label} does not say how many episodes its files hold, so that {term!r} cannot be told: "
            f"give the whole split {match['name']!r}, with --max-episodes for the first ones"
        )
    ranges = (list(found) for _, found in groupby(files, key=lambda file: file.name))
    counts = [sum(file.num_episodes or 0 for file in found) for found in ranges]  # of a file in ranges once
    return list(_between(files, *_bounds(match["slice"], counts, term)))


def _bounds(text: str, counts: Sequence[int], term: str) -> tuple[int, int]:
    """First and last plus one of the episodes that a slice stands for, as TFDS reckons them."""
    sides = [_BOUND.fullmatch(side) for side in text.split(":")]
    units = {side["unit"] or "" for side in sides if side is not None and side["value"]}
    unit = max(units, default="")
    single = len(sides) == 1 and unit == "shard"
    if None in sides or not units or len(units - {""}) > 1 or not (single or len(sides) == 2):
        raise SettingError(f"split {term!r} is none: one {_WANTED} is wanted")
    values = [_number(side["value"], unit, term) if side and side["value"] else None for side in sides]
    start, stop = (values[0], (values[0] or 0) + 1) if single else values
    total = sum(counts)
    if unit == "%":
        first, last = (None if side is None else round(side * total / 100) for side in (start, stop))
    elif unit == "shard":
        first = None if start is None else sum(counts[: int(start)])
        if stop is not None and stop <= 0:
            stop += len(counts)
        last = None if stop is None else sum(counts[: int(stop)])
    else:
        first, last = (None if side is None else int(side) for side in (start, stop))
    first, last = first or 0, total if last is None else last
    if max(abs(first), abs(last)) > total:
        raise SettingError(f"split {term!r} reaches beyond the {total} episodes that there are")
    return first + total * (first < 0), last + total * (last < 0)


def _number(text: str, unit: str, term: str) -> float:
    try:
        value = float(text) if unit == "%" else int(text)
    except ValueError as error:
        raise SettingError(f"split {term!r} holds {text!r}, which is no number of episodes or shards") from error
    if unit == "%" and abs(value) > 100:
        raise SettingError(f"split {term!r} holds {text}%: at most 100% is wanted")
    return value


def _between(files: Sequence[File], first: int, last: int) -> Iterator[File]:
    """The ranges of files that hold the episodes [first, last) of a split."""
    before = 0
    for file in files:
        count = file.num_episodes or 0
        start, stop = max(first - before, 0), min(last - before, count)
        if start < stop:
            yield replace(file, first=file.first + start, num_episodes=stop - start)
        before += count


def _check_once(files: Sequence[File], text: str) -> None:
    ordered = sorted(files, key=lambda file: (file.name, file.first))
    for file, after in pairwise(ordered):
        if file.name == after.name and (file.num_episodes is None or after.first < file.first + file.num_episodes):
            raise SettingError(f"split {text!r} names episodes of {file.name} twice: name every one once")
