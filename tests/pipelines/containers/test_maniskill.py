"""ManiSkill's trajectories: their JSON, T + 1 observations, what is no observation, when an episode succeeded."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from gato_data.errors import InputError
from gato_pipelines.containers.container import Conventions
from gato_pipelines.containers.detect import open_container
from gato_schemas.dataset import read_manifest
from tests.pipelines.sources.records import read_dataset
from tests.pipelines.sources.reference import Expected, tokenize
from tests.pipelines.sources.test_parity import assert_same
from tests.rlds_inputs import edit_json, ingest

DATA = Path(__file__).parents[2] / "data" / "maniskill"
STATE, RGB = DATA / "PickCube-v1" / "scripted", DATA / "StandIn-v1" / "scripted"
NAME = "trajectory.{}.pd_ee_delta_pose.physx_cpu.h5"
NUMBERS = {STATE: (0, 2, 10), RGB: (0, 2)}
_RGB = ("sensor_data/base_camera/rgb", "sensor_data/hand_camera/rgb")


def steps_of(folder: Path, number: int, text: str) -> list[dict[str, Any]]:
    """Timesteps as plain h5py reads them, without the observation behind the last action."""
    [path] = folder.glob("*.h5")
    with h5py.File(path) as file:
        group, columns = file[f"traj_{number}"], {}
        if isinstance(group["obs"], h5py.Dataset):
            columns["observation"] = group["obs"][:]
        else:
            group["obs"].visititems(lambda name, o: columns.update({name: o[:]} if isinstance(o, h5py.Dataset) else {}))
        actions = group["actions"][:]
    assert all(len(values) == len(actions) + 1 for values in columns.values())
    rows = [{key: values[at] for key, values in columns.items()} for at in range(len(actions))]
    return [row | {"action": action, "text": text} for row, action in zip(rows, actions, strict=True)]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A copy of the file that may be changed, its JSON beside it."""
    open_container.cache_clear()
    shutil.copytree(STATE, tmp_path / "in")
    return tmp_path / "in" / NAME.format("state")


@pytest.mark.parametrize(
    ("folder", "text", "expected"),
    [
        (STATE, "PickCube-v1", Expected(("text",), tensors=("observation",), drop_last=False)),
        (RGB, "StandIn-v1", Expected(("text",), _RGB, ("agent/qpos", "agent/qvel", "extra/tcp_pose"), drop_last=False)),
    ],
    ids=["state", "rgb"],
)
def test_the_tokens_are_those_of_plain_numpy(folder: Path, text: str, expected: Expected, tmp_path: Path) -> None:
    ingest(folder, tmp_path / "out", source="maniskill")
    found = read_dataset(tmp_path / "out")
    assert [(one.task, one.source_id) for one in found] == [(text, str(number)) for number in NUMBERS[folder]]
    for mine, number in zip(found, NUMBERS[folder], strict=True):
        assert_same(mine, tokenize(steps_of(folder, number, text), expected))
    manifest = read_manifest(tmp_path / "out")
    left_out = manifest.tasks[text].left_out
    if folder == RGB:
        apart = {name for name in left_out if name.startswith(("sensor_param", "sensor_data"))}
        assert len(apart) == 8
        assert {name.rpartition("/")[2] for name in apart} == {"cam2world_gl", "extrinsic_cv", "intrinsic_cv", "depth"}
    assert "has no action, and was left out" in manifest.tasks[text].final_step.reason
    assert "actions of control mode pd_ee_delta_pose are relative" in [note.text for note in manifest.account]


@pytest.mark.parametrize(("success", "kept"), [("end", ["0"]), ("any", ["0", "10"])])
def test_an_episode_succeeds_at_its_end_or_at_any_time(
    success: str, kept: list[str], state: Path, tmp_path: Path
) -> None:
    with h5py.File(state, "r+") as file:
        file["traj_2/success"][:] = False
        file["traj_10/success"][:] = False
        file["traj_10/success"][1] = True
    ingest(state, tmp_path / "out", source="maniskill", settings={"success": success, "require_success": "success"})
    assert [one.source_id for one in read_dataset(tmp_path / "out")] == kept


def test_success_of_the_json_alone(state: Path, tmp_path: Path) -> None:
    with h5py.File(state, "r+") as file:
        for number in (0, 2, 10):
            del file[f"traj_{number}/success"], file[f"traj_{number}/rewards"]
    ingest(state, tmp_path / "out", source="maniskill", settings={"require_success": "success"})
    assert [one.source_id for one in read_dataset(tmp_path / "out")] == ["0", "2"]


def test_several_robots_act(state: Path) -> None:
    with h5py.File(state, "r+") as file:
        for number in (0, 2, 10):
            group = file[f"traj_{number}"]
            values = group["actions"][:]
            del group["actions"]
            group["actions/panda-0"], group["actions/panda-1"] = values[:, :4], values[:, 4:]
    edit_json(state.with_suffix(".json"), env_info={"env_id": "Two-v1", "env_kwargs": {"control_mode": "pd_joint_pos"}})
    container = open_container(state)
    paths = [leaf.path for leaf in container.features.steps if "action" in leaf.path]
    assert paths == ["steps/action/panda-0", "steps/action/panda-1"]
    [item, *_] = container.episodes(state.name, container.features.leaves)
    assert item.episode is not None
    assert item.episode.num_timesteps == 5


def test_without_its_json_it_is_refused(state: Path) -> None:
    state.with_suffix(".json").unlink()
    with pytest.raises(
        InputError, match=r"lacks trajectory\.state\.pd_ee_delta_pose\.physx_cpu\.json, which ManiSkill"
    ):
        open_container(state)


@pytest.mark.parametrize("text", ["", "[]", "{" * 100_000, '{"episodes": [{"episode_id": "a"}]}', "\xff"])
def test_a_json_of_something_else_is_refused(text: str, state: Path) -> None:
    state.with_suffix(".json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="is not what ManiSkill writes beside trajectory"):
        open_container(state)


def test_without_observations_it_is_refused(state: Path) -> None:
    with h5py.File(state, "r+") as file:
        for number in (0, 2, 10):
            del file[f"traj_{number}/obs"]
    with pytest.raises(
        InputError, match=r"no observations \(obs_mode none\): .*replay_trajectory --traj-path trajectory"
    ):
        open_container(state)


def _shorter(file: Any) -> None:
    values = file["traj_2/obs"][:-1]
    del file["traj_2/obs"]
    file["traj_2/obs"] = values


def _other_length(file: Any) -> None:
    for name in ("actions", "rewards", "terminated", "truncated", "success", "obs"):
        values = file["traj_2"][name][:-1]
        del file["traj_2"][name]
        file["traj_2"][name] = values


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_shorter, "traj_2: steps/observation has 4 timesteps, 5 were expected"),
        (_other_length, "traj_2: it has 3 actions, elapsed_steps of its JSON says 4"),
        (lambda file: file.pop("traj_2"), "traj_2: it is missing"),
    ],
)
def test_a_trajectory_that_disagrees_costs_itself(change: Callable[[Any], Any], reason: str, state: Path) -> None:
    with h5py.File(state, "r+") as file:
        change(file)
    container = open_container(state)
    errors = [str(item.error) for item in container.episodes(state.name, container.features.leaves) if item.error]
    assert errors == [reason]


def test_trajectories_that_the_json_lacks_are_read_and_said(state: Path) -> None:
    beside = state.with_suffix(".json")
    edit_json(beside, episodes=json.loads(beside.read_text())["episodes"][:2])
    container = open_container(state, Conventions())
    items = list(container.episodes(state.name, container.features.leaves))
    assert [item.error for item in items] == [None] * 3
    assert [(note.text, note.count) for note in container.notes][-1] == ("trajectories that the JSON does not list", 1)
    assert [bool(np.asarray(item.episode.episode["success"])) for item in items if item.episode] == [True, True, False]


def test_several_files_in_a_folder_are_asked_about(state: Path) -> None:
    shutil.copy(state, state.with_name("trajectory.rgb.h5"))
    with pytest.raises(InputError, match="holds 2 HDF5 files: give one of them"):
        open_container(state.parent)
