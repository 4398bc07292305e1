"""What ids stand for on a page: one table for all elements whose ids mean the same."""

import numpy as np
from numpy.typing import NDArray

from gato_data.printable import printable, real
from gato_data.report.decoder import IdDecoder
from gato_data.report.fields import Slot
from gato_schemas.sequence import Modality


class ValueTables:
    """Gathers which ids a page shows of which elements."""

    def __init__(self, decoder: IdDecoder) -> None:
        self.decoder = decoder
        self._numbers: dict[tuple[object, ...], int] = {}
        self._slots: list[tuple[Modality, Slot]] = []
        self._ids: list[set[int]] = []

    def number(self, modality: Modality, slot: Slot) -> int:
        """The number of the table for an element."""
        field = slot.field
        meaning = (field.start, field.low, field.high, field.compand, field.binning, slot.is_action) if field else ()
        key = (modality, *(meaning if modality is not Modality.TEXT else ()))
        if key not in self._numbers:
            self._numbers[key] = len(self._slots)
            self._slots.append((modality, slot))
            self._ids.append(set())
        return self._numbers[key]

    def use(self, number: int, ids: NDArray[np.integer]) -> None:
        """Note that ids of a table are shown."""
        self._ids[number].update(np.unique(ids).tolist())

    def content(self) -> list[dict[str, str]]:
        """The tables: texts by ids, as the terminal prints them."""
        return [
            {str(token): self._text(token, modality, slot) for token in sorted(ids)}
            for (modality, slot), ids in zip(self._slots, self._ids, strict=True)
        ]

    def _text(self, token: int, modality: Modality, slot: Slot) -> str:
        if modality is Modality.SEPARATOR:
            return ""
        value = self.decoder.value(token, modality, slot)
        if value is None:
            return "?"
        return real(value) if isinstance(value, float) else printable(str(value), 40)
