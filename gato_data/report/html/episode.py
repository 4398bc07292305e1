"""One episode for the page: timesteps token by token, actions and rewards over time."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from gato_data.printable import printable, real
from gato_data.report.decoder import IdDecoder
from gato_data.report.html.curves import curves
from gato_data.report.html.episode_records import EpisodeRecords
from gato_data.report.html.image import data_uri
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
        image_bytes: of one image.
    """

    timesteps: int
    tokens: int
    image_bytes: int


def episode_content(episode: EpisodeRecords, decoder: IdDecoder, budget: Budget) -> dict[str, Any]:
    """What the page knows of one episode, as plain values.

    Raises:
        FormatError: a record is damaged.
    """
    first = episode.records.start
    head = open_record(episode.path, episode.found, first)
    parts: list[dict[str, Any]] = []
    exact = True
    if not episode.sum("num_timesteps"):  # of a document the beginning is enough
        total = head.record.sequence.num_tokens
        part, exact = _tokens(head, decoder, budget, 0, min(total, DOCUMENT_TOKENS))
        parts.append({"step": None, "reward": None, **part, "total": total})
    for number, before, steps in episode.split(episode.spread(budget.timesteps)):
        opened = head if number == first else open_record(episode.path, episode.found, number)
        for step in steps.tolist():
            part, whole = _timestep(opened, decoder, budget, step)
            parts.append({"step": before + step, **part})
            exact &= whole
    row = _facts(episode, head)
    return {**row, "exact": exact, "parts": parts, "curves": curves(episode, decoder, head.record.task)}


def _facts(episode: EpisodeRecords, head: OpenRecord) -> dict[str, Any]:
    record = head.record
    return {
        "id": printable(record.episode_id),
        "source_id": printable(record.source_episode_id),
        "task": printable(record.task),
        "agent": printable(record.agent),
        "place": f"{printable(episode.path.name, 200)} --record {episode.records.start}",
        "timesteps": episode.sum("num_timesteps"),
        "tokens": episode.sum("num_tokens"),
        "loss": episode.sum("loss_tokens"),
        "return": real(record.episode_return, 6),
        "terminal": record.is_terminal,
    }


def _timestep(opened: OpenRecord, decoder: IdDecoder, budget: Budget, step: int) -> tuple[dict[str, Any], bool]:
    sequence = opened.record.sequence
    part, exact = _tokens(opened, decoder, budget, *sequence.timestep_range(step))
    return {"reward": real(float(sequence.reward[step]), 6), **part}, exact


def _tokens(
    opened: OpenRecord, decoder: IdDecoder, budget: Budget, start: int, stop: int
) -> tuple[dict[str, Any], bool]:
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
            uri, exact = data_uri(from_patches(pixels, side), budget.image_bytes)
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
