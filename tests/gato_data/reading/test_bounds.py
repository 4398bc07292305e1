"""Memory and open files stay bounded, whatever the number of shards and episodes."""

import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from gato_data.errors import SettingError
from gato_data.reading.reader import ReadSettings, open_mixture
from tests.gato_data.reading.folders import episodes, write_dataset

Mix = Callable[..., Path]
SETTINGS = ReadSettings(context_length=64)


def test_tables_beyond_the_memory_are_refused(tmp_path: Path, mix: Mix) -> None:
    made = episodes("pages", [2] * 8000)
    folder = write_dataset(tmp_path / "many", {"train": [made]}, family="massivetext")
    with pytest.raises(SettingError, match=r"the tables of 8,000 episodes take 0\.\d MiB"):
        open_mixture(mix(folder), settings=ReadSettings(context_length=64, memory=2**20))


def test_thousands_of_shards_in_bounded_memory(tmp_path: Path, mix: Mix) -> None:
    """Three hundred shards with sixteen open files and a few indexes in memory."""
    made = episodes("walker", [6] * 300)
    folder = write_dataset(tmp_path / "wide", {"train": [[one] for one in made]})
    settings = ReadSettings(context_length=64, max_open_files=16, memory=2**21, map_files=False)
    with open_mixture(mix(folder), settings=settings) as reader:
        reader._files.limit_indexes(2**15)
        assert reader.num_windows == 300
        seen = sorted(int(t) for b in reader.stream([range(n, n + 50) for n in range(0, 300, 50)]) for t in b.length)
        assert len(seen) == 300
        assert len(reader._files._open) <= 16
        assert reader._files._held <= 2**15 + 2**14


@pytest.mark.parametrize("kind", ["walker", "raw"])
def test_mapped_shards_keep_to_the_limit_on_descriptors(library: Path, tmp_path: Path, mix: Mix, kind: str) -> None:
    """One batch of a hundred mapped shards, where the process may only open a few."""
    made = episodes("pong" if kind == "raw" else "walker", [6] * 100)
    folder = write_dataset(
        tmp_path / "wide", {"train": [[one] for one in made]}, encoding="raw" if kind == "raw" else "zlib"
    )
    path, used = mix(folder), len(os.listdir("/proc/self/fd"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 60, hard))
    try:
        with open_mixture(path, settings=SETTINGS) as reader:
            assert len(set(reader.batch(range(reader.num_windows)).sample.tolist())) == reader.num_windows
            assert len(reader._files._open) == 16
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
