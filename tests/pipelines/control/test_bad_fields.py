"""A field that costs episodes is named with its value and the way out, before anything is written and at the end."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gato_schemas.dataset import read_manifest
from tests.cli.command import error_of, run
from tests.pipelines.sources.made import episode, picture, png, tensor, write

T = 3
STATE, ACTION = tensor("steps/observation/state", shape=(2,)), tensor("steps/action", shape=(2,))


def robot(folder: Path, leaf: Any, *values: Any) -> Path:
    """An episode for each value of a field beside the state."""
    key = leaf.path.removeprefix("steps/")
    made = [
        episode(
            {
                key: value,
                "observation/state": np.zeros((T, 2), np.float32),
                "action": np.full((T, 2), 0.5, np.float32),
            }
        )
        for value in values
    ]
    return write(folder, (leaf, STATE, ACTION), made)


HOUSE = tensor("steps/observation/house_index", "int64")
GOOD, BAD = np.full(T, 7), np.array([7, 51234, 7])


def test_an_id_beyond_the_discrete_tokens(tmp_path: Path) -> None:
    folder, out = robot(tmp_path / "in", HOUSE, BAD, GOOD, BAD, BAD), tmp_path / "out"
    why = "house_index is 51234 at timestep 1: an integer in [0, 1024) is wanted"
    note = f"left out: episodes that cannot be used, because {why} (--drop-keys house_index leaves the field out) (3)"
    assert note in run("ingest", "rlds", folder, "--out", out, "--dry-run").stdout.splitlines()
    notes = json.loads(run("ingest", "rlds", folder, "--out", out, "--dry-run", "--json").stdout)["notes"]
    assert [(one["kind"], one["count"]) for one in notes] == [("left-out", 3)]
    result = run("ingest", "rlds", folder, "--out", out)
    assert note in result.stderr.splitlines()
    message = error_of(result)
    assert message.startswith("3 of 4 episodes could not be used")
    assert why in message
    assert (
        "run the same command with --drop-keys house_index, which leaves out the field that spoils 3 of them (and "
        "--overwrite), or with --max-bad 3 to go without them" in message
    )
    assert run("ingest", "rlds", folder, "--out", out, "--drop-keys", "house_index", "--overwrite").exit_code == 0
    assert read_manifest(out).splits["train"].totals.episodes == 4


def test_all_episodes(tmp_path: Path) -> None:
    folder = robot(tmp_path / "in", HOUSE, BAD, BAD)
    message = error_of(run("ingest", "rlds", folder, "--out", tmp_path / "out", "--max-bad", "2"))
    assert message.startswith("no episode could be used (the first of 2: ")
    assert message.endswith(
        "no dataset was made: run the command with --drop-keys house_index, which leaves out the field that spoils 2 "
        "of them"
    )


@pytest.mark.parametrize(
    ("leaf", "bad", "good", "why"),
    [
        (
            tensor("steps/observation/distance"),
            np.full(T, np.nan, np.float32),
            np.zeros(T, np.float32),
            "distance is nan at timestep 0: a finite number is wanted",
        ),
        (
            tensor("steps/observation/code", "int8", (2,)),
            np.array([[0, 0], [0, -3], [0, 0]], np.int8),
            np.zeros((T, 2), np.int8),
            "code is -3 at timestep 1, element [1]: an integer in [0, 1024) is wanted",
        ),
        (
            picture("steps/observation/camera", (32, 32, 3)),
            [b""] * T,
            [png((32, 32, 3))] * T,
            "camera: the image of timestep 0 cannot be decoded: 0 bytes that are neither a PNG nor a JPEG image",
        ),
    ],
)
def test_other_fields(leaf: Any, bad: Any, good: Any, why: str, tmp_path: Path) -> None:
    name = leaf.path.rpartition("/")[2]
    folder = robot(tmp_path / "in", leaf, bad, good)
    shown = run("ingest", "rlds", folder, "--out", tmp_path / "out", "--dry-run").stdout
    assert f"because {why} (--drop-keys {name} leaves the field out)" in shown
    message = error_of(run("ingest", "rlds", folder, "--out", tmp_path / "out"))
    assert why in message
    assert f"--drop-keys {name}" in message


def test_a_field_of_an_action(tmp_path: Path) -> None:
    actions = (tensor("steps/action/arm", shape=(2,)), tensor("steps/action/mode", "int64"))
    columns = {
        "observation/state": np.zeros((T, 2), np.float32),
        "action/arm": np.full((T, 2), 0.5, np.float32),
        "action/mode": np.array([-1, 0, 1]),
    }
    folder = write(tmp_path / "in", (STATE, *actions), [episode(columns)])
    message = error_of(run("ingest", "rlds", folder, "--out", tmp_path / "out"))
    assert "mode is -1 at timestep 0" in message
    assert "--action-keys arm, which leaves out the field that spoils 1 of them" in message


def test_the_only_field_is_not_to_be_dropped(tmp_path: Path) -> None:
    columns = {"observation/state": np.full((T, 2), np.nan, np.float32), "action": np.ones((T, 2), np.float32)}
    folder = write(tmp_path / "in", (STATE, ACTION), [episode(columns)])
    assert "--drop-keys" not in run("ingest", "rlds", folder, "--out", tmp_path / "out", "--dry-run").stdout
    assert "--drop-keys" not in error_of(run("ingest", "rlds", folder, "--out", tmp_path / "out"))


def test_a_placeholder_at_the_end_costs_nothing(tmp_path: Path) -> None:
    """Its last timestep, which is dropped, has no id and no distance."""
    columns = {
        "observation/house_index": np.array([7, 7, -1]),
        "observation/state": np.zeros((T, 2), np.float32),
        "action": np.array([[0.5, 0.5], [0.5, 0.5], [0, 0]], np.float32),
    }
    folder = write(tmp_path / "in", (HOUSE, STATE, ACTION), [episode(columns)])
    assert "cannot be used" not in run("ingest", "rlds", folder, "--out", tmp_path / "out", "--dry-run").stdout
    assert run("ingest", "rlds", folder, "--out", tmp_path / "out").exit_code == 0


def test_of_jat(tmp_path: Path) -> None:
    rows = {
        "discrete_observations": [[[1, 2], [3, 51234]], [[1, 2], [3, 4]]],
        "continuous_observations": [[[0.0], [0.5]], [[0.0], [0.5]]],
        "discrete_actions": [[0, 1], [1, 0]],
    }
    folder = tmp_path / "mujoco-house"
    folder.mkdir()
    pq.write_table(pa.table(rows), folder / "train-00000-of-00001.parquet")
    shown = run("ingest", "rlds", folder, "--out", tmp_path / "out", "--dry-run").stdout
    why = "discrete_observations is 51234 at timestep 1, element [1]: an integer in [0, 1024) is wanted"
    assert f"because {why} (--drop-keys discrete_observations leaves the field out)" in shown
