"""Episodes that cannot be used are named with field and value, and the rest is kept."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gato_pipelines.rlds.encode import encode_episode
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Leaf
from gato_schemas.tfrecord import frame
from tests.pipelines.sources.made import STATE, episode, picture, png, tensor, text, write
from tests.pipelines.sources.records import read_dataset
from tests.rlds_inputs import edit_json, ingest

ACTION = tensor("steps/action", shape=(2,))


def columns(length: int = 3) -> dict[str, Any]:
    return {"observation/state": np.zeros((length, 2), np.float32), "action": np.full((length, 2), 0.5, np.float32)}


def letters(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "dead_letters.jsonl").read_text().splitlines()]


def append(folder: Path, record: bytes, episodes: int) -> None:
    """Add a record to the only shard of a dataset."""
    header, footer = frame(record)
    shard = next(folder.glob("*.tfrecord-*"))
    shard.write_bytes(shard.read_bytes() + header + record + footer)
    info = json.loads((folder / "dataset_info.json").read_text())
    info["splits"][0]["shardLengths"] = [str(episodes)]
    edit_json(folder / "dataset_info.json", **info)


def named(folder: Path, out: Path, **asked: Any) -> str:
    """The reason why the one bad episode, in the middle of three, was left out."""
    ingest(folder, out, source="rlds", max_bad=1, **asked)
    assert len(read_dataset(out)) == 2
    found = letters(out)
    assert [(letter["source"], letter["key"]) for letter in found] == [
        ("arm/1.0.0/arm-train.tfrecord-00000-of-00001", "record 1")
    ]
    return str(found[0]["reason"])


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("action", np.nan, "action is nan at timestep 1, element [1]: a finite number is wanted"),
        ("action", np.inf, "action is inf at timestep 1, element [1]: a finite number is wanted"),
        ("observation/state", -np.inf, "state is -inf at timestep 1, element [1]: a finite number is wanted"),
    ],
)
def test_numbers_that_are_not_finite(field: str, value: float, reason: str, tmp_path: Path) -> None:
    bad = columns()
    bad[field][1, 1] = value
    folder = write(tmp_path / "rlds", (STATE, ACTION), [episode(columns()), episode(bad), episode(columns())])
    assert named(folder, tmp_path / "out") == reason


@pytest.mark.parametrize(("value", "dtype"), [(1024, "int64"), (-1, "int64"), (2**40, "int64"), (40_000, "uint16")])
def test_discrete_values_out_of_range(value: int, dtype: str, tmp_path: Path) -> None:
    leaf = tensor("steps/observation/symbol", dtype)

    def made(symbol: int) -> RldsEpisode:
        return episode({**columns(), "observation/symbol": np.array([1, symbol, 3], dtype)})

    folder = write(tmp_path / "rlds", (STATE, ACTION, leaf), [made(0), made(value), made(1023)])
    assert named(folder, tmp_path / "out") == (f"symbol is {value} at timestep 1: an integer in [0, 1024) is wanted")


def test_an_episode_without_timesteps(tmp_path: Path) -> None:
    folder = write(tmp_path / "rlds", (STATE, ACTION), [episode(columns()), episode(columns(0)), episode(columns())])
    assert named(folder, tmp_path / "out") == "the episode has no timestep"


def test_an_episode_of_one_timestep_is_an_episode(tmp_path: Path) -> None:
    folder = write(tmp_path / "rlds", (STATE, ACTION), [episode(columns(1)), episode(columns(1))])
    ingest(folder, tmp_path / "out", source="rlds")
    assert [len(found.timestep_starts) for found in read_dataset(tmp_path / "out")] == [1, 1]


@pytest.mark.parametrize(
    ("leaves", "bad", "reason"),
    [
        ((STATE,), columns(), "feature steps/action is missing, a list of float32 was expected"),
        (
            (STATE, tensor("steps/action", shape=(5,))),
            {**columns(), "action": np.zeros((3, 5), np.float32)},
            "feature steps/action has 15 numbers, a multiple of 2 was expected (shape (2,))",
        ),
        (
            (STATE, tensor("steps/action", shape=(4,))),
            {**columns(), "action": np.zeros((3, 4), np.float32)},
            "feature steps/action has 6 timesteps, steps/observation/state has 3",
        ),
        (
            (STATE, tensor("steps/action", "int64")),
            {**columns(), "action": np.array([1, 2, 3])},
            "feature steps/action is a list of int64, a list of float32 was expected",
        ),
    ],
    ids=["missing key", "ragged action", "other width", "other type"],
)
def test_records_that_are_not_what_the_features_say(
    leaves: tuple[Leaf, ...], bad: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    folder = write(tmp_path / "rlds", (STATE, ACTION), [episode(columns())])
    flags = tuple(tensor(f"steps/{name}", "bool") for name in ("is_first", "is_last", "is_terminal"))
    append(folder, encode_episode(episode(bad), (*leaves, *flags)), 2)
    append(folder, encode_episode(episode(columns()), (STATE, ACTION, *flags)), 3)
    assert named(folder, tmp_path / "out") == reason


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    words = text("steps/observation/words")
    folder = write(
        tmp_path / "rlds",
        (STATE, ACTION, words),
        [episode({**columns(), "observation/words": ["go", "stay", "öffne"]}) for _ in range(3)],
    )
    shard = next(folder.glob("*.tfrecord-*"))
    data, place = shard.read_bytes(), 0
    records = []
    while place < len(data):
        length = int.from_bytes(data[place : place + 8], "little")
        records.append(data[place + 12 : place + 12 + length])
        place += 12 + length + 4
    records[1] = records[1].replace("öffne".encode(), "öffne".encode("latin-1") + b"\xff")
    shard.write_bytes(b"".join(piece for record in records for piece in (frame(record)[0], record, frame(record)[1])))
    reason = named(folder, tmp_path / "out")
    assert reason == "feature steps/observation/words holds text that is not UTF-8 (invalid start byte)"


def test_a_picture_of_another_size(tmp_path: Path) -> None:
    view = picture("steps/observation/view", (32, 32, 3))

    def made(*sides: int) -> RldsEpisode:
        return episode({**columns(), "observation/view": [png((side, side, 3)) for side in sides]})

    folder = write(tmp_path / "rlds", (STATE, ACTION, view), [made(32, 32, 32), made(32, 16, 32), made(32, 32, 32)])
    assert named(folder, tmp_path / "out") == "view: the image of timestep 1 is 16x16 pixels, 32x32 was expected"


def test_a_reward_of_several_numbers(tmp_path: Path) -> None:
    leaves = (STATE, ACTION, tensor("steps/reward", shape=(2,)))
    made = episode({**columns(), "reward": np.ones((3, 2), np.float32)})
    folder = write(tmp_path / "rlds", leaves, [made])
    from gato_data.errors import OutputError

    with pytest.raises(OutputError, match=r"feature steps/reward has shape \(2,\): one number per timestep is wanted"):
        ingest(folder, tmp_path / "out", source="rlds")
