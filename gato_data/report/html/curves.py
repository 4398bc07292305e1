"""Actions and rewards over a whole episode, read column by column, so that its length does not matter."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.report.actions import action_ids, action_offsets, read_column
from gato_data.report.decoder import Decoder
from gato_data.report.fields import elements
from gato_data.report.printable import printable
from gato_data.tokenizers import continuous
from gato_schemas.episode import Field
from gato_schemas.index import ShardIndex

POINTS = 300
"""Points of a curve."""
CURVES = 12
"""Action elements that are drawn."""


@dataclass(frozen=True, slots=True)
class EpisodeFiles:
    """Where an episode is: its shard, the shard's index, and the records of its chunks."""

    path: Path
    found: ShardIndex
    records: range

    @classmethod
    def of(cls, path: Path, found: ShardIndex, first: int) -> "EpisodeFiles":
        """The episode that begins with record `first`."""
        chunks = np.flatnonzero(found.chunk[first + 1 :] == 0)
        end = first + 1 + int(chunks[0]) if len(chunks) else len(found)
        return cls(path, found, range(first, end))


def curves(files: EpisodeFiles, decoder: Decoder, task: str) -> dict[str, Any]:
    """Times, and for each of them the reward and the decoded value of every action element.

    `actions` is empty without a manifest, `reward` where the source has none.

    Raises:
        FormatError: a record is damaged.
    """
    found, records = files.found, files.records
    counts = found.num_timesteps[records.start : records.stop].astype(np.int64)
    before = np.concatenate([[0], np.cumsum(counts)])
    times = np.unique(np.linspace(0, max(before[-1] - 1, 0), min(POINTS, int(before[-1]))).round().astype(np.int64))
    manifest = decoder.manifest
    known = manifest is not None and task in manifest.tasks and manifest.tasks[task].actions
    offsets = action_offsets(manifest, task) if manifest is not None and known else np.zeros(0, np.int64)
    rewards: list[NDArray[np.generic]] = [np.zeros(0, np.float32)]
    ids: list[NDArray[np.int64]] = [np.zeros((0, len(offsets)), np.int64)]
    with files.path.open("rb") as file:
        for chunk, number in enumerate(records):
            here = times[(times >= before[chunk]) & (times < before[chunk + 1])] - before[chunk]
            if not len(here):
                continue
            rewards.append(read_column(file.fileno(), found, number, "reward", "<f4")[here])
            if len(offsets):
                ids.append(action_ids(file.fileno(), found, number, offsets)[here])
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
            column = continuous.decode(ids[:, number], compand=False)
            if slot.field.low is not None and slot.field.high is not None:
                column = continuous.unscale(column, slot.field.low, slot.field.high)
        values[printable(slot.name)] = [round(float(value), 6) for value in column]
    return values
