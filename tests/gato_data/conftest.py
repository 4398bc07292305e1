"""Dataset folders and mixtures that many tests read; nothing changes them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gato_data.mixing.make import WeightOptions, plan_mixture
from gato_schemas.mixture import encode_mixture
from tests.gato_data.reading.folders import episodes, write_dataset


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of datasets, one of every kind."""
    root = tmp_path_factory.mktemp("library")
    sizes = [30, 1, 90, 7, 55, 13]
    shards = {kind: episodes(kind, sizes, seed=number) for number, kind in enumerate(("pong", "walker", "told"))}
    pong, walker, told = shards["pong"], shards["walker"], shards["told"]
    held_out = episodes("pong", [20, 33], seed=9)
    write_dataset(root / "pong", {"train": [pong[:4], [], pong[4:]], "validation": [held_out]}, chunk_tokens=200)
    write_dataset(root / "raw", {"train": [pong]}, encoding="raw", chunk_tokens=150, family="atari-extended")
    write_dataset(root / "walker", {"train": [walker[:2], walker[2:]]}, family="dm-control", chunk_tokens=64)
    write_dataset(root / "told", {"train": [told]}, family="babyai", chunk_tokens=300)
    captions, pages = episodes("captions", [40, 3, 120], seed=5), episodes("pages", [300, 12, 90, 1, 33], seed=6)
    write_dataset(root / "captions", {"train": [captions]}, family="coco-captions", chunk_tokens=70)
    write_dataset(root / "pages", {"train": [pages]}, family="massivetext", chunk_tokens=100)
    return root


@pytest.fixture
def mix(tmp_path: Path) -> Callable[..., Path]:
    """Writes a mixture file over folders and returns its path."""

    def write(*folders: Path, weights: str = "uniform", name: str = "mixture.json", measure: str = "windows") -> Path:
        options = WeightOptions(measure=measure)  # type: ignore[arg-type]
        mixture = plan_mixture(folders, weights, folder=tmp_path, options=options)
        path = tmp_path / name
        path.write_bytes(encode_mixture(mixture))
        return path

    return write
