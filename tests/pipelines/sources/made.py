"""RLDS datasets made for a test, of any features."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gato_pipelines.rlds.card import DatasetCard
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Features, Kind, Leaf
from gato_pipelines.rlds.writer import write_directory

_FLAGS = tuple(
    Leaf(path=f"steps/{name}", kind=Kind.TENSOR, dtype="bool") for name in ("is_first", "is_last", "is_terminal")
)


def tensor(path: str, dtype: str = "float32", shape: tuple[int, ...] = ()) -> Leaf:
    return Leaf(path=path, kind=Kind.TENSOR, dtype=dtype, shape=shape)


def text(path: str) -> Leaf:
    return Leaf(path=path, kind=Kind.TEXT, dtype="string")


def picture(path: str, shape: tuple[int, int, int]) -> Leaf:
    return Leaf(path=path, kind=Kind.IMAGE, dtype="uint8", shape=shape, image_format="png")


def png(shape: tuple[int, int, int], value: int = 0) -> bytes:
    import cv2

    return bytes(cv2.imencode(".png", np.full(shape, value, np.uint8))[1])


def episode(columns: Mapping[str, Any], *, terminal: bool = True, once: Mapping[str, Any] | None = None) -> RldsEpisode:
    """An episode of columns below `steps`; lists of bytes are images, lists of strings texts."""
    length = len(next(iter(columns.values())))
    at = np.arange(length)
    last = at == length - 1
    tensors: dict[str, Any] = {
        "steps/is_first": at == 0,
        "steps/is_last": last,
        "steps/is_terminal": last & terminal,
    }
    images, texts = {}, {}
    for name, values in columns.items():
        if isinstance(values, np.ndarray):
            tensors[f"steps/{name}"] = values
        elif isinstance(values[0], bytes):
            images[f"steps/{name}"] = values
        else:
            texts[f"steps/{name}"] = values
    return RldsEpisode(num_timesteps=length, tensors=tensors, images=images, texts=texts, episode=dict(once or {}))


def write(
    folder: Path, leaves: Sequence[Leaf], episodes: Sequence[RldsEpisode], *, name: str = "arm", shards: int = 1
) -> Path:
    """Write the episodes as an RLDS dataset; returns its folder."""
    every = tuple(sorted((*leaves, *_FLAGS), key=lambda leaf: leaf.path))
    card = DatasetCard(name=name, version="1.0.0", features=Features(every), module="tests")
    write_directory(folder, card, episodes, num_episodes=len(episodes), num_shards=shards)
    return folder


STATE, ACTION, REWARD = (
    tensor("steps/observation/state", shape=(2,)),
    tensor("steps/action", shape=(1,)),
    tensor("steps/reward"),
)


def rewarded(total: float, *, length: int = 3, action: float = 0.5) -> RldsEpisode:
    """An episode of `length` timesteps whose rewards sum up to `total`."""
    return episode(
        {
            "observation/state": np.zeros((length, 2), np.float32),
            "action": np.full((length, 1), action, np.float32),
            "reward": np.array([total, *[0] * (length - 1)], np.float32),
        }
    )
