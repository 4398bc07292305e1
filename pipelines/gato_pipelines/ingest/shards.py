"""Writing the shards of one part: temporary names, checksums, rename, and the index as commit marker."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gato_data.errors import EpisodeError, InputError, OutputError
from gato_data.files import write_durably
from gato_data.shards.writer import ShardWriter
from gato_data.statistics import StatisticsBuilder
from gato_data.tokenize import TextModel, TokenizeSettings, tokenize_document, tokenize_episode
from gato_data.tokenizers.text import TextTokenizer
from gato_data.vocabulary import Vocabulary
from gato_pipelines.documents.texts.batching import with_texts
from gato_pipelines.documents.texts.duplicates import read_duplicates
from gato_pipelines.files.unchanged import check_unchanged
from gato_pipelines.ingest.account import PartAccount
from gato_pipelines.registry.find import make_source
from gato_pipelines.registry.own import blamed
from gato_pipelines.remote.input import Mirror, files_here
from gato_pipelines.remote.output import RemoteOutput
from gato_pipelines.source import Item, Plan, Source
from gato_schemas.account import Note
from gato_schemas.compression import PatchEncoding
from gato_schemas.dataset import WORK as WORK
from gato_schemas.dataset import shard_name
from gato_schemas.episode import Document, Episode, EpisodeSpec
from gato_schemas.errors import FormatError
from gato_schemas.index import SUFFIX, DeadLetter, IndexHeader, Part, ShardIndex, encode_index, read_index
from gato_schemas.record import Record
from gato_schemas.sequence import TokenSequence

MAX_DEAD_LETTERS = 10_000
"""Dead letters of one part that are kept one by one; the others are counted together."""
_AGAIN = Note("left-out", "documents that occurred before, to the letter")


@dataclass(frozen=True)
class Job:
    """Everything that decides the bytes of the shards, and where they go. It travels to the workers once.

    Attributes:
        source, settings: name and settings of the source.
        inputs: where each input lies, by its name; the paths go into no file.
        out: the dataset's folder.
        name: the dataset's name.
        plan: what was decided for the whole dataset.
        tokenize, vocabulary, encoding: how episodes become records.
        text_model: serialized text model, None where there is no text.
        holdout: share of episodes in the validation split.
        libraries: versions of the libraries that decide bytes.
        fingerprint: hash of all that decides the bytes.
        mirrors: of the inputs whose files come when they are read, by name.
        output: what copies shards to where they belong; None where that is `out`.
    """

    source: str
    settings: dict[str, Any]
    inputs: dict[str, Path]
    out: Path
    name: str
    plan: Plan
    tokenize: TokenizeSettings
    vocabulary: Vocabulary
    encoding: PatchEncoding
    text_model: bytes | None
    holdout: float
    libraries: dict[str, str]
    fingerprint: str
    mirrors: Mapping[str, Mirror] = field(default_factory=dict)
    output: RemoteOutput | None = None

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that are written."""
        return ("train", "validation") if self.holdout > 0 else ("train",)

    def shard(self, number: int, split: str) -> Path:
        """Path of the shard that a part becomes."""
        return self.out / shard_name(self.name, split, number, len(self.plan.parts))

    def make_source(self) -> Source:
        """The source with its settings."""
        return make_source(self.source, self.settings)

    @cached_property
    def text(self) -> TextTokenizer | None:
        """The text model, loaded once per process."""
        return None if self.text_model is None else TextTokenizer(self.text_model)


def finished(job: Job, number: int) -> dict[str, ShardIndex] | None:
    """The indexes of a part's shards where all of them are whole and of this job; None otherwise."""
    indexes = {}
    for split in job.splits:
        path = job.shard(number, split)
        try:
            index = read_index(path.with_name(path.name + SUFFIX))
            size = path.stat().st_size
        except (OSError, FormatError):
            return None
        header = index.header
        if (header.fingerprint, header.part, header.shard_size) != (job.fingerprint, job.plan.parts[number], size):
            return None
        indexes[split] = index
    return indexes


def split_of(episode_id: str, holdout: float) -> str:
    """Split of an episode: a hash of its id, so that it never depends on what else is in the dataset."""
    digest = hashlib.blake2b(episode_id.encode(), digest_size=8, person=b"gato-holdout").digest()
    return "validation" if int.from_bytes(digest, "big") < holdout * 2**64 else "train"


def write_part(job: Job, number: int) -> None:
    """Write the shards of part `number`, one per split, unless they are there already.

    Temporary names are this call's own: a runner may call again for a part while a lost worker still writes it.

    Raises:
        InputError: the input cannot be read.
        OutputError: the output folder cannot be written.
    """
    if finished(job, number) is not None:
        return
    try:
        (job.out / WORK).mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f"part-{number:05d}-", dir=job.out / WORK) as folder:
            _write_part(job, number, Path(folder))
    except OSError as error:
        raise cannot_write(error, job.out) from error


def cannot_write(error: OSError, out: Path) -> OutputError:
    """What to tell a user whose disk is full or whose folder is closed to them."""
    reason = error.strerror or type(error).__name__
    return OutputError(
        f"{out} cannot be written ({reason}): free space or mend its permissions, then run the same command again; "
        "finished shards are kept"
    )


def _write_part(job: Job, number: int, work: Path) -> None:
    part = job.plan.parts[number]
    statistics = {split: StatisticsBuilder(job.vocabulary, job.tokenize) for split in job.splits}
    letters: list[DeadLetter] = []
    account = PartAccount(part.task, None if job.text is None else job.text.unknown_id)
    with ExitStack() as stack:
        files = {split: stack.enter_context((work / job.shard(number, split).name).open("wb")) for split in job.splits}
        writers = {
            split: ShardWriter(file, job.encoding, list(job.plan.tasks), job.plan.agents)
            for split, file in files.items()
        }
        for item, text in with_texts(_items(job, number), job.text):
            account.add_item(item)
            if item.content is None and item.error is None and item.notes:
                continue
            episode_id = f"{part.task}/{number:05d}/{item.ordinal:06d}"
            split = split_of(episode_id, job.holdout)
            try:
                sequence = _tokenize(job, part, item, statistics[split], text)
            except EpisodeError as error:
                _bury(letters, DeadLetter(f"{part.input}/{part.file}", item.key, error.stage, str(error), item.count))
                continue
            account.add_sequence(sequence)
            writers[split].add(_record(episode_id, item, sequence))
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
    for split, writer in writers.items():
        shard = job.shard(number, split)
        header = IndexHeader(
            shard=shard.name,
            shard_size=writer.size,
            digest=writer.digest,
            split=split,
            part=part,
            fingerprint=job.fingerprint,
            token_dtype=job.vocabulary.token_dtype,
            patch_encoding=job.encoding.name,
            tasks=list(job.plan.tasks),
            agents=job.plan.agents,
            totals=writer.totals(),
            statistics=statistics[split].result(),
            dead_letters=letters if split == "train" else [],
            notes=account.result() if split == "train" else [],
        )
        index = work / (shard.name + SUFFIX)
        write_durably(index, encode_index(header, writer.arrays()))
        if job.output is not None:
            job.output.push_shard(work / shard.name, index)
        (work / shard.name).replace(shard)
        index.replace(job.out / index.name)


def _items(job: Job, number: int) -> Iterator[Item]:
    part, source = job.plan.parts[number], job.make_source()
    folder, size = job.inputs[part.input], job.plan.sizes[number] if job.plan.sizes else None
    duplicates = read_duplicates(job.out / WORK, part)
    try:
        with blamed(job.source, type(source)):
            check_unchanged(source, folder, part, size)
            with files_here(job.mirrors, source, folder, part):
                for item in source.read(folder, part, job.plan.tasks[part.task]):
                    again = item.error is None and item.ordinal in duplicates
                    yield Item(item.key, item.ordinal, notes=(_AGAIN,)) if again else item
            check_unchanged(source, folder, part, size)
    except OSError as error:
        raise cannot_read(error, part.file) from error


def cannot_read(error: OSError, file: str) -> InputError:
    """What to tell a user whose input cannot be read (no episode is lost by it: the part is read again)."""
    reason = error.strerror or type(error).__name__
    return InputError(f"{file} cannot be read ({reason}): mend that, then run the same command again")


def _tokenize(job: Job, part: Part, item: Item, statistics: StatisticsBuilder, text: TextModel | None) -> TokenSequence:
    if item.error is not None:
        raise item.error
    if isinstance(item.content, Document):
        if text is None:
            raise EpisodeError("the document has text, and no text model was given")
        return tokenize_document(item.content, job.vocabulary, job.tokenize, text)
    if not isinstance(item.content, Episode):
        raise EpisodeError("the source gave neither an episode nor an error", stage="read")
    task = job.plan.tasks[part.task]
    spec = EpisodeSpec(tuple(task.observations), tuple(task.actions))
    try:
        sequence = tokenize_episode(item.content, spec, job.vocabulary, job.tokenize, text)
    except EpisodeError:
        statistics.count_nan(item.content, spec)
        raise
    statistics.add(item.content, spec, sequence)
    return sequence


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
