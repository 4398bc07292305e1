"""Reading a dataset back, record by record, with chunks put together."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gato_schemas.dataset import read_manifest
from gato_schemas.record import Record, decode_record
from gato_schemas.tfrecord import read_records


@dataclass(frozen=True)
class Written:
    """The columns of one episode."""

    task: str
    agent: str
    source_id: str
    episode_return: float
    is_terminal: bool
    tokens: np.ndarray
    modality: np.ndarray
    loss_mask: np.ndarray
    position: np.ndarray
    patches: np.ndarray
    timestep_starts: np.ndarray
    reward: np.ndarray


def read_dataset(folder: Path, split: str = "train") -> list[Written]:
    """Every episode of a split, in order."""
    manifest = read_manifest(folder)
    episodes: list[list[Record]] = []
    for shard in manifest.splits[split].shards:
        for raw in read_records(folder / shard.name):
            record = decode_record(raw.data, manifest.patch_encoding.name)
            if record.chunk == 0:
                episodes.append([])
            episodes[-1].append(record)
    return [_whole(records) for records in episodes]


def _whole(records: list[Record]) -> Written:
    sequences = [record.sequence for record in records]
    offsets = np.cumsum([0, *(sequence.num_tokens for sequence in sequences[:-1])])
    starts = [s.timestep_starts + offset for s, offset in zip(sequences, offsets, strict=True)]
    first = records[0]
    return Written(
        task=first.task,
        agent=first.agent,
        source_id=first.source_episode_id,
        episode_return=first.episode_return,
        is_terminal=first.is_terminal,
        tokens=np.concatenate([s.tokens for s in sequences]),
        modality=np.concatenate([s.modality for s in sequences]),
        loss_mask=np.concatenate([s.loss_mask for s in sequences]),
        position=np.concatenate([s.position for s in sequences]),
        patches=np.concatenate([s.patches for s in sequences]),
        timestep_starts=np.concatenate(starts),
        reward=np.concatenate([s.reward for s in sequences]),
    )
