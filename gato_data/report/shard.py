"""What is in one shard: from its index alone where there is one, else by reading the shard from end to end."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from gato_data.errors import FormatError
from gato_data.report.encode import by_modality, loss_share
from gato_data.report.files import check_shard
from gato_data.report.record import counted_record
from gato_data.shards.file import ShardFile, open_shard
from gato_data.shards.index import check_fits, index_of
from gato_schemas import index, tfrecord
from gato_schemas.record import HEAD_BYTES, Record, read_episode_id
from gato_schemas.statistics import Counts


class RecordSummary(msgspec.Struct, frozen=True, kw_only=True, rename={"number": "record", "episode_return": "return"}):
    """One record of a shard.

    Attributes:
        number: of the record in the shard, 0-based.
        episode_id: None where it cannot be read from the head of the record.
        tokens_by_modality: by the name of the modality.
        loss_share: of the tokens; None where there are none.
        episode_return: of the whole episode; NaN where there are no rewards.
    """

    number: int
    episode_id: str | None
    task: str
    agent: str
    chunk: int
    num_chunks: int
    timesteps: int
    images: int
    tokens: int
    tokens_by_modality: dict[str, int]
    loss_tokens: int
    loss_share: float | None
    episode_return: float
    is_terminal: bool


class ShardSummary(msgspec.Struct, frozen=True, kw_only=True, rename={"name": "shard"}):
    """A shard and its first records.

    Attributes:
        split, patch_encoding, fingerprint: from the index; None without it.
        dead_letters: episodes that were left out of this shard; None without an index.
        from_index: False where the shard itself had to be read.
        records: the first ones; `totals.records` says how many there are.
    """

    name: str
    bytes: int
    split: str | None
    patch_encoding: str | None
    fingerprint: str | None
    dead_letters: int | None
    from_index: bool
    totals: Counts
    records: Sequence[RecordSummary]


def summarize_shard(path: Path, limit: int | None = None) -> ShardSummary:
    """What is in a shard; at most `limit` records are described, all of them are counted.

    With an index the shard is opened only for the episode ids of the records described.

    Raises:
        InputError: there is no such file.
        FormatError: the file is no shard, or it or its index is truncated or damaged.
    """
    check_shard(path)
    found = index_of(path)
    if found is None:
        return _streamed(path, limit)
    check_fits(path, found)
    return _indexed(path, found, limit)


def _indexed(path: Path, found: index.ShardIndex, limit: int | None) -> ShardSummary:
    header = found.header
    shown = range(len(found) if limit is None else min(limit, len(found)))
    records = [_row(found, number, name) for number, name in zip(shown, _episode_ids(path, found, shown), strict=True)]
    return ShardSummary(
        name=path.name,
        bytes=header.shard_size,
        split=header.split,
        patch_encoding=header.patch_encoding,
        fingerprint=header.fingerprint,
        dead_letters=sum(letter.count for letter in header.dead_letters),
        from_index=True,
        totals=found.totals(),
        records=records,
    )


def _row(found: index.ShardIndex, number: int, episode_id: str | None) -> RecordSummary:
    return RecordSummary(
        number=number,
        episode_id=episode_id,
        task=found.header.tasks[int(found.task[number])],
        agent=found.header.agents[int(found.agent[number])],
        chunk=int(found.chunk[number]),
        num_chunks=int(found.num_chunks[number]),
        timesteps=int(found.num_timesteps[number]),
        images=int(found.num_images[number]),
        tokens=int(found.num_tokens[number]),
        tokens_by_modality=by_modality(found.tokens_by_modality[number]),
        loss_tokens=int(found.loss_tokens[number]),
        loss_share=loss_share(int(found.loss_tokens[number]), int(found.num_tokens[number])),
        episode_return=float(found.episode_return[number]),
        is_terminal=bool(found.is_terminal[number]),
    )


def _episode_ids(path: Path, found: index.ShardIndex, numbers: Iterable[int]) -> list[str | None]:
    file = open_shard(path)
    return [_episode_id(file, found, number) for number in numbers]


def _episode_id(file: ShardFile, found: index.ShardIndex, number: int) -> str | None:
    """The id of one record from the head of its data; None where it is not there."""
    size = min(int(found.length[number]), HEAD_BYTES)
    try:
        return read_episode_id(file.read(int(found.offset[number]), size))
    except FormatError:
        return None


def _streamed(path: Path, limit: int | None) -> ShardSummary:
    records: list[RecordSummary] = []
    totals = Counts()
    for record, counts in _whole_records(path):
        if limit is None or len(records) < limit:
            records.append(_summary(totals.records, record, counts))
        totals += counts
    return ShardSummary(
        name=path.name,
        bytes=path.stat().st_size,
        split=None,
        patch_encoding=None,
        fingerprint=None,
        dead_letters=None,
        from_index=False,
        totals=totals,
        records=records,
    )


def _whole_records(path: Path) -> Iterator[tuple[Record, Counts]]:
    try:
        for raw in tfrecord.read_records(path):
            if raw.error:
                raise tfrecord.TFRecordError(raw.error, raw.ordinal)
            yield counted_record(raw.data, path.name, raw.ordinal)
    except tfrecord.TFRecordError as error:
        if not error.ordinal:
            raise
        whole = "record 0 is whole" if error.ordinal == 1 else f"records 0 to {error.ordinal - 1} are whole"
        raise FormatError(f"{error}: {whole}, look at them with --record") from error


def _summary(number: int, record: Record, counts: Counts) -> RecordSummary:
    return RecordSummary(
        number=number,
        episode_id=record.episode_id,
        task=record.task,
        agent=record.agent,
        chunk=record.chunk,
        num_chunks=record.num_chunks,
        timesteps=counts.timesteps,
        images=counts.images,
        tokens=counts.tokens,
        tokens_by_modality=by_modality(counts.tokens_by_modality),
        loss_tokens=counts.loss_tokens,
        loss_share=loss_share(counts.loss_tokens, counts.tokens),
        episode_return=record.episode_return,
        is_terminal=record.is_terminal,
    )
