"""A second opinion: timesteps as TensorFlow Datasets reads them, made into Gato's tokens by plain numpy.

Nothing of gato-data is used here. Values, order and ids follow the paper's section 2.1 and appendix B.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from sentencepiece import SentencePieceProcessor

ROOT = Path(__file__).parents[3]
MODEL = ROOT / "gato_data" / "assets" / "text-32k.model"
TEXT_SIZE, BINS, SEPARATOR, PATCH = 32000, 1024, 33024, 65535
TEXT, IMAGE, DISCRETE, CONTINUOUS = 0, 1, 2, 3


@dataclass(frozen=True)
class Expected:
    """What a timestep should be made of; keys are paths below `steps`.

    Attributes:
        texts, images, tensors: observations, each group in token order.
        actions: in token order.
        drop_last: whether the final timestep of every episode is left out.
        size: (height, width) that images are scaled to; None keeps them.
        padded: (height, width) that images are padded to with black.
        minmax: whether the range of each element of the action, over all episodes, is mapped to [-1, 1].
    """

    texts: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    tensors: tuple[str, ...] = ()
    actions: tuple[str, ...] = ("action",)
    drop_last: bool = True
    size: tuple[int, int] | None = None
    padded: tuple[int, int] | None = None
    minmax: bool = False


@dataclass
class Tokens:
    """The tokens of one episode, in lists."""

    ids: list[int] = field(default_factory=list)
    modality: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    patches: list[np.ndarray] = field(default_factory=list)

    def add(self, ids: Sequence[int], modality: int, mask: int) -> None:
        self.ids += [int(value) for value in ids]
        self.modality += [modality] * len(ids)
        self.mask += [mask] * len(ids)


@cache
def read_with_tfds(path: Path) -> list[list[dict[str, Any]]]:
    """The timesteps of every episode, flat dictionaries by path; images stay encoded, for Pillow to decode."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(path)
    skipped = _skip_images(builder.info.features["steps"].feature)
    config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    decoders = {"steps": skipped} if skipped else None
    episodes = builder.as_dataset("train", read_config=config, decoders=decoders)
    return [[flatten(step) for step in tfds.as_numpy(episode["steps"])] for episode in episodes]


def _skip_images(features: Any) -> dict[str, Any]:
    import tensorflow_datasets as tfds

    found: dict[str, Any] = {}
    for name, child in features.items():
        if isinstance(child, tfds.features.Image):
            found[name] = tfds.decode.SkipDecoding()
        elif hasattr(child, "items") and (inner := _skip_images(child)):
            found[name] = inner
    return found


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix: tree}
    return {
        path: value
        for key, child in tree.items()
        for path, value in flatten(child, f"{prefix}/{key}" if prefix else key).items()
    }


def tokenize_all(episodes: Sequence[list[dict[str, Any]]], expected: Expected) -> list[Tokens]:
    """Tokens of all episodes."""
    ranges = None
    if expected.minmax:
        kept = [step["action"] for steps in episodes for step in steps[: len(steps) - expected.drop_last]]
        values = np.stack(kept).astype(np.float64)
        ends = zip(values.min(axis=0).tolist(), values.max(axis=0).tolist(), strict=True)
        ranges = [(low, high) if low < high else (low - 1, low + 1) for low, high in ends]
    return [tokenize(steps, expected, ranges) for steps in episodes]


def tokenize(
    steps: Sequence[dict[str, Any]], expected: Expected, ranges: Sequence[tuple[float, float]] | None = None
) -> Tokens:
    """Tokens of one episode, a value at a time."""
    model = SentencePieceProcessor(model_file=str(MODEL))
    found = Tokens()
    for step in steps[: len(steps) - expected.drop_last]:
        for key in expected.texts:
            text = step[key].decode() if isinstance(step[key], bytes) else step[key]
            found.add(model.encode(text), TEXT, 1)
        for key in expected.images:
            patches = cut(fit(picture(step[key]), expected))
            found.add([PATCH] * len(patches), IMAGE, 0)
            found.patches += patches
        for key in expected.tensors:
            values = np.asarray(step[key])
            if values.dtype.kind == "f":
                found.add([TEXT_SIZE + observation_bin(float(v)) for v in values.reshape(-1)], CONTINUOUS, 0)
            else:
                found.add(values.reshape(-1), DISCRETE, 0)
        found.add([SEPARATOR], 4, 0)
        for key in expected.actions:
            values = np.asarray(step[key])
            if values.dtype.kind == "f":
                found.add(action_ids(values.reshape(-1), ranges), CONTINUOUS, 1)
            else:
                found.add(values.reshape(-1), DISCRETE, 1)
    return found


def observation_bin(x: float) -> int:
    """F(x) = sgn(x) log(|x| 100 + 1) / log(256 * 100 + 1), clipped, 1024 bins."""
    y = math.copysign(math.log(abs(x) * 100 + 1) / math.log(256 * 100 + 1), x)
    return cut_into_bins(y)


def cut_into_bins(y: float) -> int:
    y = min(max(y, -1.0), 1.0)
    return min(math.floor((y + 1) / 2 * BINS), BINS - 1)


def action_ids(values: np.ndarray, ranges: Sequence[tuple[float, float]] | None) -> list[int]:
    ids = []
    for number, value in enumerate(values.astype(np.float64)):
        if ranges is not None:
            low, high = ranges[number]
            value = (value - low) * (2 / (high - low)) - 1
        ids.append(TEXT_SIZE + cut_into_bins(float(value)))
    return ids


def picture(value: Any) -> np.ndarray:
    """Pixels as uint8 (H, W, 1 or 3)."""
    if isinstance(value, bytes):
        value = np.asarray(Image.open(io.BytesIO(value)))
    return value[..., None] if value.ndim == 2 else value


def fit(pixels: np.ndarray, expected: Expected) -> np.ndarray:
    if expected.size is not None and pixels.shape[:2] != expected.size:
        height, width = expected.size
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if expected.padded is not None:
        canvas = np.zeros((*expected.padded, pixels.shape[2]), np.uint8)
        canvas[: pixels.shape[0], : pixels.shape[1]] = pixels
        pixels = canvas
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def cut(pixels: np.ndarray) -> list[np.ndarray]:
    """Patches of 16 x 16 in raster order."""
    height, width = pixels.shape[:2]
    assert height % 16 == 0, "a side is no multiple of 16"
    assert width % 16 == 0, "a side is no multiple of 16"
    return [pixels[y : y + 16, x : x + 16] for y in range(0, height, 16) for x in range(0, width, 16)]
