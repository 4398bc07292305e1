"""ALOHA's episodes: files in the order of their numbers, padded JPEG in the colours of ACT, two parts of an action."""

import io
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from gato_data.errors import InputError
from gato_pipelines.containers.container import Conventions
from gato_pipelines.containers.detect import open_container
from gato_schemas.dataset import read_manifest
from tests.pipelines.sources.records import read_dataset
from tests.pipelines.sources.reference import Expected, tokenize
from tests.pipelines.sources.test_parity import assert_same
from tests.rlds_inputs import ingest

DATA = Path(__file__).parents[2] / "data" / "aloha"
SIM, REAL = DATA / "sim_insertion_scripted", DATA / "real_compressed"


def steps_of(path: Path, *, swapped: bool = True) -> list[dict[str, Any]]:
    """Timesteps as plain h5py and Pillow read them; red and blue of a JPEG change places."""
    columns: dict[str, Any] = {}
    with h5py.File(path) as file:
        columns |= {key: file["observations"][key][:] for key in file["observations"] if key != "images"}
        columns |= {key: file[key][:] for key in ("action", "base_action") if key in file}
        for key in file["observations/images"]:
            stored = file["observations/images"][key][:]
            columns[key] = (
                stored if stored.ndim == 4 else [pillow(row.tobytes())[..., :: -1 if swapped else 1] for row in stored]
            )
    length = len(columns["action"])
    return [{key: values[at] for key, values in columns.items()} | {"text": path.parent.name} for at in range(length)]


def pillow(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


class TestSimulated:
    expected = Expected(texts=("text",), images=("top",), tensors=("qpos", "qvel"), drop_last=False, size=(48, 80))

    @pytest.mark.parametrize("source", ["aloha", "rlds"])
    def test_the_tokens_are_those_of_plain_numpy(self, source: str, tmp_path: Path) -> None:
        ingest(SIM, tmp_path / "out", source=source, settings={"image_size": (48, 80)})
        found = read_dataset(tmp_path / "out")
        assert [(one.task, one.source_id) for one in found] == [(SIM.name, "9"), (SIM.name, "10")]
        for mine, number in zip(found, (9, 10), strict=True):
            assert_same(mine, tokenize(steps_of(SIM / f"episode_{number}.hdf5"), self.expected))

    def test_one_file_and_an_instruction(self, tmp_path: Path) -> None:
        file = SIM / "episode_10.hdf5"
        ingest(file, tmp_path / "out", source="aloha", settings={"instruction": "go", "image_size": (48, 80)})
        [found] = read_dataset(tmp_path / "out")
        steps = [step | {"text": "go"} for step in steps_of(file)]
        assert_same(found, tokenize(steps, self.expected))
        account = read_manifest(tmp_path / "out").account
        assert [note.kind for note in account] == ["clipped"]


class TestReal:
    def test_the_tokens_are_those_of_plain_numpy(self, tmp_path: Path) -> None:
        settings = {"image_size": (112, 160), "action_range": "minmax"}
        ingest(REAL, tmp_path / "out", source="aloha", settings=settings)
        names = ("cam_high", "cam_left_wrist"), ("effort", "qpos", "qvel")
        expected = Expected(
            ("text",), *names, actions=("action", "base_action"), drop_last=False, size=(112, 160), minmax=True
        )
        episodes = [steps_of(REAL / f"episode_{number}.hdf5") for number in (9, 10)]
        steps = [step for episode in episodes for step in episode]
        for mine, episode in zip(read_dataset(tmp_path / "out"), episodes, strict=True):
            ranged = [step | {key: ranged_by(steps, step, key) for key in expected.actions} for step in episode]
            assert_same(mine, tokenize(ranged, expected))
        said = [note.text for note in read_manifest(tmp_path / "out").account if note.kind == "read"]
        assert [text.partition(",")[0] for text in said] == [
            "the instruction is the name of the folder",
            "red and blue of JPEG frames change places",
            "recorded from a real robot (sim is false)",
        ]
        widths = [(field.name, field.shape) for field in read_manifest(tmp_path / "out").tasks[REAL.name].actions]
        assert widths == [("action", (14,)), ("base_action", (2,))]

    def test_the_colours_are_those_that_the_cameras_saw(self, tmp_path: Path) -> None:
        """The block in front of the left wrist is blue."""
        means = {}
        for colours in ("swapped", "as-stored"):
            settings = {"colours": colours, "observation_keys": ("images/cam_left_wrist",), "image_size": (112, 160)}
            ingest(REAL / "episode_9.hdf5", tmp_path / colours, source="aloha", settings=settings)
            [found] = read_dataset(tmp_path / colours)
            means[colours] = found.patches[-70:].mean(axis=(0, 1, 2))
        np.testing.assert_allclose(means["swapped"], [80.1, 80.11, 106.22], atol=1)
        np.testing.assert_allclose(means["as-stored"], means["swapped"][::-1], atol=1e-9)

    def test_bad_episodes_cost_themselves(self, tmp_path: Path) -> None:
        folder = tmp_path / "shirt"
        shutil.copytree(REAL, folder)
        for number in range(6):
            shutil.copy(REAL / "episode_9.hdf5", folder / f"episode_{number}.hdf5")
        with h5py.File(folder / "episode_1.hdf5", "r+") as file:
            file["observations/images/cam_high"][2, 500:] = 0
        with h5py.File(folder / "episode_2.hdf5", "r+") as file:
            del file["base_action"]
            file["base_action"] = np.zeros((3, 2), np.float32)
        with h5py.File(folder / "episode_3.hdf5", "r+") as file:
            del file["observations/images/cam_high"]
        (folder / "episode_4.hdf5").write_bytes((REAL / "episode_9.hdf5").read_bytes()[:9000])
        with h5py.File(folder / "episode_5.hdf5", "r+") as file:
            file["observations/images/cam_high"][0] = 0
        ingest(folder, tmp_path / "out", source="aloha", max_bad=5)
        assert [one.source_id for one in read_dataset(tmp_path / "out")] == ["0", "9", "10"]
        letters = (tmp_path / "out" / "dead_letters.jsonl").read_text()
        assert str(tmp_path) not in letters
        for reason in (
            "steps/observation/images/cam_high has no whole JPEG in timestep 2",
            "its actions have 3 to 4 timesteps: one number is wanted",
            "steps/observation/images/cam_high is missing",
            "episode_4.hdf5 is no HDF5 file, or damaged",
            "steps/observation/images/cam_high has no whole JPEG in timestep 0",
        ):
            assert reason in letters

    def test_what_is_no_episode_is_refused(self, tmp_path: Path) -> None:
        path = Path(shutil.copy(REAL / "episode_9.hdf5", tmp_path))
        path.write_bytes(path.read_bytes()[:9000])
        with pytest.raises(InputError, match="is no HDF5 file, or damaged"):
            open_container(path, Conventions())


def ranged_by(steps: list[dict[str, Any]], step: dict[str, Any], key: str) -> np.ndarray:
    """An action with the range of each of its elements, over all timesteps, mapped to [-1, 1]."""
    values = np.stack([each[key] for each in steps]).astype(np.float64)
    low, high = values.min(axis=0), values.max(axis=0)
    low, high = np.where(low < high, low, low - 1), np.where(low < high, high, high + 1)
    mapped: np.ndarray = (step[key].astype(np.float64) - low) * (2 / (high - low)) - 1
    return mapped
