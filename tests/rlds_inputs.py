"""Small RLDS datasets made for a test, and damage done to them."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gato_pipelines.ingest.chosen_source import ChosenSource
from gato_pipelines.ingest.inputs import InputFolders, find_inputs
from gato_pipelines.ingest.job import Job
from gato_pipelines.ingest.run import IngestSettings, plan_only, run
from gato_pipelines.ingest.summary import Summary
from gato_pipelines.rlds.card import DatasetCard
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Features, Kind, Leaf
from gato_pipelines.rlds.writer import write_directory

CONTINUOUS = Leaf(path="steps/action", kind=Kind.TENSOR, dtype="float32", shape=(2,))
DISCRETE = Leaf(path="steps/action", kind=Kind.TENSOR, dtype="int64")
STATE = Leaf(path="steps/observation/state", kind=Kind.TENSOR, dtype="float32", shape=(3,))
IMAGE = Leaf(path="steps/observation/image", kind=Kind.IMAGE, dtype="uint8", shape=(40, 60, 3), image_format="png")
_FLAGS = tuple(
    Leaf(path=f"steps/{name}", kind=Kind.TENSOR, dtype="bool") for name in ("is_first", "is_last", "is_terminal")
)
_REWARD = Leaf(path="steps/reward", kind=Kind.SCALAR, dtype="float32")


def episode(actions: Any, *, states: Any = None, images: Sequence[bytes] = (), rewards: Any = None) -> RldsEpisode:
    """One episode with these actions; states count up in steps of 0.01, rewards are 1."""
    actions = np.asarray(actions)
    length = len(actions)
    if states is None:
        states = np.arange(length * 3).reshape(length, 3) / 100
    at = np.arange(length)
    tensors = {
        "steps/action": actions,
        "steps/observation/state": np.asarray(states, np.float32),
        "steps/reward": np.ones(length, np.float32) if rewards is None else np.asarray(rewards, np.float32),
        "steps/is_first": at == 0,
        "steps/is_last": at == length - 1,
        "steps/is_terminal": at == length - 1,
    }
    return RldsEpisode(num_timesteps=length, tensors=tensors, images={IMAGE.path: list(images)} if images else {})


def write(
    folder: Path,
    episodes: Sequence[RldsEpisode],
    *,
    action: Leaf = CONTINUOUS,
    observation: Leaf = STATE,
    shards: int = 1,
    name: str = "arm",
) -> Path:
    """Write the episodes as an RLDS dataset; returns its folder."""
    leaves = tuple(sorted((action, observation, _REWARD, *_FLAGS), key=lambda leaf: leaf.path))
    card = DatasetCard(name=name, version="1.0.0", features=Features(leaves), module="tests")
    write_directory(folder, card, episodes, num_episodes=len(episodes), num_shards=shards)
    return folder


def png(value: int) -> bytes:
    """A picture of one colour, 40 x 60 pixels."""
    import cv2

    done, data = cv2.imencode(".png", np.full((40, 60, 3), value, np.uint8))
    assert done
    return bytes(data)


def moving(number: int, *, length: int = 5) -> RldsEpisode:
    """An episode of continuous actions that differ from those of every other number."""
    return episode((np.linspace(-0.9, 0.9, length * 2).reshape(length, 2) + number / 100).astype(np.float32))


def shards(folder: Path) -> list[Path]:
    """The TFRecord files of a dataset, ours or an RLDS dataset, in order."""
    return sorted(path for path in folder.iterdir() if ".tfrecord-" in path.name and path.suffix != ".index")


def flip(path: Path, at: int) -> None:
    """Flip one bit of a file."""
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def truncate(path: Path, size: int) -> None:
    """Keep the first bytes of a file."""
    path.write_bytes(path.read_bytes()[:size])


def edit_json(path: Path, **values: Any) -> None:
    """Set top-level values of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def digests(folder: Path) -> dict[str, str]:
    """The hash of every file of a folder, at any depth."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def ingest(folder: Path, out: Path, *, source: str = "atari", settings: Any = None, **asked: Any) -> Summary:
    """Ingest in this process; what is written here is no game, so that its family is named."""
    named = {"family": "atari"} if source == "atari" else {}
    return run(source, {**named, **(settings or {})}, folder, out, IngestSettings(**{"workers": 1, **asked}))


def job(folder: Path, out: Path, *, holdout: float = 0.0, **settings: Any) -> Job:
    """The job that an ingest of this folder gives its workers."""
    dry = plan_only("atari", {"family": "atari", **settings}, folder, out, IngestSettings(holdout=holdout))
    source = ChosenSource("atari", settings)
    return Job(
        source=source,
        settings=IngestSettings(holdout=holdout),
        plan=dry.plan,
        recipe=dry.recipe,
        inputs=InputFolders(find_inputs(source.made, folder)),
        out=out,
        name="arm",
    )
