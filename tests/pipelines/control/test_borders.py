"""Flags of first and last timesteps: a record holds one episode, or it is said that it does not."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gato_pipelines.rlds.episode import RldsEpisode
from tests.cli.command import error_of
from tests.cli.command import ingest as command
from tests.pipelines.sources.made import ACTION, STATE, episode, write
from tests.pipelines.sources.records import read_dataset

Flags = tuple[Sequence[int], Sequence[int]]
WHOLE, NEVER = ([0], [-1]), ([], [])


def flagged(first: Sequence[int], last: Sequence[int], length: int = 4) -> RldsEpisode:
    """An episode with these timesteps flagged."""
    made = episode(
        {
            "observation/state": np.zeros((length, 2), np.float32),
            "action": np.full((length, 1), 0.5, np.float32),
        }
    )
    flags = {"steps/is_first": np.zeros(length, bool), "steps/is_last": np.zeros(length, bool)}
    flags["steps/is_first"][list(first)] = flags["steps/is_last"][list(last)] = True
    return replace(made, tensors={**made.tensors, **flags})


def dataset(folder: Path, flags: Sequence[Flags], length: int = 4, shards: int = 1) -> Path:
    return write(folder, (STATE, ACTION), [flagged(*pair, length) for pair in flags], shards=shards)


def dry(folder: Path, *asked: str) -> dict[str, Any]:
    result = command("rlds", folder, "--out", "absent", "--dry-run", "--json", *asked)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (([0, 2], [-1]), "is_first is set in timestep 2 of 4"),
        (([2], [-1]), "is_first is set in timestep 2 of 4"),
        (([0], [1, -1]), "is_last is set in timestep 1 of 4"),
        (([0], [0]), "is_last is set in timestep 0 of 4"),
    ],
)
def test_two_episodes_in_one_record_are_a_dead_letter(flags: Flags, reason: str, tmp_path: Path) -> None:
    folder = dataset(tmp_path / "rlds", [WHOLE, flags, WHOLE], shards=2)
    assert dry(folder)["unreadable"] == 1
    shown = command("rlds", folder, "--out", tmp_path / "out", "--dry-run").stdout
    assert f"cannot be read: 1 episode of 3 (arm-train.tfrecord-00001-of-00002, record 0: {reason}" in shown
    message = error_of(command("rlds", folder, "--out", tmp_path / "out"))
    assert "1 of 3 episodes could not be used" in message
    why = f"record 0: {reason}: the record holds more than one episode (--ignore-borders reads it as one)"
    assert why in message
    assert command("rlds", folder, "--out", tmp_path / "out", "--max-bad", "1").exit_code == 0
    assert len(read_dataset(tmp_path / "out")) == 2


@pytest.mark.parametrize("dry_run", [True, False])
def test_records_that_all_hold_several_are_refused(dry_run: bool, tmp_path: Path) -> None:
    folder = dataset(tmp_path / "rlds", [([0, 2], [1, 3])] * 3, shards=2)
    asked = ["--dry-run"] * dry_run
    assert error_of(command("rlds", folder, "--out", tmp_path / "out", *asked)) == (
        "no record of arm/1.0.0 holds one episode, since is_first is set in timestep 2 of 4: the record holds more "
        "than one episode (--ignore-borders reads it as one): write every episode as a record of its own"
    )


def test_records_of_one_timestep_are_refused(tmp_path: Path) -> None:
    flags: list[Flags] = [([0], []), NEVER, NEVER, ([], [0]), ([0], [])]
    folder = dataset(tmp_path / "rlds", flags, length=1, shards=2)
    message = (
        "the records of arm/1.0.0 hold one timestep each, 2 of 5 of them with is_first: write every episode as one "
        "record, or read each timestep as an episode with --ignore-borders"
    )
    assert error_of(command("rlds", folder, "--out", tmp_path / "out", "--dry-run")) == message
    assert error_of(command("rlds", folder, "--out", tmp_path / "out")) == message
    assert command("rlds", folder, "--out", tmp_path / "out", "--ignore-borders").exit_code == 0
    assert len(read_dataset(tmp_path / "out")) == 5


@pytest.mark.parametrize("length", [1, 4])
@pytest.mark.parametrize("flags", [WHOLE, NEVER])
def test_flags_that_are_whole_or_never_set_are_fine(flags: Flags, length: int, tmp_path: Path) -> None:
    found = dry(dataset(tmp_path / "rlds", [flags] * 3, length))
    text = "episodes of task arm are one timestep long, 100.0% of them: does the input say where episodes end?"
    short = [{"kind": "short", "text": text, "count": 3}] if length == 1 else []
    assert (found["notes"], found["unreadable"]) == (short, 0)


def test_pieces_of_episodes_are_counted(tmp_path: Path) -> None:
    flags: list[Flags] = [([0], []), NEVER, ([], [-1]), WHOLE]
    notes = dry(dataset(tmp_path / "rlds", flags, shards=2))["notes"]
    begin, end = (
        f"episodes of arm/1.0.0 {what}, which the others have: they may be pieces of episodes"
        for what in ("begin without is_first", "end without is_last")
    )
    assert notes == [{"kind": "read", "text": text, "count": 2} for text in (begin, end)]


def test_ignored_borders_are_said(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "rlds", [WHOLE, ([0, 2], [-1])])
    found = dry(folder, "--ignore-borders")
    text = "episodes of arm/1.0.0 with is_first or is_last inside are read as one each"
    assert found["notes"] == [{"kind": "read", "text": text, "count": 1}]
    assert found["unreadable"] == 0
