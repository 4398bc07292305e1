"""`--episodes`: which episodes of a split are read, by the dataset's own numbers: 0:10,17."""

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, groupby

from gato_data.errors import InputError, SettingError
from gato_pipelines.containers.container import Container, File

_TERM = re.compile(r"(?P<first>\d{0,18})(?P<range>:(?P<stop>\d{0,18}))?")
_WANTED = "numbers and ranges such as 0:10,17 are wanted"


def check_episodes(text: str) -> None:
    """Check `--episodes`.

    Raises:
        SettingError: it is no such text.
    """
    for term in text.split(",") if text else ():
        match = _TERM.fullmatch(term.strip())
        if match is None or not (match["first"] or match["range"]):
            raise SettingError(f"episodes {text!r} are none: {_WANTED}")


def pick_episodes(container: Container, files: Sequence[File], text: str) -> list[File]:
    """The ranges of files that hold the episodes asked for, in the order of the files.

    Episodes without numbers of their own count from 0, over all files of the split.

    Raises:
        InputError: there is no such episode, or the input does not say how many its files hold.
    """
    counts = [file.num_episodes or 0 for file in files]
    if any(file.num_episodes is None and not file.missing for file in files):
        raise InputError(
            f"{container.label} does not say how many episodes its files hold, so that --episodes {text} cannot be "
            "told: leave it out, with --max-episodes for the first ones"
        )
    starts = [0, *accumulate(counts)]
    numbers = [
        number for file, start in zip(files, starts, strict=False) for number in _numbers(container, file, start)
    ]
    wanted = _wanted(numbers, text, container.label)
    found = []
    for file, start in zip(files, starts, strict=False):
        if file.num_episodes is None:
            found.append(file)
        places = [at - start for at in range(start, start + (file.num_episodes or 0)) if at in wanted]
        for _, run in groupby(enumerate(places), key=lambda pair: pair[1] - pair[0]):
            inside = [place for _, place in run]
            found.append(replace(file, first=file.first + inside[0], num_episodes=len(inside)))
    return found


def _numbers(container: Container, file: File, start: int) -> Sequence[int]:
    """The numbers of the episodes of one range."""
    own, count = container.episode_numbers(file.name), file.num_episodes or 0
    return range(start, start + count) if own is None else own[file.first : file.first + count]


def _wanted(numbers: Sequence[int], text: str, label: str) -> set[int]:
    """Places of the episodes asked for."""
    ordered = sorted((number, place) for place, number in enumerate(numbers))
    found: set[int] = set()
    for term in text.split(","):
        match = _TERM.fullmatch(term.strip())
        assert match is not None
        first = int(match["first"] or 0)
        stop = (int(match["stop"]) if match["stop"] else 1 << 62) if match["range"] else first + 1
        inside = ordered[bisect_left(ordered, (first, -1)) : bisect_left(ordered, (stop, -1))]
        if not inside:
            raise InputError(
                f"--episodes names {term.strip()}, of which {label} has none: its {len(ordered)} episodes have numbers "
                f"from {ordered[0][0] if ordered else 0} to {ordered[-1][0] if ordered else 0}"
            )
        found |= {place for _, place in inside}
    return found
