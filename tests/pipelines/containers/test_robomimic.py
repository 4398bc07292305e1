"""robomimic's demonstrations: filter keys are splits, numbers are in order, and values are those that h5py reads."""

import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from gato_data.errors import InputError
from gato_pipelines.containers.container import Conventions
from gato_pipelines.containers.detect import open_container
from gato_pipelines.containers.robomimic import RobomimicContainer
from gato_schemas.dataset import read_manifest
from tests.pipelines.sources.records import read_dataset
from tests.pipelines.sources.reference import Expected, tokenize
from tests.pipelines.sources.test_parity import assert_same
from tests.rlds_inputs import ingest

LIFT = Path(__file__).parents[2] / "data" / "robomimic" / "lift"
STATES = ("object", "robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos", "robot0_gripper_qvel")
CAMERAS = ("agentview_image", "robot0_eye_in_hand_image")
EXPECTED = Expected(images=CAMERAS, tensors=(*STATES, "robot0_joint_pos", "robot0_joint_vel"), drop_last=False)


def steps_of(file: Any, name: str, actions: str = "actions") -> list[dict[str, Any]]:
    """The timesteps of a demonstration, as plain h5py reads them."""
    demo = file["data"][name]
    columns = {**{key: demo["obs"][key][:] for key in demo["obs"]}, "action": demo[actions][:]}
    return [{key: values[at] for key, values in columns.items()} for at in range(len(columns["action"]))]


@pytest.fixture
def lift(tmp_path: Path) -> Path:
    """A copy of the file that may be changed."""
    open_container.cache_clear()
    (tmp_path / "in").mkdir()
    return Path(shutil.copy(LIFT / "image_v15.hdf5", tmp_path / "in" / "lift.hdf5"))


def opened(path: Path, **answers: Any) -> RobomimicContainer:
    open_container.cache_clear()
    container = open_container(path, Conventions(**answers))
    assert isinstance(container, RobomimicContainer)
    return container


def read(container: RobomimicContainer, split: str = "all") -> list[tuple[int, str]]:
    """Number of every demonstration of a split, and why it cannot be read."""
    leaves, found = container.features.leaves, []
    for file in container.files(split):
        for item in container.episodes(file.name, leaves, file.first, file.num_episodes):
            number = -1 if item.episode is None else int(item.episode.episode["episode_id"])
            found.append((number, str(item.error or "")))
    return found


def test_the_tokens_are_those_of_plain_numpy(tmp_path: Path) -> None:
    ingest(LIFT, tmp_path / "out", source="robomimic", settings={"split": "all"})
    found = read_dataset(tmp_path / "out")
    with h5py.File(LIFT / "image_v15.hdf5") as file:
        wanted = [tokenize(steps_of(file, name), EXPECTED) for name in ("demo_0", "demo_2", "demo_10")]
    assert len(found) == 3
    for mine, theirs in zip(found, wanted, strict=True):
        assert_same(mine, theirs)
    assert [(one.task, one.source_id, one.is_terminal) for one in found] == [
        ("Lift", "0", False),
        ("Lift", "2", False),
        ("Lift", "10", False),
    ]
    manifest = read_manifest(tmp_path / "out")
    said = [note.text for note in manifest.account if note.kind == "read"]
    assert said[:2] == [
        "actions are relative, as env_args says of OSC_POSE",
        "filter keys are splits: train (2), valid (1); --split all reads 3 demonstrations",
    ]
    assert manifest.tasks["Lift"].left_out == dict.fromkeys(("dones", "states"), "not part of the observation")
    assert "next_obs, was left out" in manifest.tasks["Lift"].final_step.reason


@pytest.mark.parametrize(
    ("split", "numbers"), [("train", [0, 10]), ("valid", [2]), ("all", [0, 2, 10]), ("none", None)]
)
def test_filter_keys_are_splits(split: str, numbers: list[int] | None) -> None:
    container = opened(LIFT)
    assert container.splits == ("train", "valid", "all")
    if numbers is None:
        with pytest.raises(InputError, match=r"has no split 'none': robomimic \(HDF5\) has train, valid, all here"):
            container.files(split)
    else:
        assert read(container, split) == [(number, "") for number in numbers]


def test_without_a_key_called_train_that_is_everything(lift: Path) -> None:
    with h5py.File(lift, "r+") as file:
        file.move("mask/train", "mask/20_percent")
    container = opened(lift)
    assert container.splits == ("train", "20_percent", "valid", "all")
    assert [number for number, _ in read(container, "train")] == [0, 2, 10]
    with h5py.File(lift, "r+") as file:
        del file["mask"]
    assert opened(lift).splits == ("train", "all")
    assert not any("filter keys" in note.text for note in opened(lift).notes)


def test_a_key_that_names_what_is_not_there(lift: Path, tmp_path: Path) -> None:
    with h5py.File(lift, "r+") as file:
        del file["data/demo_10"]
    with pytest.raises(InputError, match=r"is missing, with 1 episode .*demo_10: filter key train names it, and lift"):
        ingest(lift, tmp_path / "out", source="robomimic")


def test_other_actions_are_a_setting_and_said(lift: Path, tmp_path: Path) -> None:
    with h5py.File(lift, "r+") as file:
        for name in file["data"]:
            demo = file["data"][name]
            demo["actions_abs"] = demo["actions"][:] / 2
            demo["action_dict/rel_pos"] = demo["actions"][:, :3]
    assert opened(lift).notes[0].text == (
        "the action is actions; actions_abs and action_dict say the same in another way: see `ingest robomimic "
        "--actions`"
    )
    settings = {"actions": "actions_abs", "observation_keys": ("object",)}
    ingest(lift, tmp_path / "out", source="robomimic", settings=settings)
    with h5py.File(lift) as file:
        wanted = tokenize(steps_of(file, "demo_0", "actions_abs"), Expected(tensors=("object",), drop_last=False))
    assert_same(read_dataset(tmp_path / "out")[0], wanted)
    with h5py.File(lift, "r+") as file:
        del file["data/demo_0/actions_abs"]
    with pytest.raises(InputError, match=r"has no actions_abs in demo_0 \(but action_dict, actions, dones"):
        opened(lift, actions="actions_abs")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"type": "OSC_POSE", "control_delta": False}, ["actions are absolute, as env_args says of OSC_POSE"]),
        ([{"type": "OSC_POSE", "control_delta": True}], ["actions are relative, as env_args says of OSC_POSE"]),
        ({"type": "JOINT_POSITION"}, []),
        ([], []),
        (3, []),
    ],
)
def test_what_actions_mean_is_said_where_it_is_told(config: Any, said: list[str], lift: Path) -> None:
    with h5py.File(lift, "r+") as file:
        file["data"].attrs["env_args"] = json.dumps({"env_name": "a/b", "env_kwargs": {"controller_configs": config}})
    container = opened(lift)
    assert [note.text for note in container.notes if "filter" not in note.text] == said
    assert container.variant("lift.hdf5") == "a-b"


def test_robocasa_says_an_instruction_of_each_demonstration(lift: Path, tmp_path: Path) -> None:
    with h5py.File(lift, "r+") as file:
        for name in ("demo_0", "demo_10"):
            file["data"][name].attrs["ep_meta"] = json.dumps({"lang": f"open drawer {name}", "layout_id": 3})
    leaves = opened(lift).features.leaves
    container = opened(lift)
    items = list(container.episodes("lift.hdf5", leaves))
    texts = [item.episode.texts["steps/language_instruction"] if item.episode else str(item.error) for item in items]
    assert texts == [
        ["open drawer demo_0"] * 6,
        "demo_2: ep_meta has no instruction (lang), which others have",
        ["open drawer demo_10"] * 4,
    ]
    [first, *_] = opened(lift, instruction="lift it").episodes("lift.hdf5", leaves)
    assert first.episode is not None
    assert first.episode.texts["steps/language_instruction"] == ["lift it"] * 6


def test_a_folder_is_one_dataset_with_a_task_for_each_environment(lift: Path, tmp_path: Path) -> None:
    other = Path(shutil.copy(lift, lift.with_name("stack.hdf5")))
    with h5py.File(other, "r+") as file:
        file["data"].attrs["env_args"] = json.dumps({"env_name": "Stack_D0"})
        del file["mask"]
    ingest(lift.parent, tmp_path / "out", source="rlds", settings={"observation_keys": ("object",)})
    assert [(one.task, one.source_id) for one in read_dataset(tmp_path / "out")] == [
        ("Lift", "0"),
        ("Lift", "10"),
        ("Stack_D0", "0"),
        ("Stack_D0", "2"),
        ("Stack_D0", "10"),
    ]


def test_a_folder_of_other_fields_is_refused(lift: Path) -> None:
    other = Path(shutil.copy(lift, lift.with_name("low_dim.hdf5")))
    with h5py.File(other, "r+") as file:
        for name in file["data"]:
            del file["data"][name]["obs/agentview_image"]
    message = r"files of different fields \(lift.hdf5 and low_dim.hdf5 differ in steps/observation/agentview_image\)"
    with pytest.raises(InputError, match=message):
        opened(lift.parent)


def test_a_demonstration_that_disagrees_with_itself_costs_itself(lift: Path) -> None:
    with h5py.File(lift, "r+") as file:
        del file["data/demo_0/obs/object"]
        file["data/demo_0/obs/object"] = np.zeros((5, 10))
        file["data/demo_2"].attrs["num_samples"] = 7
        del file["data/demo_10/rewards"]
    assert read(opened(lift)) == [
        (-1, "demo_0: steps/observation/object has 5 timesteps, 6 were expected"),
        (-1, "demo_2: it has 5 actions, num_samples says 7"),
        (-1, "demo_10: steps/reward is missing"),
    ]


def test_a_raw_file_has_no_observations(lift: Path) -> None:
    with h5py.File(lift, "r+") as file:
        del file["data/demo_0/obs"]
    with pytest.raises(InputError, match=r"lift.hdf5 has no observations: .*dataset_states_to_obs.py"):
        opened(lift)
