"""What the tokens of a timestep stand for, told once for all timesteps that are alike."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.printable import printable
from gato_data.report.decoder import IdDecoder
from gato_data.report.fields import Slot, slots
from gato_data.report.html.values import ValueTables
from gato_data.report.record import OpenRecord
from gato_data.report.timeline import MAX_IMAGE_PATCHES, document_slot, position_of
from gato_schemas.sequence import Modality

TIMESTEP_TOKENS = 2048
"""Tokens of a timestep that are shown."""
DOCUMENT_TOKENS = 1024
"""Tokens of a document that are shown."""


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The tokens of a timestep or a document.

    Attributes:
        shown: how many of them are on the page, the first ones.
        patches: int64 (p,), which of the shown tokens are patches.
        slots, tables: of every shown token; the table is -1 for a patch.
        content: for the page.
    """

    shown: int
    patches: NDArray[np.int64]
    slots: Sequence[Slot]
    tables: Sequence[int]
    content: dict[str, Any]

    @property
    def image(self) -> tuple[int, int, int] | None:
        """First token, rows and columns of the first image that is drawn."""
        for group in self.content["groups"]:
            if "rows" in group:
                return group["first"], group["rows"], group["columns"]
        return None


class Layouts:
    """The layouts of a page."""

    def __init__(self, decoder: IdDecoder, tables: ValueTables) -> None:
        self.decoder, self.tables = decoder, tables
        self.found: list[Layout] = []
        self._numbers: dict[tuple[object, ...], int] = {}

    def of_record(self, opened: OpenRecord) -> NDArray[np.int64]:
        """The number of every timestep's layout, int64 (T,); of a document one number."""
        sequence = opened.record.sequence
        before = np.concatenate([[0], np.cumsum(sequence.modality == Modality.PATCH)])
        begins = np.append(sequence.image_grid[:, 0], before[-1])
        return np.array(
            [
                self._number(opened, step, start, stop, np.searchsorted(begins[:-1], before[[start, stop]]))
                for step, start, stop in ranges(opened)
            ],
            np.int64,
        )

    def _number(self, opened: OpenRecord, step: int, start: int, stop: int, images: NDArray[np.int64]) -> int:
        sequence = opened.record.sequence
        grid = sequence.image_grid[images[0] : images[1], 1:]
        columns = [column[start:stop] for column in (sequence.modality, sequence.position, sequence.loss_mask)]
        key = (opened.record.task, *(column.tobytes() for column in columns), grid.tobytes())
        if key not in self._numbers:
            self._numbers[key] = len(self.found)
            self.found.append(self._layout(opened, step, start, stop, grid))
        return self._numbers[key]

    def _layout(self, opened: OpenRecord, step: int, start: int, stop: int, grid: NDArray[np.int32]) -> Layout:
        sequence, manifest = opened.record.sequence, self.decoder.manifest
        task = manifest.tasks.get(opened.record.task) if manifest else None
        shown = min(stop - start, TIMESTEP_TOKENS if sequence.num_timesteps else DOCUMENT_TOKENS)
        kinds = [Modality(int(kind)) for kind in sequence.modality[start : start + shown]]
        named = slots(sequence, task, step) if sequence.num_timesteps else [document_slot(kind) for kind in kinds]
        named = named[:shown]
        tables = [
            -1 if kind is Modality.PATCH else self.tables.number(kind, slot)
            for kind, slot in zip(kinds, named, strict=True)
        ]
        patches = np.flatnonzero(sequence.modality[start : start + shown] == Modality.PATCH)
        image_of = np.full(shown, -1)
        image_of[patches] = np.repeat(np.arange(len(grid)), grid[:, 0] * grid[:, 1])[: len(patches)]

        def key(place: int) -> tuple[object, ...]:
            name = named[place].name.partition("[")[0]
            return name, kinds[place], int(sequence.loss_mask[start + place]), int(image_of[place])

        groups = []
        for _, places in groupby(range(shown), key):
            members = list(places)
            first = members[0]
            group: dict[str, Any] = {
                "name": printable(named[first].name.partition("[")[0]),
                "modality": kinds[first].name.lower(),
                "loss": bool(sequence.loss_mask[start + first]),
                "first": first,
                "count": len(members),
                "position": position_of(int(sequence.position[start + first])),
            }
            if kinds[first] is Modality.PATCH:
                group |= _drawn(len(members), grid[image_of[first]])
            else:
                group["tables"] = [tables[place] for place in members]
                group["elements"] = [_element(named[place]) for place in members]
            groups.append(group)
        return Layout(shown, patches, named, tables, {"total": stop - start, "groups": groups})


def _drawn(patches: int, image: NDArray[np.int32]) -> dict[str, Any]:
    """How an image is put together; nothing where some of its patches are not shown, or it is too large."""
    rows, columns, height, width = image.tolist()
    if rows * columns != patches or patches > MAX_IMAGE_PATCHES:
        return {}
    return {"rows": rows, "columns": columns, "content": [height, width]}


def _element(slot: Slot) -> str:
    return printable("[" + slot.name.partition("[")[2]) if "[" in slot.name else ""


def ranges(opened: OpenRecord) -> Iterator[tuple[int, int, int]]:
    """Number, first token and end of every timestep; a document is one."""
    sequence = opened.record.sequence
    starts = sequence.timestep_starts.tolist() or [0]
    yield from zip(range(len(starts)), starts, [*starts[1:], sequence.num_tokens], strict=True)
