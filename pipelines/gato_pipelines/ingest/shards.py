"""Writing the shards of one part: temporary names, checksums, rename, the index as commit marker."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from gato_data.errors import EpisodeError
from gato_data.files import write_durably
from gato_data.shards.writer import ShardWriter
from gato_data.statistics import StatisticsBuilder
from gato_data.tokenize import TextModel, tokenize_document, tokenize_episode
from gato_pipelines.documents.texts.batching import with_texts
from gato_pipelines.documents.texts.duplicates import read_duplicates
from gato_pipelines.files.unchanged import check_unchanged
from gato_pipelines.ingest.account import PartAccount
from gato_pipelines.ingest.disk_errors import cannot_read, cannot_write
from gato_pipelines.ingest.episodes_read import EpisodesRead
from gato_pipelines.ingest.job import Job, finished
from gato_pipelines.source import Item
from gato_schemas.account import Note
from gato_schemas.dataset import WORK
from gato_schemas.episode import Document, Episode, EpisodeSpec
from gato_schemas.index import DeadLetter, IndexHeader, Part, encode_index, index_path
from gato_schemas.record import Record
from gato_schemas.sequence import TokenSequence

MAX_DEAD_LETTERS = 10_000
"""Dead letters of one part that are kept one by one; the others are counted together."""
_AGAIN = Note("left-out", "documents that occurred before, to the letter")


def episode_id_of(part: Part, number: int, ordinal: int) -> str:
    """Id of an episode: that of its place in a file, which is part `number` of the dataset."""
    return f"{part.task}/{number:05d}/{ordinal:06d}"


def split_of(episode_id: str, holdout: float) -> str:
    """Split of an episode: a hash of its id, whatever else is in the dataset."""
    digest = hashlib.blake2b(episode_id.encode(), digest_size=8, person=b"gato-holdout").digest()
    return "validation" if int.from_bytes(digest, "big") < holdout * 2**64 else "train"


def write_part(job: Job, number: int) -> None:
    """Write the shards of part `number`, one per split, unless they are there already.

    Temporary names are this call's own: a runner may call again for a part while a lost worker
    still writes it.

    Raises:
        InputError: the input cannot be read.
        OutputError: the output folder cannot be written.
    """
    if finished(job, number) is not None:
        return
    try:
        (job.out / WORK).mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f"part-{number:05d}-", dir=job.out / WORK) as folder:
            _PartWriter(job, number, Path(folder)).write()
    except OSError as error:
        raise cannot_write(error, job.out) from error


class _PartWriter:
    """Writes the shards of one part.

    Args:
        job: of the dataset.
        number: of the part.
        work: folder of the temporary shards.
    """

    def __init__(self, job: Job, number: int, work: Path) -> None:
        self._job, self._number, self._work = job, number, work
        self._part = job.plan.parts[number]
        self._statistics = {
            split: StatisticsBuilder(job.recipe.vocabulary, job.settings.tokenize) for split in job.splits
        }
        text = job.recipe.text
        self._account = PartAccount(self._part.task, None if text is None else text.unknown_id)
        self._letters: list[DeadLetter] = []

    def write(self) -> None:
        """Write what the source reads, and give the shards their names."""
        job = self._job
        with ExitStack() as stack:
            files = {
                split: stack.enter_context((self._work / self._shard(split).name).open("wb")) for split in job.splits
            }
            asked, tasks = job.settings, list(job.plan.tasks)
            writers = {
                split: ShardWriter(file, asked.encoding, tasks, job.plan.agents, asked.tokenize.chunk_tokens)
                for split, file in files.items()
            }
            read = stack.enter_context(EpisodesRead(self._work))
            for item, text in with_texts(_items(job, self._number), job.recipe.text):
                self._add(item, text, writers)
                read.count(item.count)
            for file in files.values():
                file.flush()
                os.fsync(file.fileno())
        for split, writer in writers.items():
            self._publish(split, writer)

    def _shard(self, split: str) -> Path:
        return self._job.shard(self._number, split)

    def _add(self, item: Item, text: TextModel | None, writers: dict[str, ShardWriter]) -> None:
        part = self._part
        self._account.add_item(item)
        if item.content is None and item.error is None and item.notes:
            return
        episode_id = episode_id_of(part, self._number, item.ordinal)
        split = split_of(episode_id, self._job.settings.holdout)
        try:
            sequence = _tokenize(self._job, part, item, self._statistics[split], text)
            writers[split].add(_record(episode_id, item, sequence))
        except EpisodeError as error:
            place = f"{part.input}/{part.file}"
            letter = DeadLetter(place, item.key, error.stage, str(error), item.count)
            _bury(self._letters, letter)
            return
        self._account.add_sequence(sequence)
        if isinstance(item.content, Episode):
            self._statistics[split].add(item.content, _spec(self._job, part), sequence)

    def _publish(self, split: str, writer: ShardWriter) -> None:
        """Write the index of a shard, and give both their names, the index last."""
        job, shard = self._job, self._shard(split)
        header = IndexHeader(
            shard=shard.name,
            shard_size=writer.size,
            digest=writer.digest,
            split=split,
            part=self._part,
            fingerprint=job.recipe.fingerprint,
            token_dtype=job.recipe.vocabulary.token_dtype,
            patch_encoding=job.settings.patch_encoding,
            tasks=list(job.plan.tasks),
            agents=job.plan.agents,
            totals=writer.totals(),
            statistics=self._statistics[split].result(),
            dead_letters=self._letters if split == "train" else [],
            notes=self._account.result() if split == "train" else [],
        )
        fresh = self._work / shard.name
        write_durably(index_path(fresh), encode_index(header, writer.arrays()))
        if job.remote is not None:
            job.remote.push_shard(fresh, index_path(fresh))
        fresh.replace(shard)
        index_path(fresh).replace(index_path(shard))


def _items(job: Job, number: int) -> Iterator[Item]:
    part, source = job.plan.parts[number], job.source.made
    folder, size = job.inputs.folder(part), job.plan.sizes[number] if job.plan.sizes else None
    duplicates = read_duplicates(job.out / WORK, part)
    try:
        with job.source.blamed():
            check_unchanged(source, folder, part, size)
            with job.inputs.files_here(source, part):
                for item in source.read(folder, part, job.plan.tasks[part.task]):
                    again = item.error is None and item.ordinal in duplicates
                    yield Item(item.key, item.ordinal, notes=(_AGAIN,)) if again else item
            check_unchanged(source, folder, part, size)
    except OSError as error:
        raise cannot_read(error, part.file) from error


def _tokenize(job: Job, part: Part, item: Item, statistics: StatisticsBuilder, text: TextModel | None) -> TokenSequence:
    if item.error is not None:
        raise item.error
    vocabulary, settings = job.recipe.vocabulary, job.settings.tokenize
    if isinstance(item.content, Document):
        if text is None:
            raise EpisodeError("the document has text, and no text model was given")
        return tokenize_document(item.content, vocabulary, settings, text)
    if not isinstance(item.content, Episode):
        raise EpisodeError("the source gave neither an episode nor an error", stage="read")
    spec = _spec(job, part)
    try:
        return tokenize_episode(item.content, spec, vocabulary, settings, text)
    except EpisodeError:
        statistics.count_nan(item.content, spec)
        raise


def _spec(job: Job, part: Part) -> EpisodeSpec:
    task = job.plan.tasks[part.task]
    return EpisodeSpec(tuple(task.observations), tuple(task.actions))


def _record(episode_id: str, item: Item, sequence: TokenSequence) -> Record:
    content = item.content
    assert content is not None
    episode = content if isinstance(content, Episode) else None
    return Record(
        episode_id=episode_id,
        source_episode_id=content.source_episode_id,
        task=content.task,
        agent=content.agent,
        episode_return=episode.episode_return if episode else float("nan"),
        is_terminal=episode.is_terminal if episode else False,
        sequence=sequence,
    )


def _bury(letters: list[DeadLetter], letter: DeadLetter) -> None:
    """Keep a dead letter; beyond the limit only their number grows."""
    if len(letters) < MAX_DEAD_LETTERS:
        letters.append(letter)
        return
    last = letters[-1]
    letters[-1] = DeadLetter(last.source, "", last.stage, "and others", last.count + letter.count)
