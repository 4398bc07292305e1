"""HDF5 files of every family that are damaged, lead out of themselves, or announce what no memory holds."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from gato_data.errors import GatoError, InputError
from gato_pipelines.containers import hdf5
from gato_pipelines.containers.container import Container
from gato_pipelines.containers.detect import open_container

DATA = Path(__file__).parents[2] / "data"
FILES = {
    "robomimic": (DATA / "robomimic/lift/image_v15.hdf5", "data/demo_0", "obs/object"),
    "libero": (
        DATA / "libero/libero_spatial/STUDY_SCENE1_pick_up_the_red_block_demo.hdf5",
        "data/demo_1",
        "obs/ee_pos",
    ),
    "aloha": (DATA / "aloha/real_compressed/episode_9.hdf5", "observations", "qpos"),
    "maniskill": (
        DATA / "maniskill/PickCube-v1/scripted/trajectory.state.pd_ee_delta_pose.physx_cpu.h5",
        "traj_0",
        "obs",
    ),
}


@pytest.fixture(params=FILES)
def family(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str, str]:
    """A copy of a file, and the names of a group and of a dataset in it."""
    path, group, dataset = FILES[request.param]
    shutil.copytree(path.parent, tmp_path / "in")
    open_container.cache_clear()
    return tmp_path / "in" / path.name, group, dataset


def errors(path: Path) -> list[str]:
    """What is said of a file, or of its episodes."""
    try:
        container = open_container(path)
        return [str(item.error) for item in _items(container) if item.error is not None]
    except GatoError as error:
        return [str(error)]


def _items(container: Container) -> list[object]:
    leaves = container.features.leaves
    return [
        item
        for file in container.files("train")
        if not file.missing
        for item in container.episodes(file.name, leaves, file.first, file.num_episodes)
    ]


@pytest.mark.parametrize("kind", ["external", "soft"])
@pytest.mark.parametrize("whole", [True, False])
def test_links_are_refused(kind: str, whole: bool, family: tuple[Path, str, str]) -> None:
    path, group, dataset = family
    name = group if whole else f"{group}/{dataset}"
    with h5py.File(path, "r+") as file:
        file.move(name, "elsewhere")
        file[name] = h5py.SoftLink("/elsewhere") if kind == "soft" else h5py.ExternalLink(str(path), "/elsewhere")
    last = name.rpartition("/")[2]
    assert any(f"{last} is a link to somewhere else" in text or "is missing" in text for text in errors(path))


def test_a_huge_shape_takes_no_memory(family: tuple[Path, str, str]) -> None:
    path, group, dataset = family
    with h5py.File(path, "r+") as file:
        rows = len(file[group][dataset])
        del file[group][dataset]
        file[group].create_dataset(dataset, (rows, 1 << 40), np.float32, chunks=(1, 1 << 20))
    assert any("bytes, at most" in text for text in errors(path))


def test_groups_in_each_other_end(family: tuple[Path, str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Fourteen levels, each of them twenty times in the one above it."""
    path, group, dataset = family
    monkeypatch.setattr(hdf5, "MAX_VISITS", 200)
    with h5py.File(path, "r+") as file:
        del file[group][dataset]
        below = file.create_group("bottom")
        for level in range(14):
            above = file.create_group(f"level_{level}")
            for number in range(20):
                above[str(number)] = below
            below = above
        file[group][dataset] = below
    assert any("members around it" in text for text in errors(path))


def test_a_truncated_file_is_one_sentence(family: tuple[Path, str, str]) -> None:
    path, _, _ = family
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="is no HDF5 file, or damaged"):
        open_container(path)


def test_damage_anywhere_is_named_and_never_a_traceback(family: tuple[Path, str, str]) -> None:
    path, _, _ = family
    whole, rng, said = path.read_bytes(), np.random.default_rng(0), []
    for number in range(30):
        data = bytearray(whole[: int(rng.integers(len(whole)))] if number % 5 == 0 else whole)
        for at in rng.integers(0, max(len(data), 1), int(rng.integers(20, 200))) if data else ():
            data[int(at)] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        open_container.cache_clear()
        said += errors(path)[:1]
    assert len(said) > 10
    assert all(len(text) > 20 for text in said)
