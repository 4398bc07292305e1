"""A file of many episodes at an address comes in several parts, like one of this machine."""

from pathlib import Path

import fsspec
import h5py
import numpy as np
import pytest

from gato_pipelines.containers import ranges
from tests.lerobot_inputs import columns, write_v3
from tests.remote_folders import down, run, up
from tests.rlds_inputs import digests

MINARI = Path(__file__).parents[2] / "data/minari/cartpole/random-v0"


def d4rl(folder: Path) -> Path:
    folder.mkdir()
    with h5py.File(folder / "arm.hdf5", "w") as file:
        file["observations"], file["actions"] = np.zeros((15, 2), "f4"), np.linspace(-1, 1, 15, dtype="f4")[:, None]
        file["rewards"] = np.zeros(15, "f4")
        file["terminals"], file["timeouts"] = np.arange(15) % 3 == 2, np.zeros(15, bool)
    return folder


@pytest.mark.parametrize(("kind", "source"), [("d4rl", "rlds"), ("minari", "rlds"), ("lerobot", "lerobot")])
def test_many_episodes_make_several_parts(
    kind: str, source: str, memory: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "RANGE_EPISODES", 2)
    if kind == "lerobot":
        folder = write_v3(tmp_path / "in", [columns(9, number) for number in range(5)], files=[0, 0, 1, 1, 1])
    else:
        folder = d4rl(tmp_path / "in") if kind == "d4rl" else MINARI
    whole = run(folder, tmp_path / "local" / "arm", source)
    there = run(up(memory, folder, f"memory://bucket/{folder.name}"), "memory://bucket/out/arm", source)
    assert len(there.manifest.splits["train"].shards) == len(whole.manifest.splits["train"].shards) >= 2
    assert down("memory://bucket/out/arm", tmp_path / "copy") == digests(tmp_path / "local" / "arm")
