"""Sequences of undeclared length: as long as all of them are, or left out with the reason."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gato_data.errors import InputError
from gato_pipelines.ingest.run import IngestSettings, plan_only
from gato_pipelines.rlds.values import FLAT_VALUES, ROW_LENGTHS
from gato_schemas.dataset import TaskInfo
from gato_schemas.tfrecord import frame
from gato_schemas.varints import encode_varints
from gato_schemas.wire import Feature, encode_example
from tests.pipelines.sources.made import ACTION, STATE, tensor, write
from tests.pipelines.sources.made import episode as made_episode
from tests.pipelines.sources.records import read_dataset
from tests.rlds_inputs import edit_json, ingest

LENGTH = 3


def record(path: str, rows: Sequence[Sequence[float]], dtype: str) -> bytes:
    """An episode with one sequence in every timestep, as TFDS stores it."""
    flat = [value for row in rows for value in row]
    values = (
        Feature("float", [np.array(flat, "<f4").tobytes()])
        if dtype == "float32"
        else Feature("int64", [encode_varints(np.array(flat, np.int64))])
    )
    features = {
        "steps/observation/state": Feature("float", [np.zeros(2 * len(rows), "<f4").tobytes()]),
        "steps/action": Feature("float", [np.full(len(rows), 0.5, "<f4").tobytes()]),
    }
    features.pop(path, None)
    lengths = Feature("int64", [encode_varints(np.array([len(row) for row in rows], np.int64))])
    return encode_example({**features, path + FLAT_VALUES: values, path + ROW_LENGTHS: lengths})[0]


def dataset(
    folder: Path, path: str, shards: Sequence[Sequence[Sequence[Sequence[float]]]], dtype: str = "int64"
) -> Path:
    """A dataset whose feature `path` is a Sequence of undeclared length; rows by shard, episode and timestep."""
    made = made_episode({"observation/state": np.zeros((1, 2), np.float32), "action": np.zeros((1, 1), np.float32)})
    leaf = tensor(path, dtype)
    leaves = [STATE] if path.startswith("steps/action") else [STATE, ACTION]
    tensors = {**made.tensors, path: np.zeros(1, dtype)}
    write(folder, [*leaves, leaf], [replace(made, tensors=tensors)] * len(shards), shards=len(shards))
    features = json.loads((folder / "features.json").read_text())
    above = features["featuresDict"]["features"]["steps"]["sequence"]["feature"]
    for name in ("is_first", "is_last", "is_terminal"):
        del above["featuresDict"]["features"][name]
    *parents, name = path.removeprefix("steps/").split("/")
    for parent in parents:
        above = above["featuresDict"]["features"][parent]
    inner = above["featuresDict"]["features"]
    inner[name] = {
        "pythonClassName": "tensorflow_datasets.core.features.sequence_feature.Sequence",
        "sequence": {"feature": inner[name], "length": "-1"},
    }
    (folder / "features.json").write_text(json.dumps(features))
    for shard, episodes in zip(sorted(folder.glob("*.tfrecord-*")), shards, strict=True):
        records = [record(path, rows, dtype) for rows in episodes]
        shard.write_bytes(b"".join(part for data in records for part in (frame(data)[0], data, frame(data)[1])))
    info = json.loads((folder / "dataset_info.json").read_text())
    info["splits"][0]["shardLengths"] = [str(len(episodes)) for episodes in shards]
    edit_json(folder / "dataset_info.json", **info)
    return folder


def plan(folder: Path, **settings: Any) -> TaskInfo:
    return plan_only("rlds", settings, folder, Path("absent"), IngestSettings()).plan.tasks["arm"]


IDS = "steps/observation/ids"
SAME = [[1, 2, 3]] * LENGTH


@pytest.mark.parametrize("dtype", ["int64", "float32"])
def test_the_width_comes_from_the_scan(dtype: str, tmp_path: Path) -> None:
    folder = dataset(tmp_path / "rlds", IDS, [[SAME, SAME], [SAME]], dtype)
    assert {field.name: field.shape for field in plan(folder).observations} == {"ids": (3,), "state": (2,)}
    ingest(folder, tmp_path / "out", source="rlds", settings={"observation_keys": ("ids",)})
    found = read_dataset(tmp_path / "out")
    assert [episode.tokens.reshape(LENGTH, -1).shape for episode in found] == [(LENGTH, 5)] * 3
    if dtype == "int64":
        assert found[0].tokens.reshape(LENGTH, -1)[:, :3].tolist() == SAME


@pytest.mark.parametrize(
    ("shards", "reason"),
    [
        ([[SAME], [[[1, 2, 3, 4]] * LENGTH]], "a sequence of 3 to 4 values: as many in every timestep are wanted"),
        ([[SAME, [[1], [1, 2], [1]]]], "a sequence of 1 to 3 values: as many in every timestep are wanted"),
        ([[[[]] * LENGTH]], "a sequence that is always empty"),
    ],
)
def test_other_lengths_cost_the_field_and_no_episode(
    shards: list[list[list[list[float]]]], reason: str, tmp_path: Path
) -> None:
    folder = dataset(tmp_path / "rlds", IDS, shards)
    task = plan(folder)
    assert [field.name for field in task.observations] == ["state"]
    assert task.left_out == {"ids": reason}
    summary = ingest(folder, tmp_path / "out", source="rlds")
    assert summary.manifest.dead_letters == 0
    assert len(read_dataset(tmp_path / "out")) == sum(map(len, shards))


def test_nothing_but_uneven_sequences_is_refused(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "rlds", IDS, [[[[1], [1, 2], [1]]]])
    message = r"^task 'arm' has no observation to tokenize \(.*ids: a sequence of 1 to 2 values: .*--observation-keys$"
    with pytest.raises(InputError, match=message):
        plan(folder, observation_keys=("ids",))


@pytest.mark.parametrize("action_range", ["none", "minmax"])
def test_actions_too(action_range: str, tmp_path: Path) -> None:
    rows = [[0.25, -0.5], [0.5, 0.0], [0.0, 0.5]]
    folder = dataset(tmp_path / "rlds", "steps/action", [[rows], [rows]], "float32")
    (action,) = plan(folder, action_range=action_range).actions
    assert (action.name, action.shape) == ("action", (2,))
    assert (action.low, action.high) == ((None, None) if action_range == "none" else ((0.0, -0.5), (0.5, 0.5)))
    ingest(folder, tmp_path / "out", source="rlds", settings={"action_range": action_range})
    assert len(read_dataset(tmp_path / "out")) == 2
