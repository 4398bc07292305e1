"""What the actions of a dataset look like, from a sample of its records: only their ids are read, never a patch."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import FormatError
from gato_data.report.episodes import indexes
from gato_data.shards.file import ShardFile, open_shard
from gato_schemas.columns import ROWS, decode_column, decode_tokens
from gato_schemas.dataset import Manifest
from gato_schemas.index import ShardIndex
from gato_schemas.sequence import POSITION_ACTION

SAMPLED_RECORDS = 256
"""Records whose actions are counted, spread evenly over the dataset."""
COMMONEST = 4096
"""Different actions that are counted apart, so that memory stays bounded."""


@dataclass(slots=True)
class ActionSample:
    """Actions of one task.

    Attributes:
        timesteps: sampled.
        followed, repeated: action tokens with an action before them in the record, and how many of them are the same
            as there.
        counts: int64 (A, 1024), how often each id of each action token occurs; ids counted from its first.
        commonest: whole actions as ids, and how often they occur.
    """

    timesteps: int = 0
    followed: int = 0
    repeated: int = 0
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 1024), np.int64))
    commonest: Counter[tuple[int, ...]] = field(default_factory=Counter)

    @property
    def repeated_actions(self) -> float | None:
        """What repeating the action before has as accuracy over action tokens; None where no action has one."""
        return self.repeated / self.followed if self.followed else None

    def add(self, ids: NDArray[np.int64]) -> None:
        """Add ids (T, A) of one record, counted from the first id of their kind."""
        if not len(self.counts):
            self.counts = np.zeros((ids.shape[1], 1024), np.int64)
        self.timesteps += len(ids)
        self.followed += ids[1:].size
        self.repeated += int(np.count_nonzero(ids[1:] == ids[:-1]))
        for number in range(ids.shape[1]):
            self.counts[number] += np.bincount(ids[:, number], minlength=1024)
        actions, counts = np.unique(ids, axis=0, return_counts=True)
        for place in np.argsort(-counts, kind="stable")[:COMMONEST]:
            self.commonest[tuple(actions[place].tolist())] += int(counts[place])
        if len(self.commonest) > 2 * COMMONEST:
            self.commonest = Counter(dict(self.commonest.most_common(COMMONEST)))


def sample_actions(folder: Path, manifest: Manifest, limit: int = SAMPLED_RECORDS) -> dict[str, ActionSample]:
    """Actions by task, of at most `limit` records spread over all splits.

    Raises:
        FormatError: an index is damaged, or a record's ids are no actions.
    """
    total = sum(split.totals.records for split in manifest.splits.values())
    chosen = np.unique(np.linspace(0, max(total - 1, 0), min(limit, total)).astype(np.int64)) if total else np.zeros(0)
    samples = {name: ActionSample() for name, task in manifest.tasks.items() if task.actions}
    before = 0
    for _, name, found in indexes(folder, manifest):
        here = chosen[(chosen >= before) & (chosen < before + len(found))] - before
        before += len(found)
        whole = (folder / name).is_file() and (folder / name).stat().st_size == found.header.shard_size
        if len(here) and whole:  # a missing or truncated shard is a finding of its own
            file = open_shard(folder / name)
            for number in here.tolist():
                _add(samples, manifest, file, found, int(number))
    return samples


def _add(samples: dict[str, ActionSample], manifest: Manifest, file: ShardFile, found: ShardIndex, number: int) -> None:
    task = found.header.tasks[int(found.task[number])]
    sample = samples.get(task)
    if sample is None:
        return
    ids = action_ids(file, found, number, action_offsets(manifest, task))
    if len(ids):
        sample.add(ids)


def action_ids(file: ShardFile, found: ShardIndex, number: int, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """The action tokens of a record, int64 (T, A), each counted from the first id of its kind.

    Raises:
        FormatError: the record's ids are no actions, or the shard is truncated.
    """
    where = f"record {number} of {found.header.shard}"
    tokens = read_column(file, found, number, "tokens")
    position = read_column(file, found, number, "position")
    ids = tokens[position == POSITION_ACTION].astype(np.int64)
    if not len(offsets) or len(ids) != len(offsets) * int(found.num_timesteps[number]):
        raise FormatError(f"{where} has {len(ids)} action tokens in {found.num_timesteps[number]} timesteps")
    values: NDArray[np.int64] = ids.reshape(-1, len(offsets)) - offsets
    if ((values < 0) | (values >= 1024)).any():
        raise FormatError(f"{where} has an action token outside its range")
    return values


def action_offsets(manifest: Manifest, task: str) -> NDArray[np.int64]:
    """The first id of the kind of every action token, int64 (A,)."""
    table = manifest.vocabulary
    first = {"discrete": table.discrete_offset, "continuous": table.continuous_offset}
    fields = manifest.tasks[task].actions
    return np.array([first[f.modality] for f in fields for _ in range(f.num_tokens)], np.int64)


def read_column(file: ShardFile, found: ShardIndex, number: int, name: str) -> NDArray[Any]:
    """One array column of a record, without the rest of the record: a value per token, of `reward` per timestep.

    Raises:
        FormatError: the column is damaged, or the shard is truncated.
    """
    start, size = found.payload(number, name)
    data = memoryview(file.read(start, size))
    if len(data) != size:
        raise FormatError(f"{found.header.shard} is truncated inside record {number}")
    try:
        if name == "tokens":
            return decode_tokens(data, int(found.num_tokens[number]))
        rows = int(found.arrays[f"num_{ROWS[name]}"][number])
        return decode_column(name, data, rows, found.header.patch_encoding)
    except FormatError as error:
        raise FormatError(f"record {number} of {found.header.shard}: {error}") from error
