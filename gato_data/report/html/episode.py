"""One episode for the page: its timesteps token by token, and its curves, as columns that the page's script unpacks."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.printable import printable, real
from gato_data.report.decoder import IdDecoder
from gato_data.report.html.atlas import Atlas
from gato_data.report.html.curves import POINTS, draw_elements, draw_rewards
from gato_data.report.html.episode_records import EpisodeRecords
from gato_data.report.html.image import thumbnail
from gato_data.report.html.layout import Layout, Layouts, ranges
from gato_data.report.html.packed import Columns
from gato_data.report.html.values import ValueTables
from gato_data.report.record import OpenRecord, open_record
from gato_data.tokenizers.image import from_patches
from gato_schemas.record import Record
from gato_schemas.sequence import PATCH_SIZE


class Gathered:
    """What the episodes of a page have in common: patches, layouts of timesteps, and what ids mean."""

    def __init__(self, decoder: IdDecoder, atlas: Atlas) -> None:
        self.atlas = atlas
        self.tables = ValueTables(decoder)
        self.layouts = Layouts(decoder, self.tables)

    def content(self) -> dict[str, Any]:
        """Layouts and tables, for the page."""
        return {"layouts": [layout.content for layout in self.layouts.found], "tables": self.tables.content()}


@dataclass(frozen=True, slots=True, eq=False)
class _Timesteps:
    """T timesteps of an episode, or one that stands for a document.

    Attributes:
        starts: int64 (T,), their first tokens in `cells`.
        offsets: int64 (T,), the same in their records.
        layout: int64 (T,).
        reward: float32 (T,); empty for a document.
        cells: int64 (N,), ids; numbers in the atlas where a shown token is a patch.
    """

    starts: NDArray[np.int64]
    offsets: NDArray[np.int64]
    layout: NDArray[np.int64]
    reward: NDArray[np.float32]
    cells: NDArray[np.int64]


def episode_content(episode: EpisodeRecords, gathered: Gathered, limit: int) -> dict[str, Any]:
    """What the page knows of one episode: at most `limit` of its timesteps, and curves over all of them.

    Raises:
        FormatError: a record is damaged.
        FullAtlasError: there are more patches than a page holds.
    """
    head = open_record(episode.path, episode.found, episode.records.start)
    shown = episode.spread(limit) if head.record.sequence.num_timesteps else np.zeros(1, np.int64)
    steps = _read(episode, head, gathered, shown)
    columns = Columns()
    reward = steps.reward[shown] if len(steps.reward) else np.full(1, np.nan, np.float32)
    for column in (shown, steps.layout[shown], reward, steps.offsets[shown]):
        columns.add(column)
    used = {int(number): gathered.layouts.found[number] for number in np.unique(steps.layout[shown])}
    rows = [
        [number, _add_cells(steps, shown, number, layout, gathered, columns), layout.shown]
        for number, layout in used.items()
    ]
    every = {int(number): gathered.layouts.found[number] for number in np.unique(steps.layout)}
    curves = draw_elements(every, steps.layout, steps.starts, steps.cells, gathered.tables, columns)
    rewards = draw_rewards(steps.reward, columns)
    middle = int(shown[len(shown) // 2])
    return {
        **_facts(episode, head.record),
        "thumbnail": _thumbnail(steps, middle, gathered),
        "shown": len(shown),
        "points": min(len(steps.reward), POINTS),
        "rows": rows,
        **curves,
        "rewards": rewards,
        "columns": columns.encoded(),
    }


def _read(episode: EpisodeRecords, head: OpenRecord, gathered: Gathered, shown: NDArray[np.int64]) -> _Timesteps:
    """All timesteps; the patches of those in `shown`. Of a document its first record."""
    parts: list[_Timesteps] = []
    first = before = 0
    for number in episode.records if head.record.sequence.num_timesteps else episode.records[:1]:
        opened = head if number == episode.records.start else open_record(episode.path, episode.found, number)
        if opened is not head and not opened.record.sequence.num_timesteps:
            continue  # nothing of the episode is in it
        offsets = np.array([start for _, start, _ in ranges(opened)], np.int64)
        layout = gathered.layouts.of_record(opened)
        cells = opened.record.sequence.tokens.astype(np.int64)
        here = shown[(shown >= first) & (shown < first + len(offsets))] - first
        _number_patches(opened, gathered, offsets[here], layout[here], cells)
        parts.append(_Timesteps(offsets + before, offsets, layout, opened.record.sequence.reward, cells))
        first, before = first + len(offsets), before + len(cells)
    names = ("starts", "offsets", "layout", "reward", "cells")
    return _Timesteps(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _number_patches(
    opened: OpenRecord,
    gathered: Gathered,
    starts: NDArray[np.int64],
    layout: NDArray[np.int64],
    cells: NDArray[np.int64],
) -> None:
    """Put the numbers of patches in the atlas where some timesteps have patches."""
    found = gathered.layouts.found
    places = [start + found[number].patches for start, number in zip(starts.tolist(), layout.tolist(), strict=True)]
    where = np.concatenate([np.zeros(0, np.int64), *places])
    if len(where):
        ordinal = np.cumsum(opened.record.sequence.modality == 1) - 1
        used, inverse = np.unique(opened.index[ordinal[where]], return_inverse=True)
        cells[where] = gathered.atlas.add(opened.distinct_patches(used))[inverse]


def _add_cells(
    steps: _Timesteps, shown: NDArray[np.int64], number: int, layout: Layout, gathered: Gathered, columns: Columns
) -> int:
    """Add the tokens of the shown timesteps of one layout, a row a token; how many timesteps these are."""
    mine = shown[steps.layout[shown] == number]
    cells = steps.cells[steps.starts[mine][None, :] + np.arange(layout.shown)[:, None]]
    for table in set(layout.tables) - {-1}:
        gathered.tables.use(table, cells[np.array(layout.tables) == table])
    columns.add(cells)
    return len(mine)


def _thumbnail(steps: _Timesteps, step: int, gathered: Gathered) -> str:
    image = gathered.layouts.found[steps.layout[step]].image
    if image is None:
        return ""
    first, rows, columns = image
    start = int(steps.starts[step]) + first
    patches = gathered.atlas.pixels(steps.cells[start : start + rows * columns])
    return thumbnail(from_patches(patches, np.array([0, rows, columns, rows * PATCH_SIZE, columns * PATCH_SIZE])))


def _facts(episode: EpisodeRecords, record: Record) -> dict[str, Any]:
    counts = episode.found.num_timesteps[episode.records.start : episode.records.stop]
    return {
        "id": printable(record.episode_id),
        "source_id": printable(record.source_episode_id),
        "task": printable(record.task),
        "agent": printable(record.agent),
        "command": f"gato-data inspect shard {printable(shlex.quote(_given(episode.path)), 400)}",
        "record": episode.records.start,
        "chunks": counts.tolist(),
        "timesteps": episode.sum("num_timesteps"),
        "tokens": episode.sum("num_tokens"),
        "loss": episode.sum("loss_tokens"),
        "return": real(record.episode_return, 6),
        "terminal": record.is_terminal,
    }


def _given(path: Path) -> str:
    """A path that no command takes for an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)
