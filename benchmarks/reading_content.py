"""What `reading.py` reads: games, random states, photographs, letters of a language; and a dataset of it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
from captions import SIZE, make_photos
from games import episodes, record
from reading_peers import Content

from gato_data.mixing.make import plan_mixture
from gato_data.shards.writer import ShardWriter
from gato_data.tokenize import TokenizeSettings, tokenize_document, tokenize_episode
from gato_data.vocabulary import Vocabulary
from gato_schemas import dataset
from gato_schemas.compression import PatchEncoding
from gato_schemas.episode import Document, Episode, EpisodeSpec, Field, Image, Text
from gato_schemas.index import IndexHeader, Part, encode_index
from gato_schemas.mixture import encode_mixture
from gato_schemas.origin import SourceInfo
from gato_schemas.record import Record
from gato_schemas.sequence import POSITION_NONE, TokenSequence

SIZES = {"atari": (4, 920), "state": (800, 1000), "photos": (100, 5), "text": (800, 31_000)}
"""Episodes (of each game), and timesteps (photographs, tokens for text) of each."""
CAPTION_TOKENS = 16
GAMES = ("pong", "breakout", "seaquest", "ms_pacman", "space_invaders", "enduro", "montezuma_revenge")


def make_content(kind: str, scale: float, folder: Path) -> Content:
    """Episodes as token sequences: games, random states, or letters of a language."""
    generator = np.random.default_rng(0)
    count, length = SIZES[kind]
    count = max(4, round(count * scale))
    if kind == "atari":
        options = ("--episodes", str(count), "--max-frames", str(4 * length))
        return Content([s for game in record(GAMES, folder / "games", *options) for s in episodes(game)], 22, 20)
    if kind == "state":
        return Content([states(generator, length) for _ in range(count)], 31, 0)
    if kind == "photos":
        patches = (SIZE // 16) ** 2
        return Content(photos(folder / "photos", count, length), patches + CAPTION_TOKENS, patches)
    return Content([text(generator, length) for _ in range(count)], 1, 0)


def states(generator: np.random.Generator, length: int) -> TokenSequence:
    """Timesteps of 24 numbers seen and 6 done."""
    spec = EpisodeSpec((Field("state", "continuous", (24,)),), (Field("action", "continuous", (6,)),))
    observations = {"state": generator.normal(size=(length, 24))}
    actions = {"action": generator.uniform(-1, 1, (length, 6))}
    episode = Episode(task="state", observations=observations, actions=actions)
    return tokenize_episode(episode, spec, Vocabulary(), TokenizeSettings())


class Captions:
    """A text model for which every caption is equally long, so that the flat memory map can find images too."""

    eos_id = None

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Ids of each text."""
        draws = (np.random.default_rng(int(one)).zipf(1.3, CAPTION_TOKENS).clip(0, 31_999) for one in texts)
        return [ids.astype(np.int32) for ids in draws]


def photos(folder: Path, count: int, length: int) -> list[TokenSequence]:
    """Photographs, of which hardly two patches are equal, each with a caption."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        make_photos(folder, count * length)
    paths = sorted(folder.glob("*.jpg"))
    sequences = []
    for first in range(0, count * length, length):
        segments: list[Image | Text] = []
        for number, path in enumerate(paths[first : first + length], first):
            with PIL.Image.open(path) as photo:
                segments += [Image(np.asarray(photo.convert("RGB").resize((SIZE, SIZE)))), Text(str(number))]
        document = Document(task="photos", segments=tuple(segments))
        sequences.append(tokenize_document(document, Vocabulary(), TokenizeSettings(), Captions()))
    return sequences


def text(generator: np.random.Generator, length: int) -> TokenSequence:
    """Ids as often as words are."""
    return TokenSequence(
        tokens=generator.zipf(1.3, length).clip(0, 31_999).astype(np.uint16),
        loss_mask=np.ones(length, np.uint8),
        modality=np.zeros(length, np.uint8),
        position=np.full(length, POSITION_NONE, np.uint16),
        timestep_starts=np.zeros(0, np.int32),
        reward=np.zeros(0, np.float32),
        patches=np.zeros((0, 16, 16, 3), np.uint8),
        patch_position=np.zeros((0, 4), np.uint8),
        image_grid=np.zeros((0, 5), np.int32),
    )


def write_dataset(folder: Path, content: Content, encoding: str, chunk_tokens: int | None = None) -> None:
    """A dataset folder of ours, eight shards, of records of at most so many tokens."""

    folder.mkdir()
    shards, kind = [], "benchmark"
    patches = PatchEncoding(encoding)  # type: ignore[arg-type]
    for number in range(8):
        path = folder / dataset.shard_name(kind, "train", number, 8)
        with path.open("wb") as file:
            writer = ShardWriter(file, patches, [kind], [""], chunk_tokens)
            for ordinal, sequence in enumerate(content.sequences[number::8]):
                writer.add(Record(episode_id=f"{kind}/{number}/{ordinal}", task=kind, agent="", sequence=sequence))
        header = IndexHeader(
            shard=path.name, shard_size=writer.size, digest=writer.digest, split="train", part=Part("", kind, 0),
            fingerprint="benchmark", token_dtype="uint16", patch_encoding=encoding, tasks=[kind], agents=[""],
            totals=writer.totals(), statistics=[], dead_letters=[],
        )  # fmt: skip
        path.with_name(path.name + ".index").write_bytes(encode_index(header, writer.arrays()))
        info = dataset.ShardInfo(name=path.name, size=writer.size, digest=writer.digest, totals=writer.totals())
        shards.append(info)
    split = dataset.SplitInfo.of(shards)
    manifest = dataset.Manifest(
        name=kind, family=kind, source=SourceInfo(name="benchmark", settings={}, inputs=[]), libraries={},
        vocabulary=Vocabulary().info, tokenization={}, patch_encoding=patches, max_observation_tokens=512,
        tasks={kind: dataset.TaskInfo(observations=[], actions=[])}, agents=[""], splits={"train": split},
        statistics=[], dead_letters=0, fingerprint="benchmark",
    )  # fmt: skip
    (folder / dataset.MANIFEST).write_bytes(dataset.encode_manifest(manifest))


def write_mixture(folder: Path, out: Path) -> None:
    """A mixture of one dataset."""

    out.write_bytes(encode_mixture(plan_mixture([folder], "uniform", folder=out.parent)))
