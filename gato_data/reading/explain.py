"""Which episodes the windows of a batch are made of, by name."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from gato_data.reading.pieces import Pieces, Windows
from gato_data.reading.plan import BatchPlan
from gato_data.reading.prompts import Prompts
from gato_data.shards.episodes import EpisodeTable
from gato_data.shards.files import ShardFiles
from gato_schemas.errors import FormatError
from gato_schemas.record import HEAD_BYTES, read_episode_id


class ExplainedPiece(msgspec.Struct, frozen=True, kw_only=True):
    """A run of tokens in a window.

    Attributes:
        role: "window"; "prompt"; or "packed" for each of several short episodes.
        slots: first slot and one past the last.
        episode_id: of its episode.
        task: of its episode.
        agent: of its episode.
        tokens: first token and one past the last, within the episode.
        trained_from: first token of them that is trained on; no less than the end of `tokens` if none is.
        shard: the file where it begins.
        record: number of the record in that file.
    """

    role: str
    slots: tuple[int, int]
    episode_id: str
    task: str
    agent: str
    tokens: tuple[int, int]
    trained_from: int
    shard: str
    record: int


class ExplainedWindow(msgspec.Struct, frozen=True, kw_only=True):
    """One window of a batch.

    Attributes:
        sample: its global sample number.
        dataset: its name.
        epoch: how often all windows of the dataset were drawn before.
        window: its number among the windows of the dataset.
        pieces: what it is made of.
    """

    sample: int
    dataset: str
    epoch: int
    window: int
    pieces: list[ExplainedPiece]


@dataclass(frozen=True, slots=True)
class Explainer:
    """Names what a plan reads.

    Attributes:
        table, files: of the mixture.
        names: of the datasets.
    """

    table: EpisodeTable
    files: ShardFiles
    names: Sequence[str]

    def explain(self, windows: Windows, plan: BatchPlan, prompts: Prompts) -> list[ExplainedWindow]:
        """One entry for each window.

        Raises:
            FormatError: a shard is missing or damaged.
        """
        pieces, reads = plan.pieces, plan.reads
        first = np.searchsorted(reads.row * 2**32 + reads.slot, pieces.row * 2**32 + pieces.slot)
        prompted = set(prompts.row.tolist())
        explained: list[list[ExplainedPiece]] = [[] for _ in windows.sample]
        for number in range(len(pieces.row)):
            row, slot = int(pieces.row[number]), int(pieces.slot[number])
            role = "prompt" if row in prompted and slot == 0 else "window"
            if windows.bin_number[row] >= 0:
                role = "packed"
            read = int(first[number])
            explained[row].append(self._piece(pieces, number, role, int(reads.shard[read]), int(reads.record[read])))
        return [
            ExplainedWindow(
                sample=int(windows.sample[row]),
                dataset=self.names[int(windows.dataset[row])],
                epoch=int(windows.epoch[row]),
                window=int(windows.number[row]),
                pieces=explained[row],
            )
            for row in range(len(explained))
        ]

    def _piece(self, pieces: Pieces, number: int, role: str, shard: int, record: int) -> ExplainedPiece:
        slot, token, length, untrained = (
            int(getattr(pieces, name)[number]) for name in ("slot", "token", "length", "untrained")
        )
        episode = int(np.searchsorted(self.table.episode_record, record, side="right")) - 1
        start = token - int(self.table.record_token[self.table.episode_record[episode]])
        index = self.files.index(shard)
        local = self.table.local(record, shard)
        return ExplainedPiece(
            role=role,
            slots=(slot, slot + length),
            episode_id=self._episode_id(shard, local),
            task=index.header.tasks[int(index.task[local])],
            agent=index.header.agents[int(index.agent[local])],
            tokens=(start, start + length),
            trained_from=start + untrained,
            shard=self.files.shards[shard].info.name,
            record=local,
        )

    def _episode_id(self, shard: int, local: int) -> str:
        index = self.files.index(shard)
        head = bytearray(min(HEAD_BYTES, int(index.length[local])))
        self.files.read(shard, int(index.offset[local]), memoryview(head))
        try:
            return read_episode_id(bytes(head))
        except FormatError as error:
            raise self.files.error(shard, int(index.offset[local]), "has a record without an episode id") from error
