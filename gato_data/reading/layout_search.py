"""Finding the layouts of a mixture: one record of every task is read, the index says which others are like it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.reading.columns import RecordColumns
from gato_data.reading.layouts import PLAIN_TEXT, READ_COLUMNS, Layout, RecordLayouts, plain_text
from gato_data.shards.episodes import EpisodeTable, OpenDataset, RecordCounts, numbered_tasks
from gato_data.shards.files import ShardFiles
from gato_schemas.sequence import Modality


def find_layouts(
    datasets: Sequence[OpenDataset],
    table: EpisodeTable,
    counts: RecordCounts,
    files: ShardFiles,
    columns: RecordColumns,
) -> RecordLayouts:
    """The layouts of a mixture.

    Raises:
        FormatError: a shard is missing or damaged.
    """
    layouts = [plain_text()]
    number = np.full(len(table.kind), READ_COLUMNS, np.int32)
    tokens = np.diff(table.record_token)
    text = counts.by_modality[:, Modality.TEXT]
    number[(counts.timesteps == 0) & (text == tokens) & (counts.loss_tokens == tokens)] = PLAIN_TEXT
    steady = _steady_kinds(datasets) & set(np.unique(table.kind).tolist())
    stepped = np.flatnonzero(counts.timesteps > 0)
    kinds, first = np.unique(table.kind[stepped], return_index=True)
    for kind, record in zip(kinds.tolist(), stepped[first].tolist(), strict=True):
        if kind not in steady:
            continue
        layout = _read_layout(record, table, files, columns)
        if layout is None:
            continue
        members = stepped[table.kind[stepped] == kind]
        fits = layout.fits(counts.by_modality[members], counts.loss_tokens[members], counts.timesteps[members])
        number[members[fits]] = len(layouts)
        layouts.append(layout)
    return RecordLayouts(layouts, number)


def _steady_kinds(datasets: Sequence[OpenDataset]) -> set[int]:
    """Numbers of the tasks whose timesteps have no text, so that all of them are alike."""
    return {number for number, dataset, task in numbered_tasks(datasets) if not dataset.manifest.tasks[task].has_text}


def _read_layout(record: int, table: EpisodeTable, files: ShardFiles, columns: RecordColumns) -> Layout | None:
    """The first timestep of a record; None if the record is not made of whole timesteps of one length."""
    shard, local = table.place(record)
    index = files.index(shard)
    tokens, timesteps = int(index.num_tokens[local]), int(index.num_timesteps[local])
    patches = int(index.num_patches[local])
    if tokens % timesteps or patches % timesteps:
        return None
    period, count = tokens // timesteps, patches // timesteps

    def column(name: str, rows: int) -> NDArray[Any]:
        return np.array(columns.read(name, shard, local)[:rows])

    modality = column("modality", period)
    if int(np.count_nonzero(modality == Modality.PATCH)) != count:
        return None
    loss_mask, position = column("loss_mask", period), column("position", period)
    return Layout(modality, loss_mask, position, column("patch_position", count))
