from collections.abc import Callable

import numpy as np
import pytest
import torch

from benchmarks.acting_recompute import Tokens
from gato_data.errors import TrainError
from gato_schemas.sequence import POSITION_SEPARATOR, Modality
from gato_trainer.acting import vectors
from gato_trainer.acting.vectors import Vectors
from gato_trainer.config import ModelConfig
from gato_trainer.model.transformer import Gato


def frame(pixels: np.ndarray) -> Tokens:
    """Patches with one position, and a separator."""
    count = len(pixels)
    return Tokens(
        np.array([65535] * count + [7]),
        np.array([*range(count), POSITION_SEPARATOR], np.uint16),
        np.array([Modality.PATCH] * count + [Modality.SEPARATOR], np.uint8),
        pixels,
        np.tile(np.array([[0, 64, 64, 128]], np.uint8), (count, 1)),
    )


@pytest.mark.parametrize("most", [3, 8, 4096])
def test_vectors_of_patches_are_the_same_whatever_is_remembered(
    most: int, small: ModelConfig, build: Callable[..., Gato], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(small)
    monkeypatch.setattr(vectors, "_MOST_PATCHES", most)
    remembers = Vectors(model)
    generator = np.random.default_rng(0)
    pool = generator.integers(0, 255, (12, 16, 16, 3), dtype=np.uint8)
    for _ in range(6):
        pieces = [frame(pool[generator.integers(0, 12, 5)]) for _ in range(2)]
        monkeypatch.setattr(vectors, "_MOST_PATCHES", 4096)
        anew = Vectors(model).of(pieces)
        monkeypatch.setattr(vectors, "_MOST_PATCHES", most)
        torch.testing.assert_close(remembers.of(pieces), anew, rtol=0, atol=1e-5)


def test_an_id_without_a_row_is_refused(small: ModelConfig, build: Callable[..., Gato]) -> None:
    piece = frame(np.zeros((0, 16, 16, 3), np.uint8))._replace(tokens=np.array([1200]))
    with pytest.raises(TrainError, match="the id 1200, the model's table has rows for ids 0 to 1199"):
        Vectors(build(small)).of([piece])
