"""The account of an ingest in words: what was read, what was left out and why, what looks wrong."""

from collections import Counter
from collections.abc import Iterator

from gato_data.printable import count, counted, printable
from gato_data.report.table import Fact
from gato_schemas.account import Note, NoteKind
from gato_schemas.dataset import DEAD_LETTERS, Manifest
from gato_schemas.sequence import Modality

LINES = 12
"""Notes of one kind that are shown; `--json` has all."""
_HEADINGS: dict[NoteKind, str] = {
    "read": "read",
    "left-out": "left out",
    "passed-over": "passed over",
    "missing": "missing",
    "unknown": "unknown",
    "clipped": "clipped",
    "short": "one timestep",
}
_COUNTED: set[NoteKind] = {"left-out", "unknown", "clipped", "short"}
"""Kinds whose notes are about a number of things, even where there is one."""


def account_facts(manifest: Manifest, rest: str = "--json") -> list[Fact]:
    """Heading and line, the heading empty where it is the one before; `rest` has the lines that are not shown."""
    lines: dict[NoteKind, list[str]] = {kind: [] for kind in _HEADINGS}
    lines["read"].append(_read(manifest))
    lines["left-out"] += _left_out(manifest)
    for note in manifest.account:
        lines[note.kind].append(note_line(note))
    facts: list[Fact] = []
    for kind, heading in _HEADINGS.items():
        shown = lines[kind][:LINES]
        if hidden := len(lines[kind]) - len(shown):
            shown.append(f"... {counted(hidden, 'more line')}: {rest} has all of them")
        facts += [(heading if not number else "", line) for number, line in enumerate(shown)]
    return facts


def unknown_share(manifest: Manifest) -> tuple[int, int]:
    """Text tokens that are no piece of the text model, and all text tokens."""
    totals = manifest.totals
    unknown = sum(note.count for note in manifest.account if note.kind == "unknown")
    return unknown, totals.tokens_by_modality[Modality.TEXT]


def note_line(note: Note) -> str:
    """A note in one line, safe to print."""
    text = printable(note.text, 400)
    return text if note.count == 1 and note.kind not in _COUNTED else f"{text} ({count(note.count)})"


def headed_line(note: Note) -> str:
    """A note in one line that says by itself what it is about."""
    return f"{_HEADINGS[note.kind]}: {note_line(note)}"


def _read(manifest: Manifest) -> str:
    totals = manifest.totals
    steps = f", {counted(totals.timesteps, 'timestep')}" if totals.timesteps else ""
    return f"{counted(totals.episodes, 'episode')}{steps}, {counted(totals.tokens, 'token')}"


def _left_out(manifest: Manifest) -> Iterator[str]:
    yield counted(manifest.dead_letters, "episode") + (f": {DEAD_LETTERS} says why" if manifest.dead_letters else "")
    fields = Counter((name, why) for task in manifest.tasks.values() for name, why in task.left_out.items())
    tasks = len(manifest.tasks)
    for (name, why), times in sorted(fields.items()):
        where = f" in {times} of {tasks} tasks" if times < tasks else ""
        yield f"field {printable(name, 60)}{where}: {printable(why, 200)}"
