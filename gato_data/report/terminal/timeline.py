"""`inspect shard FILE --record N` on a terminal: the tokens of a record, timestep by timestep."""

from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from gato_data.printable import count, printable, real, share
from gato_data.report.record import OpenRecord
from gato_data.report.table import Cell, Fact, TableColumn
from gato_data.report.terminal.image import can_draw, print_images, swatch
from gato_data.report.terminal.table import print_facts, print_table
from gato_data.report.timeline import Excerpt, TokenView, images
from gato_schemas.sequence import Modality

MAX_IMAGES = 4
"""Images drawn for one timestep, or for one document."""
STYLES = {
    Modality.TEXT: "#228733",
    Modality.PATCH: "#2472e0",
    Modality.DISCRETE: "#c431c4",
    Modality.CONTINUOUS: "#07828d",
    Modality.SEPARATOR: "dim",
}
"""Colours with the same contrast, 4.6, to a white and to a black background."""


def print_excerpt(console: Console, excerpt: Excerpt) -> None:
    """Print a record, some of its tokens, and how to see the others."""
    print_record(console, excerpt.opened)
    print_timeline(console, excerpt.opened, excerpt.tokens)
    if more := more_line(excerpt):
        console.print("\n" + more)


def print_record(console: Console, opened: OpenRecord) -> None:
    """Print what a record is."""
    record, sequence = opened.record, opened.record.sequence
    name = f"record {opened.number}"
    facts: list[Fact] = [("episode", printable(record.episode_id))]
    if record.source_episode_id:
        facts.append(("source's id", printable(record.source_episode_id)))
    facts += [("task", printable(record.task))]
    if record.agent:
        facts += [("agent", printable(record.agent))]
    if record.num_chunks > 1:
        facts.append(("chunk", f"{record.chunk + 1} of {record.num_chunks}{_starts_at(opened)}"))
    if sequence.num_timesteps:
        facts.append(("timesteps", count(sequence.num_timesteps)))
    facts.append(("tokens", count(sequence.num_tokens)))
    trained = int(np.count_nonzero(sequence.loss_mask))
    facts.append(("in the loss", f"{count(trained)} ({share(trained, sequence.num_tokens)})"))
    if sequence.num_timesteps:
        ending = "terminal" if record.is_terminal else "not terminal"
        facts.append(("return", f"{real(record.episode_return, 6)}, the end is {ending}"))
    console.print(Text(name, "bold"))
    print_facts(console, facts)


def _starts_at(opened: OpenRecord) -> str:
    if opened.first_timestep is None or not opened.record.sequence.num_timesteps:
        return ""
    return f", timestep 0 here is timestep {opened.first_timestep} of the episode"


def print_timeline(console: Console, opened: OpenRecord, tokens: Iterable[TokenView]) -> None:
    """Print tokens under a heading for every timestep, with its images where the console has colours."""
    for timestep, group in groupby(tokens, key=lambda t: t.timestep):
        views = list(group)
        start, stop = views[0].index, views[-1].index + 1
        console.print()
        console.print(Text(_heading(opened, timestep, start, stop), "bold"), soft_wrap=True)
        if can_draw(console):
            print_images(console, list(_images(opened, start, stop)))
        print_table(console, _columns(colour=can_draw(console)), views)


def _images(opened: OpenRecord, start: int, stop: int) -> Sequence[NDArray[np.uint8]]:
    return images(opened, start, stop, MAX_IMAGES)


def _heading(opened: OpenRecord, timestep: int | None, start: int, stop: int) -> str:
    tokens = f"tokens {start} to {stop - 1}"
    if timestep is None:
        return f"document, {tokens}"
    reward = real(float(opened.record.sequence.reward[timestep]), 6)
    return f"timestep {timestep}, {tokens}" + (f", reward {reward}" if reward != "-" else "")


def _columns(*, colour: bool) -> Sequence[TableColumn[TokenView]]:
    def position(token: TokenView) -> str:
        return "-" if token.position is None else str(token.position)

    def number(token: TokenView) -> str:
        return "-" if token.modality is Modality.PATCH else str(token.id)

    def styled(text: str, token: TokenView) -> Text:
        return Text(text, STYLES[token.modality])

    return (
        TableColumn("token", lambda t: str(t.index), number=True),
        TableColumn("position", position, number=True),
        TableColumn("id", number, number=True, optional=True),
        TableColumn("modality", lambda t: styled(t.modality.name.lower(), t), optional=True),
        TableColumn("field", lambda t: styled(printable(t.name), t)),
        TableColumn("value", lambda t: value_cell(t, colour=colour)),
        TableColumn("loss", lambda t: Text("1", "bold") if t.loss else Text("0", "dim")),
    )


def value_cell(view: TokenView, *, colour: bool = False) -> Cell:
    """The decoded value of a token: a number, a piece of text, or a patch with its place and mean colour."""
    if view.patch is not None:
        text = Text(f"row {view.patch.row}, column {view.patch.column}")
        if colour:
            return text.append(" ").append_text(swatch(view.patch.mean))
        return text.append(", #" + bytes(view.patch.mean).hex())
    if isinstance(view.value, float):
        return real(view.value)
    if isinstance(view.value, int):
        return str(view.value)
    return printable(view.value) if view.value is not None else ""


def more_line(excerpt: Excerpt) -> str:
    """How to see what is not shown; empty where everything is."""
    sequence, start, stop = excerpt.opened.record.sequence, excerpt.start, excerpt.stop
    if start == 0 and stop == sequence.num_tokens:
        return ""
    shown = f"tokens {start} to {stop - 1} of {count(sequence.num_tokens)} are shown"
    ways = ["--tokens A:B"]
    if sequence.num_timesteps:
        ways.insert(0, f"--timestep T (0 to {sequence.num_timesteps - 1})")
    return f"{shown}: see more with {' or '.join(ways)}"
