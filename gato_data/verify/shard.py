"""One shard against itself, its index and the manifest, in one pass and with the memory of one record."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from gato_data.shards.episode_hash import EpisodeHasher
from gato_data.verify.content import ContentCheck, Problem
from gato_data.verify.findings import Finding, Findings, Remedy
from gato_data.verify.index_row import differences
from gato_data.verify.patches import patch_problems
from gato_data.verify.payloads import column_problems
from gato_data.verify.regions import Region, regions
from gato_schemas import wire
from gato_schemas.dataset import Manifest
from gato_schemas.errors import FormatError
from gato_schemas.index import ShardIndex
from gato_schemas.index_rows import find_payloads, index_row
from gato_schemas.record import Record, record_counts, record_of
from gato_schemas.statistics import Counts
from gato_schemas.tfrecord import HEADER_BYTES


@dataclass(frozen=True, slots=True)
class Removal:
    """A region of a shard that cannot stay.

    Attributes:
        region: where it lies, without its data.
        episode_id: the episode it belongs to; empty where that cannot be read.
        episodes: how many episodes begin in it.
        reason: why.
        whole: whether its bytes are what was written, by its checksum; not so the rest of an episode that lost a chunk.
    """

    region: Region
    episode_id: str
    episodes: int
    reason: str
    whole: bool = False


@dataclass(slots=True)
class ShardCheck:
    """What one pass over a shard found.

    Attributes:
        counts: of the records that could be read.
        removals: regions that cannot stay, by where they begin; whole episodes.
        lost: records that the index knows and that the shard is too short to hold, and the episodes among them.
        frames_damaged: whether a frame around a whole record has to be written anew.
        index_differs: whether the index says something else than the shard.
        digest: SHA-256 of the shard; None where something of it is damaged.
        unindexed: whole records that the index does not know, or knows with another checksum.
    """

    counts: Counts = field(default_factory=Counts)
    removals: dict[int, Removal] = field(default_factory=dict)
    lost: tuple[int, int] = (0, 0)
    frames_damaged: bool = False
    index_differs: bool = False
    digest: str | None = None
    unindexed: int = 0


def check_records(path: Path, manifest: Manifest, index: ShardIndex | None, findings: Findings) -> ShardCheck | None:
    """Read every byte of a shard; None where no record can be found in it.

    Raises:
        OSError: the shard cannot be read.
    """
    walk = _Walk(path.name, manifest, index, findings)
    for region in regions(path, index):
        if region.data is None and (region.start, region.end) == (0, path.stat().st_size):
            message = "no record can be found in it: copy the shard here again, or run the ingest again"
            findings.add(Finding(check="foreign", file=path.name, message=message, byte=0))
            return None
        walk.take(region)
    walk.end()
    return walk.check


class _Walk:
    """The state of one pass: the episode that is being read, and what the index says of it."""

    def __init__(self, name: str, manifest: Manifest, index: ShardIndex | None, findings: Findings) -> None:
        self.check = ShardCheck()
        self._name, self._manifest, self._index, self._findings = name, manifest, index, findings
        self._tasks = {name: number for number, name in enumerate(manifest.tasks)}
        self._agents = {name: number for number, name in enumerate(manifest.agents)}
        self._content = ContentCheck(manifest)
        self._seen: set[int] = set()
        self._episode: list[tuple[Region, int | None]] = []
        self._last: Record | None = None
        self._hasher = EpisodeHasher()
        self._faulty, self._whole = "", False
        self._end = 0
        self._digest: Any = hashlib.sha256()

    def take(self, region: Region) -> None:
        """Check the next region of the shard."""
        self._end = region.end
        self._hash(region)
        if region.error and region.whole:
            self.check.frames_damaged = True
            self._find("checksum", region.error, region, remedy="rebuild")
        if region.data is None or not region.whole:
            self._close()
            self._find("checksum" if region.data is not None else "truncated", region.error, region)
            self._remove(region, "", region.error)
            return
        try:
            features = wire.decode_example(region.data)
            record = record_of(features, self._manifest.patch_encoding.name, with_patches=False)
        except FormatError as error:
            self._close()
            self._find("record", f"the record cannot be read ({error})", region, remedy="force")
            self._remove(region, "", str(error), whole=True)
            return
        if self._last is None or not self._follows(record):
            self._close()
        self._add(region, record, features)

    def _hash(self, region: Region) -> None:
        """A record that is whole, and its frame, have one encoding, so what was read need not be kept."""
        if region.error or region.data is None:
            self._digest = None
        elif self._digest is not None:
            for part in region.written:
                self._digest.update(part)

    def end(self) -> None:
        """The shard is read."""
        self.check.digest = None if self._digest is None else self._digest.hexdigest()
        self._close()
        beyond = np.zeros(0, bool) if self._index is None else self._index.offset > np.uint64(self._end)
        if self._index is not None and beyond.any():
            lost = int(np.count_nonzero(beyond))
            self.check.lost = lost, int(np.count_nonzero(self._index.chunk[beyond] == 0))
            self.check.index_differs = True
            message = f"the shard is truncated: it ends here, the index knows {lost} more records"
            self._find("truncated", message, Region(len(beyond) - lost, self._end, self._end, None), remedy="rebuild")

    def _follows(self, record: Record) -> bool:
        last = self._last
        return last is not None and last.episode_id == record.episode_id and record.chunk == last.chunk + 1

    def _add(self, region: Region, record: Record, features: wire.Features) -> None:
        found = list(self._problems(record, features))
        if not self._episode:
            if record.chunk != 0:
                found.append(("chunks", f"the episode begins with chunk {record.chunk}, the ones before are missing"))
            key = hash(record.episode_id)
            if key in self._seen:
                found.append(("chunks", "an episode of this id was in the shard before"))
            self._seen.add(key)
        elif self._last is not None and record.num_chunks != self._last.num_chunks:
            found.append(("chunks", f"chunks of one episode say {self._last.num_chunks} and {record.num_chunks}"))
        for check, message in found:
            self._find(check, message, region, record.episode_id, "quarantine" if check == "chunks" else "force")
            self._faulty = self._faulty or message
            self._whole = self._whole or check != "chunks"
        at = self._compare(region, record, features)
        self._episode.append((replace(region, data=None), at))
        self.check.counts += Counts.of(record, record_counts(features)["distinct_patches"])
        self._last = record

    def _problems(self, record: Record, features: wire.Features) -> Iterator[Problem]:
        if record.task not in self._manifest.tasks or record.agent not in self._agents:
            yield "task", f"task {record.task!r} or agent {record.agent!r} is not in the manifest"
        if not 0 <= record.chunk < record.num_chunks:
            yield "chunks", f"chunk {record.chunk} of {record.num_chunks} cannot be"
        yield from self._content.problems(record)
        self._hasher.add_tokens(record.sequence.tokens)
        encoding = self._manifest.patch_encoding.name
        yield from (("record", problem) for problem in column_problems(features, record.sequence, encoding))
        yield from (("patches", problem) for problem in patch_problems(features, encoding, self._hasher))

    def _close(self) -> None:
        """The episode ends here: it is whole, or all of it has to go."""
        last = self._last
        if last is None:
            return
        if last.chunk + 1 != last.num_chunks:
            message = f"the episode ends after chunk {last.chunk} of {last.num_chunks}"
            self._find("chunks", message, self._episode[-1][0], last.episode_id)
            self._faulty = self._faulty or message
        if self._faulty:
            begins = last.chunk + 1 == len(self._episode)
            for number, (region, _) in enumerate(self._episode):
                self._remove(region, last.episode_id, self._faulty, int(begins and number == 0), whole=self._whole)
        elif self._index is not None:
            rows = [row for _, row in self._episode if row is not None]
            if (self._index.episode_hash[rows] != np.uint64(self._hasher.result())).any():
                self._differ("the hash of the episode in the index is another", self._episode[0][0])
        self._episode, self._last, self._hasher = [], None, EpisodeHasher()
        self._faulty, self._whole = "", False

    def _compare(self, region: Region, record: Record, features: wire.Features) -> int | None:
        """Compare a record with its row of the index, whose number is returned."""
        index, offset = self._index, region.start + HEADER_BYTES
        if index is None or region.data is None:
            return None
        at = int(np.searchsorted(index.offset, np.uint64(offset)))
        if at == len(index) or int(index.offset[at]) != offset:
            self._differ("the index does not know this record", region)
            self.check.unindexed += 1
            return None
        encoded = find_payloads(region.data, features)
        try:
            row = index_row(record, encoded, self._tasks, self._agents) | {"crc": region.crc}
        except FormatError:
            return at  # found already
        differing = list(differences(index, at, row, encoded.blocks))
        self.check.unindexed += "crc" in differing
        if differing:
            self._differ(f"the index says something else of {', '.join(differing)}", region)
        return at

    def _remove(
        self, region: Region, episode_id: str, reason: str, episodes: int | None = None, *, whole: bool = False
    ) -> None:
        if episodes is None:
            episodes = self._episodes_in(region)
        place = replace(region, data=None)
        self.check.removals[region.start] = Removal(place, episode_id, episodes, reason, whole)

    def _episodes_in(self, region: Region) -> int:
        """How many episodes begin in a region that cannot be read, by the index."""
        if self._index is None:
            return 1
        offset = self._index.offset
        inside = (offset > np.uint64(region.start)) & (offset < np.uint64(region.end))
        if inside.any():
            return int(np.count_nonzero(self._index.chunk[inside] == 0))
        # what is left of a frame's header, when a shard is cut in it: its record is one of those that are lost
        beyond = (offset == np.uint64(region.start + HEADER_BYTES)) & (offset > np.uint64(region.end))
        return 0 if beyond.any() else 1

    def _find(
        self, check: str, message: str, region: Region, episode_id: str = "", remedy: Remedy = "quarantine"
    ) -> None:
        text = f"{message} ({episode_id})" if episode_id else message
        self._findings.add(
            Finding(check=check, file=self._name, message=text, record=region.number, byte=region.start, remedy=remedy)
        )

    def _differ(self, message: str, region: Region) -> None:
        self.check.index_differs = True
        self._find("index", message, region, remedy="rebuild")
