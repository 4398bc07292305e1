"""Why episodes were left out of a dataset: reasons, counted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gato_schemas.dataset import DEAD_LETTERS
from gato_schemas.index import DeadLetter

MAX_REASONS = 1000
"""Reasons that are told apart; a file may claim any number of them."""
_MAX_LINE = 1 << 20


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason.

    Attributes:
        stage: where it was found: read, decode, tokenize, verify.
        reason: in words.
        episodes: left out because of it.
        first: place of the first of them.
    """

    stage: str
    reason: str
    episodes: int
    first: str


def reasons(folder: Path) -> Sequence[Reason]:
    """The reasons of all dead letters, the most frequent first; lines that are none are passed over.

    Raises:
        OSError: the list cannot be read.
    """
    episodes: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], str] = {}
    path = folder / DEAD_LETTERS
    if not path.is_file():
        return ()
    with path.open("rb") as file:
        while line := file.readline(_MAX_LINE):
            try:
                letter = msgspec.json.decode(line, type=DeadLetter)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                continue
            key = (letter.stage, letter.reason)
            if key not in episodes and len(episodes) >= MAX_REASONS:
                key = ("", "other reasons")
            episodes[key] += letter.count
            first.setdefault(key, letter.place)
    return [Reason(stage, reason, count, first[stage, reason]) for (stage, reason), count in episodes.most_common()]
