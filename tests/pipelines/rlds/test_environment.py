"""What a recording says of its simulator: data of a stranger, kept as far as it is simple."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from gato_data.growing.tasks import common_environment
from gato_pipelines.containers.detect import open_container
from gato_pipelines.rlds.environment import MAX_BYTES, environment_of
from gato_schemas.dataset import EnvironmentInfo
from tests.rlds_inputs import moving, write

RECORDED: dict[str, Any] = {
    "module": "gato_pipelines.recorders.dm_control",
    "task": "cartpole-swingup",
    "policy": "a controller",
    "seed": 3,
    "pixels": False,
    "dm_control": "1.0.28",
    "mujoco": "3.3.0",
}


def test_names_options_and_versions_are_told_apart() -> None:
    assert environment_of(RECORDED, "other") == EnvironmentInfo(
        family="dm-control",
        id="cartpole-swingup",
        options={"pixels": False, "seed": 3},
        versions={"dm_control": "1.0.28", "mujoco": "3.3.0"},
        policy="a controller",
    )


def test_without_a_name_the_config_is_what_was_played() -> None:
    found = environment_of({"module": "gato_pipelines.recorders.sokoban", "boxes": 2}, "boxes_2")
    assert found is not None
    assert (found.id, found.options) == ("boxes_2", {"boxes": 2})


@pytest.mark.parametrize("module", [None, 3, "tensorflow_datasets.rl", "gato_pipelines.recorders.a.b", "os"])
def test_what_no_recorder_wrote_is_no_simulator(module: Any) -> None:
    assert environment_of({**RECORDED, "module": module}, "") is None


@pytest.mark.parametrize("value", [[1], {"a": 1}, "x" * 300, 10**30, 1e400])
def test_only_simple_values_are_kept(value: Any) -> None:
    found = environment_of({**RECORDED, "extra": value, "k" * 300: 1}, "")
    assert found is not None
    assert found.options == {"pixels": False, "seed": 3}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "truncated"),
        ("[1]", "Expected `object`"),
        ("\udcff", "invalid|Invalid"),
        ("[" * 5000, "recursion"),
        ('{"a": "' + "x" * MAX_BYTES + '"}', "larger than 64 KiB"),
    ],
)
def test_a_file_that_cannot_be_read_is_said_and_costs_nothing(text: str, why: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "arm", [moving(0)])
    (folder / "metadata.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    container = open_container(folder)
    assert container.environment is None
    (note,) = container.notes
    assert note.kind == "read"
    assert "metadata.json of arm cannot be read" in note.text


def test_a_pipe_in_its_place_is_not_read(tmp_path: Path) -> None:
    folder = write(tmp_path / "arm", [moving(0)])
    (folder / "metadata.json").unlink()
    os.mkfifo(folder / "metadata.json")
    container = open_container(folder)
    assert container.environment is None
    assert "it is a pipe or a device" in container.notes[0].text


def test_a_recording_is_known_by_its_file(tmp_path: Path) -> None:
    assert open_container(write(tmp_path / "other", [moving(0)])).environment is None
    folder = write(tmp_path / "arm", [moving(0)])
    (folder / "metadata.json").write_text(json.dumps(RECORDED))
    found = open_container(folder)
    assert found.environment == environment_of(RECORDED, "")
    assert found.notes == ()


def test_parts_keep_what_they_agree_on() -> None:
    one, other = environment_of(RECORDED, ""), environment_of({**RECORDED, "seed": 4, "policy": "noise"}, "")
    both = common_environment([one, other, one])
    assert both is not None
    assert (both.options, both.policy) == ({"pixels": False}, "a controller; noise")
    assert common_environment([one, environment_of({**RECORDED, "task": "walker-walk"}, "")]) is None
    assert common_environment([one, None]) is None
    assert common_environment([None]) is None
