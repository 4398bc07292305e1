"""Batches from an address are those from the folder; what the cache holds stays within its bound."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from gato_data.mixing.make import plan_mixture
from gato_data.mixing.mixture_file import write_mixture
from gato_data.reading.batch import Batch
from gato_data.reading.reader import MixtureReader, ReadSettings, open_mixture
from gato_data.remote.mirror import at_hand
from gato_data.remote.record_cache import open_cache
from tests.remote_folders import empty_memory, up

KINDS = ("pong", "raw", "walker", "told")


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    yield from empty_memory()


@pytest.fixture
def remote(memory: fsspec.AbstractFileSystem, library: Path, tmp_path: Path) -> Callable[..., Path]:
    """Uploads datasets of the library and mixes them where they lie."""

    def write(*names: str, cache: Path = tmp_path / "cache") -> Path:
        folders = [at_hand(up(memory, library / name, f"memory://bucket/{name}"), cache) for name in names]
        path = tmp_path / "remote.json"
        write_mixture(path, plan_mixture(folders, "uniform", folder=tmp_path))
        return path

    return write


def kinds(library: Path) -> list[str]:
    return sorted(path.name for path in library.iterdir())


def same(one: Batch, other: Batch) -> None:
    for name in (*one.__slots__, "patches"):
        here, there = getattr(one, name), getattr(other, name)
        if isinstance(here, np.ndarray):
            np.testing.assert_array_equal(here, there, err_msg=name)
        else:
            assert here == there, name


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"pack": True, "prompt_share": 0.0},
        {"window": "token", "seed": 3},
        {"prompt_share": 1.0, "context_length": 64},
        {"verify": "frames", "map_files": False},
    ],
    ids=str,
)
def test_batches_are_those_of_the_folder(
    library: Path, mix: Callable[..., Path], remote: Callable[..., Path], tmp_path: Path, settings: dict[str, Any]
) -> None:
    names = kinds(library)
    settings = {"context_length": 100, "cache": tmp_path / "cache", "cache_size": 2**20, **settings}
    here = mix(*(library / name for name in names))
    with (
        open_mixture(here, settings=ReadSettings(**settings)) as local,
        open_mixture(remote(*names), settings=ReadSettings(**settings)) as away,
    ):
        assert away.fingerprint == local.fingerprint
        steps = -(-3 * local.num_windows // 16)
        ranges = [range(16 * step, 16 * step + 16) for step in range(steps)]
        for one, other in zip(local.stream(ranges), away.stream(ranges), strict=True):
            same(one, other)
        same(local.batch(range(5, 9)), away.batch(range(5, 9)))
        cache = open_cache((tmp_path / "cache").absolute())
        assert 0 < cache.most_held <= 2**20


def streamed(reader: MixtureReader, steps: int = 8) -> list[np.ndarray]:
    return [batch.tokens.copy() for batch in reader.stream(range(8 * step, 8 * step + 8) for step in range(steps))]
