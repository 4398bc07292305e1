"""Small dataset folders of every kind that a reader meets, and a slow reader that decodes whole shards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from unittest import mock

import msgspec
import numpy as np
from numpy.typing import NDArray

from gato_data.shards import chunks
from gato_data.shards.chunks import join
from gato_data.shards.writer import ShardWriter
from gato_data.tokenize import TokenizeSettings, tokenize_document, tokenize_episode
from gato_data.vocabulary import Vocabulary
from gato_schemas.compression import PatchEncoding
from gato_schemas.dataset import (
    Manifest,
    ShardInfo,
    SplitInfo,
    TaskInfo,
    encode_manifest,
    read_manifest,
    shard_name,
)
from gato_schemas.episode import Document, Episode, EpisodeSpec, Field, Image, Text
from gato_schemas.index import IndexHeader, Part, encode_index
from gato_schemas.origin import SourceInfo
from gato_schemas.record import Record, decode_record
from gato_schemas.sequence import TokenSequence
from gato_schemas.tfrecord import read_records

SETTINGS = TokenizeSettings()
ATARI = EpisodeSpec((Field("image", "image", (32, 48, 3)),), (Field("action", "discrete"),))
WALKER = EpisodeSpec((Field("state", "continuous", (5,)),), (Field("action", "continuous", (2,)),))
TOLD = EpisodeSpec(
    (Field("told", "text"), Field("camera", "image", (32, 32, 3)), Field("state", "continuous", (3,))),
    (Field("action", "discrete"),),
)
SPECS = {"pong": ATARI, "walker": WALKER, "told": TOLD}


class Letters:
    """A text model of one id a letter."""

    eos_id = 2

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        return [np.array([100 + ord(letter) for letter in text], np.int32) for text in texts]


@dataclass(frozen=True)
class Made:
    """One episode to be written."""

    task: str
    agent: str
    sequence: TokenSequence
    episode_return: float = float("nan")


def atari(generator: np.random.Generator, timesteps: int) -> Episode:
    blocks = generator.integers(0, 255, (timesteps, 2, 3, 3), dtype=np.uint8)
    return Episode(
        task="pong",
        observations={"image": blocks.repeat(16, 1).repeat(16, 2)},
        actions={"action": generator.integers(0, 18, timesteps)},
    )


def walker(generator: np.random.Generator, timesteps: int) -> Episode:
    return Episode(
        task="walker",
        observations={"state": generator.normal(size=(timesteps, 5))},
        actions={"action": generator.uniform(-1, 1, (timesteps, 2))},
    )


def told(generator: np.random.Generator, timesteps: int) -> Episode:
    return Episode(
        task="told",
        observations={
            "told": ["go " * int(n) for n in generator.integers(1, 5, timesteps)],
            "camera": generator.integers(0, 255, (timesteps, 32, 32, 3), dtype=np.uint8),
            "state": generator.normal(size=(timesteps, 3)),
        },
        actions={"action": generator.integers(0, 4, timesteps)},
    )


def caption(generator: np.random.Generator, letters: int) -> Document:
    picture = Image(generator.integers(0, 255, (48, 32, 3), dtype=np.uint8))
    return Document(task="captions", segments=(picture, Text("c" * letters), picture, Text("d", supervised=False)))


def page(generator: np.random.Generator, letters: int) -> Document:
    return Document(task="pages", segments=(Text("".join(map(chr, generator.integers(97, 120, letters)))),))


MAKERS = {"pong": atari, "walker": walker, "told": told, "captions": caption, "pages": page}


def episodes(kind: str, sizes: Sequence[int], *, seed: int = 0, agents: int = 2, large_ids: bool = False) -> list[Made]:
    """Episodes of a kind with so many timesteps (letters for documents); agents take turns."""
    generator = np.random.default_rng(seed)
    vocabulary = vocabulary_of(large_ids)
    result = []
    for number, size in enumerate(sizes):
        raw = MAKERS[kind](generator, size)
        if isinstance(raw, Document):
            sequence = tokenize_document(raw, vocabulary, SETTINGS, Letters())
        else:
            sequence = tokenize_episode(raw, SPECS[kind], vocabulary, SETTINGS, Letters())
        result.append(Made(raw.task, f"agent{number % agents}", sequence))
    return result


def unsupervised(sequence: TokenSequence) -> TokenSequence:
    """The same tokens, none of them under the loss mask."""
    return replace(sequence, loss_mask=np.zeros_like(sequence.loss_mask))


def vocabulary_of(large_ids: bool) -> Vocabulary:
    return Vocabulary(70_000 if large_ids else 32_000)


def write_dataset(
    folder: Path,
    splits: Mapping[str, Sequence[Sequence[Made]]],
    *,
    name: str | None = None,
    family: str = "atari",
    encoding: Literal["zlib", "raw"] = "zlib",
    chunk_tokens: int | None = None,
    large_ids: bool = False,
    text_model: str | None = None,
    fingerprint: str = "0123456789abcdef",
    settings: Mapping[str, object] | None = None,
) -> Path:
    """Write a whole dataset folder; `splits` holds the episodes of every shard of every split."""
    folder.mkdir(parents=True)
    name = name or folder.name
    every = [made for shards in splits.values() for shard in shards for made in shard]
    tasks, agents = sorted({made.task for made in every}) or ["pong"], sorted({made.agent for made in every}) or [""]
    infos = {}
    for split, shards in splits.items():
        written = [
            _write_shard(
                folder / shard_name(name, split, number, len(shards)),
                split, shard, tasks, agents, encoding, chunk_tokens, large_ids, fingerprint,
            )
            for number, shard in enumerate(shards)
        ]  # fmt: skip
        infos[split] = SplitInfo.of(written)
    nothing = EpisodeSpec((), ())
    manifest = Manifest(
        name=name,
        family=family,
        source=SourceInfo(name="made", settings=dict(settings or {}), inputs=["by hand"]),
        libraries={},
        vocabulary=msgspec.structs.replace(vocabulary_of(large_ids).info, text_model=text_model),
        tokenization=msgspec.to_builtins(SETTINGS),
        patch_encoding=PatchEncoding(encoding),
        max_observation_tokens=512,
        tasks={
            task: TaskInfo(
                observations=list(SPECS.get(task, nothing).observations), actions=list(SPECS.get(task, nothing).actions)
            )
            for task in tasks
        },
        agents=agents,
        splits=infos,
        statistics=[],
        dead_letters=0,
        fingerprint=fingerprint,
    )
    (folder / "dataset.json").write_bytes(encode_manifest(manifest))
    return folder


def _write_shard(
    path: Path,
    split: str,
    shard: Sequence[Made],
    tasks: list[str],
    agents: list[str],
    encoding: Literal["zlib", "raw"],
    chunk_tokens: int | None,
    large_ids: bool,
    fingerprint: str,
) -> ShardInfo:
    item = np.dtype(vocabulary_of(large_ids).token_dtype).itemsize
    limits = {
        "PATCH_CHUNK_TOKENS": chunk_tokens or chunks.PATCH_CHUNK_TOKENS,
        "CHUNK_BYTES": (chunk_tokens or 0) * item or chunks.CHUNK_BYTES,
    }
    with path.open("wb") as file, mock.patch.multiple(chunks, **limits):
        writer = ShardWriter(file, PatchEncoding(encoding), tasks, agents)
        for number, made in enumerate(shard):
            writer.add(
                Record(
                    episode_id=f"{made.task}/{path.name[-14:-9]}/{number:06d}",
                    task=made.task,
                    agent=made.agent,
                    episode_return=made.episode_return,
                    sequence=made.sequence,
                )
            )
    header = IndexHeader(
        shard=path.name,
        shard_size=writer.size,
        digest=writer.digest,
        split=split,
        part=Part("made", tasks[0], writer.size),
        fingerprint=fingerprint,
        token_dtype=vocabulary_of(large_ids).token_dtype,
        patch_encoding=encoding,
        tasks=tasks,
        agents=agents,
        totals=writer.totals(),
        statistics=[],
        dead_letters=[],
    )
    data = encode_index(header, writer.arrays())
    path.with_name(path.name + ".index").write_bytes(data)
    return ShardInfo(name=path.name, size=writer.size, digest=writer.digest, totals=writer.totals())


@dataclass(frozen=True)
class Whole:
    """A whole episode as it was decoded from its records."""

    dataset: str
    episode_id: str
    task: str
    agent: str
    sequence: TokenSequence


def decode(folder: Path, split: str = "train") -> list[Whole]:
    """All episodes of a split, in the order of the shards, chunks joined."""
    manifest = read_manifest(folder)
    result: list[Whole] = []
    for shard in manifest.splits[split].shards:
        pieces: list[TokenSequence] = []
        for raw in read_records(folder / shard.name):
            record = decode_record(raw.data, manifest.patch_encoding.name)
            pieces.append(record.sequence)
            if record.chunk == record.num_chunks - 1:
                whole = join(pieces)
                result.append(Whole(manifest.name, record.episode_id, record.task, record.agent, whole))
                pieces = []
    return result
