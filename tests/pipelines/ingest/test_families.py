"""What a source is for, and what it is not: every recording against every source of a family."""

import re
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from gato_data.errors import InputError
from gato_pipelines.ingest.families import check_looks
from gato_pipelines.ingest.inputs import find_inputs
from gato_pipelines.registry.find import make_source, source_class, source_names
from tests.pipelines.sources.cases import CASES, DATA
from tests.rlds_inputs import edit_json, moving, write

CONTROL_SOURCES = {name: source_class(name) for name in source_names() if not source_class(name).reads_documents}
FAMILIES = [name for name, source in CONTROL_SOURCES.items() if getattr(source, "form", None) is not None]
CONTROL = {"dm-control", "modular-rl", "manipulation-playground"}
"""Sources that nothing but their names tells apart: values and continuous actions."""
# The sources that take a recording for theirs, by its folder.
THEIRS = {
    "rlds/rlu_atari": {"atari"},
    "rlu_raw/Breakout": {"atari"},
    "jat/atari-breakout": {"atari"},
    "rlds/dmlab_standin": {"dm-lab"},
    "rlds/rlu_control_suite/cartpole_swingup": CONTROL,
    "rlds/rlu_control_suite/walker_walk": CONTROL,
    "rlds/control_suite_pixels/walker_walk": {"dm-control-pixels"},
    "rlds/babyai": {"babyai"},
    "jat/babyai-go-to-local": {"babyai"},
    "rlds/metaworld": {"meta-world", "manipulation-playground"},
    "rlds/sokoban": {"sokoban"},
    "rlds/procgen": {"procgen"},
    "rlds/rgb_stacking_sim": {"rgb-stacking", "manipulation-playground"},
    "rlds/oxe_panda_stack": {"playroom", "manipulation-playground"},
    "rlds/modular_rl/hopper_4_full": CONTROL,
    "minari/mujoco/hopper/sample-v0": CONTROL,
}


def refusal(source: str, folder: Path, **settings: Any) -> str:
    """Why a source refuses an input; empty where it does not."""
    made = make_source(source, settings)
    find_inputs(made, folder)
    try:
        check_looks(made, source, folder)
    except InputError as error:
        return str(error)
    return ""


def test_every_row_of_the_papers_table_says_what_it_looks_like() -> None:
    assert set(FAMILIES) == {name for name, source in CONTROL_SOURCES.items() if source.families}
    assert set(CONTROL_SOURCES) - set(FAMILIES) == {"rlds", "lerobot", "robomimic", "libero", "aloha", "maniskill"}


@pytest.mark.parametrize("folder", THEIRS)
def test_a_recording_is_of_its_family_and_of_no_other(folder: str) -> None:
    assert {name for name in FAMILIES if not refusal(name, DATA / folder)} == THEIRS[folder]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.source}-{case.task}")
def test_what_is_ingested_elsewhere_is_not_refused(case: Any) -> None:
    if "family" not in case.settings:
        assert refusal(case.source, case.folder, **case.settings) == ""


@pytest.mark.parametrize(
    ("source", "folder", "settings"),
    [
        ("meta-world", "rlds/metaworld", {"instruction_key": "auto"}),
        ("dm-lab", "rlds/dmlab_standin", {"drop_keys": ()}),
        ("dm-control", "rlds/rlu_control_suite/walker_walk", {"observation_keys": ("height",)}),
        ("atari", "rlds/rlu_atari", {"image_size": (16, 16)}),
        ("babyai", "rlds/babyai", {"drop_keys": ("image", "mission")}),
        ("rgb-stacking", "rlds/rgb_stacking_sim", {"observation_keys": ("basket_front_left",)}),
    ],
)
def test_settings_do_not_make_a_family_another(source: str, folder: str, settings: dict[str, Any]) -> None:
    assert refusal(source, DATA / folder, **settings) == ""


def test_chosen_fields_make_it_the_family() -> None:
    """Other fields beside those of the family are no obstacle once they are left out."""
    folder = DATA / "rlds" / "dmlab_standin"
    assert "1 image of 72x96x3, 1 continuous value, 1 discrete value and 1 discrete action" in refusal("atari", folder)
    assert refusal("atari", folder, observation_keys=("pixels",)) == ""


def test_what_is_found_wanted_and_to_be_done_is_said() -> None:
    folder = DATA / "rlds" / "rlu_control_suite" / "walker_walk"
    assert refusal("meta-world", folder) == (
        f"{folder} does not look like meta-world: a timestep has 24 continuous values and 6 continuous actions, but 39 "
        "continuous values and 4 continuous actions are wanted; ingest it with `dm-control` or `modular-rl` or "
        "`manipulation-playground` or `rlds`, or say --family meta-world if it is that"
    )
    folder = DATA / "rlds" / "procgen"
    assert refusal("atari", folder) == (
        f"{folder} does not look like atari: a timestep has 1 image of 64x64x3 and 1 discrete action, which is the "
        "form of procgen; ingest it with `procgen` or `rlds`, or say --family atari|atari-extended if it is that"
    )


def test_a_name_settles_what_the_form_does_not(tmp_path: Path) -> None:
    """Frames of 64x64 in colour are Procgen's, unless the dataset calls itself after Atari."""
    shutil.copytree(DATA / "rlds" / "procgen" / "coinrun" / "1.0.0", tmp_path / "rlds")
    assert "which is the form of procgen" in refusal("atari", tmp_path / "rlds")
    for path in (tmp_path / "rlds").glob("procgen-*"):
        path.rename(path.with_name(path.name.replace("procgen", "atari_100k")))
    edit_json(tmp_path / "rlds" / "dataset_info.json", name="atari_100k")
    assert refusal("atari", tmp_path / "rlds") == ""


def test_the_same_data_in_another_container(tmp_path: Path) -> None:
    """Meta-World's numbers in a D4RL file, and a walker's."""
    for name, floats, actions in (("reach", 39, 4), ("walker", 17, 6)):
        with h5py.File(tmp_path / f"{name}.hdf5", "w") as file:
            file["observations"], file["actions"] = np.zeros((4, floats)), np.zeros((4, actions))
            file["rewards"], file["terminals"], file["timeouts"] = np.zeros(4), np.zeros(4, bool), np.ones(4, bool)
    assert refusal("meta-world", tmp_path / "reach.hdf5") == ""
    assert re.search(r"17 continuous values and 6 continuous actions", refusal("meta-world", tmp_path / "walker.hdf5"))
    assert "which is the form of meta-world" in refusal("dm-control", tmp_path / "reach.hdf5")
    assert refusal("dm-control", tmp_path / "walker.hdf5") == ""


def test_wrong_names_of_fields_are_left_to_the_scan() -> None:
    assert refusal("atari", DATA / "rlds" / "rlu_atari", observation_keys=("fram",)) == ""


def test_any_data_is_rlds(tmp_path: Path) -> None:
    assert refusal("rlds", write(tmp_path / "rlds", [moving(0)])) == ""
