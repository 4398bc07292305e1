"""One episode for the page: timesteps token by token with their frames, actions and rewards over time."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from gato_data.report.decoder import Decoder
from gato_data.report.html.curves import EpisodeFiles, curves
from gato_data.report.html.frames import data_uri
from gato_data.report.printable import printable, real
from gato_data.report.record import OpenRecord, open_record
from gato_data.report.timeline import MAX_IMAGE_PATCHES, TokenView, timeline
from gato_data.tokenizers.image import from_patches
from gato_schemas.sequence import PATCH_SIZE, Modality

DOCUMENT_TOKENS = 1024
"""Tokens of a document that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one episode may take on the page.

    Attributes:
        timesteps: shown token by token, spread evenly over the episode.
        tokens: shown of one timestep.
        frame_bytes: of one frame.
    """

    timesteps: int
    tokens: int
    frame_bytes: int


def episode_content(files: EpisodeFiles, decoder: Decoder, budget: Budget) -> dict[str, Any]:
    """What the page knows of one episode, as plain values.

    Raises:
        FormatError: a record is damaged.
    """
    found, records = files.found, files.records
    counts = found.num_timesteps[records.start : records.stop].astype(np.int64)
    before = np.concatenate([[0], np.cumsum(counts)])
    total = int(before[-1])
    shown = np.unique(np.linspace(0, max(total - 1, 0), min(budget.timesteps, total)).round().astype(np.int64))
    head = open_record(files.path, found, records.start)
    parts: list[dict[str, Any]] = []
    exact = True
    if not total:  # of a document the beginning is enough
        stop = min(head.record.sequence.num_tokens, DOCUMENT_TOKENS)
        part, exact = _tokens(head, decoder, budget, 0, stop)
        parts.append({"step": None, "reward": None, **part, "total": head.record.sequence.num_tokens})
    for chunk, number in enumerate(records):
        here = shown[(shown >= before[chunk]) & (shown < before[chunk + 1])] - before[chunk]
        opened = head if number == records.start or not len(here) else open_record(files.path, found, number)
        for step in here.tolist():
            part, whole = _timestep(opened, decoder, budget, step)
            parts.append({"step": int(before[chunk]) + step, **part})
            exact &= whole
    row = _facts(files, head, total)
    return {**row, "exact": exact, "parts": parts, "curves": curves(files, decoder, head.record.task)}


def _facts(files: EpisodeFiles, head: OpenRecord, total: int) -> dict[str, Any]:
    found, chunks = files.found, slice(files.records.start, files.records.stop)
    record = head.record
    return {
        "id": printable(record.episode_id),
        "source_id": printable(record.source_episode_id),
        "task": printable(record.task),
        "agent": printable(record.agent),
        "place": f"{printable(files.path.name, 200)} --record {files.records.start}",
        "timesteps": total,
        "tokens": int(found.num_tokens[chunks].sum(dtype=np.int64)),
        "loss": int(found.loss_tokens[chunks].sum(dtype=np.int64)),
        "return": real(record.episode_return, 6),
        "terminal": record.is_terminal,
    }


def _timestep(opened: OpenRecord, decoder: Decoder, budget: Budget, step: int) -> tuple[dict[str, Any], bool]:
    sequence = opened.record.sequence
    start = int(sequence.timestep_starts[step])
    stop = int(sequence.timestep_starts[step + 1]) if step + 1 < sequence.num_timesteps else sequence.num_tokens
    part, exact = _tokens(opened, decoder, budget, start, stop)
    return {"reward": real(float(sequence.reward[step]), 6), **part}, exact


def _tokens(opened: OpenRecord, decoder: Decoder, budget: Budget, start: int, stop: int) -> tuple[dict[str, Any], bool]:
    """Tokens in groups that stand for one field (or one image, or one text) each."""
    cut = min(stop, start + budget.tokens)
    groups, exact = [], True
    for _, views in groupby(timeline(opened, decoder, start, cut), key=_group_key):
        group, whole = _group(opened, list(views), budget)
        groups.append(group)
        exact &= whole
    return {"total": stop - start, "groups": groups}, exact


def _group_key(view: TokenView) -> tuple[Any, ...]:
    return view.name.partition("[")[0], view.modality, view.loss, view.patch.image if view.patch else None


def _group(opened: OpenRecord, views: Sequence[TokenView], budget: Budget) -> tuple[dict[str, Any], bool]:
    first = views[0]
    group: dict[str, Any] = {
        "name": printable(first.name.partition("[")[0]),
        "modality": first.modality.name.lower(),
        "loss": first.loss,
        "first": first.index,
        "position": first.position,
    }
    if first.patch is not None:
        grid = opened.record.sequence.image_grid[first.patch.image].tolist()
        begin, rows, columns, height, width = grid
        if rows * columns == len(views) and len(views) <= MAX_IMAGE_PATCHES:
            pixels = opened.patches(begin, len(views))
            side = np.array([0, rows, columns, rows * PATCH_SIZE, columns * PATCH_SIZE])
            uri, exact = data_uri(from_patches(pixels, side), budget.frame_bytes)
            return group | {"rows": rows, "columns": columns, "content": [height, width], "frame": uri}, exact
        return group | {"count": len(views)}, True
    if first.modality is Modality.SEPARATOR:
        return group | {"ids": [view.id for view in views], "values": [""] * len(views)}, True
    values = [_shown(view) for view in views]
    elements = ["[" + view.name.partition("[")[2] if "[" in view.name else "" for view in views]
    return group | {"ids": [view.id for view in views], "values": values, "elements": elements}, True


def _shown(view: TokenView) -> str:
    if view.value is None:
        return "?"
    return real(view.value) if isinstance(view.value, float) else printable(str(view.value), 40)
