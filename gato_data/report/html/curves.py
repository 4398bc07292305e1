"""Actions and rewards over a whole episode, read column by column, so that its length does not matter."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.printable import printable
from gato_data.report.actions import action_ids, action_offsets, read_column
from gato_data.report.decoder import IdDecoder
from gato_data.report.fields import elements
from gato_data.report.html.episode_records import EpisodeRecords
from gato_data.shards.file import open_shard
from gato_data.tokenizers import continuous
from gato_schemas.episode import Field

POINTS = 300
"""Points of a curve."""
CURVES = 12
"""Action elements that are drawn."""


def curves(episode: EpisodeRecords, decoder: IdDecoder, task: str) -> dict[str, Any]:
    """Times, and for each of them the reward and the decoded value of every action element.

    `actions` is empty without a manifest, `reward` where the source has none.

    Raises:
        FormatError: a record is damaged.
    """
    found, times = episode.found, episode.spread(POINTS)
    manifest = decoder.manifest
    known = manifest is not None and task in manifest.tasks and manifest.tasks[task].actions
    offsets = action_offsets(manifest, task) if manifest is not None and known else np.zeros(0, np.int64)
    rewards: list[NDArray[np.generic]] = [np.zeros(0, np.float32)]
    ids: list[NDArray[np.int64]] = [np.zeros((0, len(offsets)), np.int64)]
    file = open_shard(episode.path)
    for number, _, here in episode.split(times):
        rewards.append(read_column(file, found, number, "reward")[here])
        if len(offsets):
            ids.append(action_ids(file, found, number, offsets)[here])
    reward = np.concatenate(rewards).astype(np.float64)
    actions = _decoded(np.concatenate(ids), manifest.tasks[task].actions) if manifest is not None and known else {}
    return {
        "times": times.tolist(),
        "reward": reward.tolist() if np.isfinite(reward).all() else [],
        "actions": actions,
    }


def _decoded(ids: NDArray[np.int64], fields: list[Field]) -> dict[str, list[float]]:
    """Values of the first `CURVES` action elements by name."""
    values = {}
    for number, slot in enumerate(elements("action", fields, is_action=True)):
        if number == CURVES or slot.field is None:
            break
        column: NDArray[Any] = ids[:, number] + slot.field.start
        if slot.field.modality == "continuous":
            column = continuous.decode(ids[:, number], compand=False, low=slot.field.low, high=slot.field.high)
        values[printable(slot.name)] = [round(float(value), 6) for value in column]
    return values
