"""Images in every form that a dataset may hold them in: raw ones, seen live, become the patches that ingest wrote."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from gato_pipelines.rlds.features import Kind, Leaf
from gato_schemas.dataset import ImageInfo
from tests.pipelines.live import compare
from tests.rlds_inputs import DISCRETE, episode, ingest, write

RNG = np.random.default_rng(5)
STEPS = 4
PATH = "steps/observation/view"
LAST: dict[str, Any] = {"frame_stack": "newest"}
WHITE: dict[str, Any] = {"frame_stack": "none"}


def tensor(*shape: int) -> Leaf:
    return Leaf(path=PATH, kind=Kind.TENSOR, dtype="uint8", shape=shape)


def picture(*shape: int | None) -> Leaf:
    return Leaf(path=PATH, kind=Kind.IMAGE, dtype="uint8", shape=shape, image_format="png")


def info(shape: tuple[int | None, int | None, int], size: tuple[int | None, int | None], **more: Any) -> ImageInfo:
    return ImageInfo(**{"shape": shape, "size": size, "mode": "resize", "scales": True, **more})


@pytest.mark.parametrize(
    ("leaf", "settings", "wanted"),
    [
        (tensor(36, 40), {}, info((36, 40, 1), (32, 32))),
        (tensor(36, 40, 1), {}, info((36, 40, 1), (32, 32))),
        (tensor(36, 40, 3), {"image_fit": "pad"}, info((36, 40, 3), (None, None), mode="pad", scales=False)),
        (tensor(36, 40, 4), LAST, info((36, 40, 1), (32, 32), frames=4)),
        (tensor(4, 36, 40), LAST, info((36, 40, 1), (32, 32), frames=4, frames_first=True)),
        (tensor(1, 36, 40), LAST, info((36, 40, 1), (32, 32), frames=1, frames_first=True)),
        (tensor(2, 36, 40, 3), LAST, info((36, 40, 3), (32, 32), frames=2, frames_first=True)),
        (picture(36, 40, 1), {"image_size": (48, 16)}, info((36, 40, 1), (48, 16), scales=False)),
        (picture(None, None, 3), {"image_size": (32, 48)}, info((None, None, 3), (32, 48), scales=False)),
        (picture(36, 40, 4), LAST, info((36, 40, 1), (32, 32), frames=4)),
        (picture(36, 40, 4), WHITE, info((36, 40, 4), (32, 32))),
    ],
)
def test_raw_images_become_the_patches_that_were_written(
    leaf: Leaf, settings: dict[str, Any], wanted: ImageInfo, tmp_path: Path
) -> None:
    sides = tuple(side or 21 + 5 * place for place, side in enumerate(leaf.shape))
    values = RNG.integers(0, 256, (STEPS, *sides), dtype=np.uint8)
    one = episode(np.arange(STEPS))
    if leaf.kind == Kind.IMAGE:
        one = replace(one, images={PATH: [png(value) for value in values]})
    else:
        one = replace(one, tensors={**one.tensors, PATH: values})
    folder = write(tmp_path / "arm", [one], action=DISCRETE, observation=leaf)
    manifest = ingest(folder, tmp_path / "out", source="rlds", settings={"family": "atari", **settings}).manifest
    (task,) = manifest.tasks.values()
    assert task.images == {"view": wanted}
    assert compare(tmp_path / "out", [folder]) >= STEPS - 1


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    PIL.Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(out, "PNG")
    return out.getvalue()
