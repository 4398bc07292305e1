"""The account of an ingest: what was read on an assumption, what was left out, and what looks wrong, counted."""

from collections.abc import Iterable
from typing import Literal, TypeAlias, get_args

import msgspec

from gato_schemas.bounds import Natural

NoteKind: TypeAlias = Literal["read", "left-out", "passed-over", "missing", "unknown", "clipped", "short"]
"""`read`: how something that has several meanings was read; `left-out`: content of what was read that is no token;
`passed-over`: files that were not read; `missing`: files that should be there; `unknown`: pieces that the text model
does not know; `clipped`: values outside the range of the ids; `short`: episodes of one timestep."""
MAX_NOTES = 200
"""Notes of one kind that are kept one by one."""
KINDS: tuple[NoteKind, ...] = get_args(NoteKind)


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the account.

    Attributes:
        kind: what it is about.
        text: a sentence without paths of the machine, and without `count`, so that equal ones add up.
        count: how many files, episodes, pieces or values it stands for.
    """

    kind: NoteKind
    text: str
    count: Natural = 1


def merge_notes(notes: Iterable[Note]) -> list[Note]:
    """One note for each kind and text with the sum of their counts, by kind and then as they came.

    Beyond `MAX_NOTES` of a kind the others are one note together.
    """
    counts: dict[tuple[NoteKind, str], int] = {}
    for note in notes:
        key = (note.kind, note.text)
        counts[key] = counts.get(key, 0) + note.count
    found = []
    for kind in KINDS:
        mine = [Note(kind, text, count) for (other, text), count in counts.items() if other == kind]
        found += mine[:MAX_NOTES]
        if more := sum(note.count for note in mine[MAX_NOTES:]):
            found.append(Note(kind, "and others", more))
    return found
