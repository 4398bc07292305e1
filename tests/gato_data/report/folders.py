"""Small complete dataset folders, made through the product's own tokenizer and shard writer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from gato_data.shards.writer import ShardWriter
from gato_data.statistics import StatisticsBuilder, merge_statistics
from gato_data.tokenize import TokenizeSettings, tokenize_document, tokenize_episode
from gato_data.tokenizers.text import TextTokenizer
from gato_data.vocabulary import Vocabulary
from gato_schemas.compression import PatchEncoding
from gato_schemas.dataset import FinalStep, Manifest, ShardInfo, SplitInfo, TaskInfo, encode_manifest
from gato_schemas.dataset import shard_name as name_of
from gato_schemas.episode import Document, Episode, EpisodeSpec, Field, Image, Text
from gato_schemas.index import DeadLetter, IndexHeader, Part, encode_index
from gato_schemas.index_rows import count_rows
from gato_schemas.origin import SourceInfo
from gato_schemas.record import Record
from gato_schemas.statistics import Counts


@dataclass(kw_only=True)
class Folder:
    """What goes into a dataset folder: for every split the shards, for every shard its episodes."""

    name: str
    specs: Mapping[str, EpisodeSpec]
    splits: Mapping[str, Sequence[Sequence[Episode | Document]]]
    family: str = "test"
    settings: TokenizeSettings = field(default_factory=TokenizeSettings)
    encoding: Literal["zlib", "raw"] = "zlib"
    final_steps: Mapping[str, FinalStep] = field(default_factory=dict)
    dead_letters: int = 0
    agents: Sequence[str] = ("agent",)


def write_folder(path: Path, content: Folder) -> Path:
    """Write the folder and return its path; the same content gives the same bytes."""
    path.mkdir(parents=True)
    model = TextTokenizer.default()
    uses_text = any(f.modality == "text" for spec in content.specs.values() for f in spec.observations) or any(
        not spec.actions for spec in content.specs.values()
    )
    vocabulary = Vocabulary(model.size, text_model=model.sha256 if uses_text else None)
    if uses_text:
        model.save(path / "text.model")
    splits, statistics, indexes = {}, [], []
    for split, shards in content.splits.items():
        infos = []
        for number, episodes in enumerate(shards):
            name = name_of(content.name, split, number, len(shards))
            info, rows, arrays = _write_shard(path / name, split, episodes, content, vocabulary, model)
            infos.append(info)
            statistics += rows
            indexes.append(arrays)
        splits[split] = SplitInfo.of(infos)
    tasks = sorted(content.specs)
    manifest = Manifest(
        name=content.name,
        family=content.family,
        source=SourceInfo(name="made", settings={"image_size": [32, 32]}, inputs=["by hand"], licence="CC0-1.0"),
        libraries={},
        vocabulary=vocabulary.info,
        tokenization=msgspec.to_builtins(content.settings),
        patch_encoding=PatchEncoding(content.encoding),
        max_observation_tokens=content.settings.max_observation_tokens,
        tasks={
            task: TaskInfo(
                observations=list(content.specs[task].observations),
                actions=list(content.specs[task].actions),
                final_step=content.final_steps.get(task),
                counts=sum((count_rows(a, a["task"] == tasks.index(task)) for a in indexes), Counts()),
            )
            for task in tasks
        },
        agents=list(content.agents),
        splits=splits,
        statistics=merge_statistics(statistics),
        dead_letters=content.dead_letters,
        fingerprint="0123456789abcdef",
    )
    (path / "dataset.json").write_bytes(encode_manifest(manifest))
    return path


def _write_shard(
    path: Path,
    split: str,
    episodes: Sequence[Episode | Document],
    content: Folder,
    vocabulary: Vocabulary,
    model: TextTokenizer,
) -> tuple[ShardInfo, list[Any], dict[str, Any]]:
    encoding, tasks = PatchEncoding(content.encoding), sorted(content.specs)
    builder = StatisticsBuilder(vocabulary, content.settings)
    with path.open("wb") as file:
        writer = ShardWriter(file, encoding, tasks, content.agents)
        for ordinal, episode in enumerate(episodes):
            spec = content.specs[episode.task]
            if isinstance(episode, Document):
                sequence = tokenize_document(episode, vocabulary, content.settings, model)
                ending = {}
            else:
                sequence = tokenize_episode(episode, spec, vocabulary, content.settings, model)
                builder.add(episode, spec, sequence)
                ending = {"episode_return": episode.episode_return, "is_terminal": episode.is_terminal}
            writer.add(
                Record(
                    episode_id=f"{episode.task}/{path.name[-14:-9]}/{ordinal:06d}",
                    source_episode_id=episode.source_episode_id,
                    task=episode.task,
                    agent=content.agents[0],
                    sequence=sequence,
                    **ending,
                )
            )
    header = IndexHeader(
        shard=path.name,
        shard_size=writer.size,
        digest=writer.digest,
        split=split,
        part=Part("made", tasks[0], writer.size),
        fingerprint="0123456789abcdef",
        token_dtype=vocabulary.token_dtype,
        patch_encoding=encoding.name,
        tasks=tasks,
        agents=list(content.agents),
        totals=writer.totals(),
        statistics=builder.result(),
        dead_letters=[DeadLetter("made", "1", "decode", "a bad PNG", content.dead_letters)]
        if content.dead_letters
        else [],
    )
    data = encode_index(header, writer.arrays())
    path.with_name(path.name + ".index").write_bytes(data)
    info = ShardInfo(name=path.name, size=writer.size, digest=writer.digest, totals=writer.totals())
    return info, builder.result(), writer.arrays()


ROBOT = EpisodeSpec(
    observations=(
        Field("instruction", "text"),
        Field("camera", "image", (32, 32, 3), "uint8"),
        Field("gripper", "discrete", (), "int64"),
        Field("pose", "continuous", (2,), "float32"),
    ),
    actions=(Field("arm", "continuous", (2,), "float32", -2.0, 2.0), Field("button", "discrete", (), "int64")),
)


SILENT = EpisodeSpec(ROBOT.observations[1:], ROBOT.actions)


def robot_episode(number: int, timesteps: int = 3, instruction: str = "") -> Episode:
    """Two by two patches of one colour each, exact floats: a person can check every token of it."""
    time = np.arange(timesteps)
    camera = np.zeros((timesteps, 32, 32, 3), np.uint8)
    camera[:, :16, :16, 0], camera[:, :16, 16:, 1], camera[:, 16:, :16, 2] = 255, 128, 64
    camera[:, 16:, 16:] = (10 * (time + number) % 256)[:, None, None, None]
    return Episode(
        task="robot",
        agent="agent",
        source_episode_id=f"raw-{number}",
        observations={
            "instruction": [instruction] * timesteps,
            "camera": camera,
            "gripper": time % 2,
            "pose": np.stack([time / 10 + number, -np.ones(timesteps)], axis=1),
        },
        actions={"arm": np.stack([np.full(timesteps, 0.5), time - 1.0], axis=1), "button": 3 + time % 2},
        reward=time.astype(np.float32),
        episode_return=float(time.sum()),
        is_terminal=number % 2 == 0,
    )


def robot_folder(instruction: str = "", encoding: Literal["zlib", "raw"] = "zlib") -> Folder:
    """Two train shards and a validation shard of one task, with a text observation where there is an instruction."""
    return Folder(
        name="arm",
        family="robots",
        specs={"robot": ROBOT if instruction else SILENT},
        splits={
            "train": [
                [robot_episode(0, 3, instruction), robot_episode(1, 4, instruction)],
                [robot_episode(2, 1, instruction)],
            ],
            "validation": [[robot_episode(3, 2, instruction)]],
        },
        encoding=encoding,
        final_steps={"robot": FinalStep("drop", "no reward follows the final observation")},
        dead_letters=1,
    )


def caption_folder(text: str = "two photos of a cat") -> Folder:
    """Documents: an image of 2 x 1 patches before its text, and a text alone."""
    picture = Image(np.arange(32 * 16 * 3, dtype=np.uint32).reshape(32, 16, 3).astype(np.uint8), (30, 16))
    return Folder(
        name="captions",
        family="vision-language",
        specs={"caption": EpisodeSpec((), ())},
        splits={
            "train": [
                [
                    Document(task="caption", segments=(picture, Text(text))),
                    Document(task="caption", segments=(Text("a question?", supervised=False), Text("its answer"))),
                ]
            ]
        },
    )
