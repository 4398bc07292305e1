"""Frames without a window; dm_control settles how it draws when it is imported, so each test has a process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gato_data.errors import SettingError
from gato_data.image_decoding import decode_images
from gato_pipelines.environments import rendering
from gato_pipelines.environments.rendering import VARIABLE, choose_backend
from gato_pipelines.rlds.decode import EpisodeDecoder
from gato_pipelines.rlds.directory import open_directory
from gato_schemas.tfrecord import read_records
from tests.pipelines.recorders.recorded import MUJOCO, need
from tests.rlds_inputs import digests, ingest


@pytest.fixture(scope="module")
def backend() -> str:
    need("dm_control", MUJOCO)
    for name in rendering.BACKENDS:
        if not rendering._failure(name):
            return name
    pytest.skip(f"needs one of {', '.join(rendering.BACKENDS)} to draw frames")


def _record(out: Path, backend: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("gato-data")
    command = [program, "record", "dm-control", "--task", "cartpole-swingup", "--pixels", "--max-steps", "12"]
    return subprocess.run(
        [*command, "--episodes", "2", "--out", out, "--json"],
        env={**os.environ, VARIABLE: backend},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_frames_show_the_cart_and_become_patches(backend: str, tmp_path: Path) -> None:
    done = _record(tmp_path / "rlds", backend)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["timesteps"] == 26
    directory = open_directory(tmp_path / "rlds")
    assert (directory.name, directory.config) == ("dm_control_suite_pixels", "cartpole_swingup")
    decoder = EpisodeDecoder(directory.features.leaves)
    shard = directory.split("train").shards[0]
    episode = decoder.decode(next(iter(read_records(shard.path))).data)
    frames = decode_images(episode.images["steps/observation/pixels"], (64, 64, 3))
    assert frames.shape == (13, 64, 64, 3)
    assert frames.std() > 10
    assert (frames[0] != frames[-1]).any()
    summary = ingest(tmp_path / "rlds", tmp_path / "out", source="dm-control-pixels")
    assert summary.manifest.splits["train"].totals.tokens == 24 * 18
    assert _record(tmp_path / "again", backend).returncode == 0
    assert digests(tmp_path / "again") == digests(tmp_path / "rlds")


def test_a_backend_that_does_not_exist_is_one_sentence(tmp_path: Path) -> None:
    need("dm_control", MUJOCO)
    done = _record(tmp_path / "out", "crayons")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: MuJoCo cannot draw frames here (MUJOCO_GL=crayons: ")
    assert line.endswith("or record states, without --pixels")
    assert not (tmp_path / "out").exists()


def test_the_first_backend_that_works_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def failure(backend: str) -> str:
        tried.append(backend)
        return "" if backend == "osmesa" else "no such library"

    monkeypatch.setattr(rendering, "_failure", failure)
    monkeypatch.setenv(VARIABLE, "")
    choose_backend()
    assert (tried, os.environ[VARIABLE]) == (["egl", "osmesa"], "osmesa")


def test_only_the_backend_that_is_asked_for_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "_failure", lambda backend: "no display")
    monkeypatch.setenv(VARIABLE, "glfw")
    with pytest.raises(SettingError, match=r"cannot draw frames here \(MUJOCO_GL=glfw: no display\): install libegl1"):
        choose_backend()
    assert os.environ[VARIABLE] == "glfw"
