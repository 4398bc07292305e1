"""From recordings to play: models do what their demonstrations do, and a prompt decides which task is played."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = str(Path(sys.executable).with_name("gato-data"))
ROOM = (
    "record babyai --level GoToObjS4 --episodes 400 --out rlds",
    "ingest babyai rlds --out room --holdout 0.1",
    "mix --weights room=1 --steps 200 --batch-size 12 --context-length 160 --out mixture.json room",
    "train --mixture mixture.json --model tiny --width 64 --blocks 2 --feed-forward 256 --positions rope "
    "--stochastic-depth 0 --prompt-share 0 --context-length 160 --batch-size 12 --steps 200 --out run",
    "rollout run --episodes 60 --environments 10 --out scores",
)


def run(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout[-4000:]


def scores(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "scores.json").read_text())["scores"]
    return found


def test_a_model_finds_what_its_demonstrations_find(tmp_path: Path) -> None:
    pytest.importorskip("minigrid", reason="needs minigrid, of the extra [simulators]")
    pytest.importorskip("torch", reason="needs torch, of the extra [train]")
    for command in ROOM:
        run([PROGRAM, *command.split()], tmp_path)
    [task] = scores(tmp_path / "scores")["tasks"]
    arms = task["arms"]
    assert arms["policy"]["success"]["low"] > 0.85 > arms["random"]["success"]["high"]


def test_a_prompt_alone_decides_which_task_is_played(tmp_path: Path) -> None:
    pytest.importorskip("gymnasium", reason="needs gymnasium, of the extra [simulators]")
    pytest.importorskip("torch", reason="needs torch, of the extra [train]")
    run([sys.executable, str(ROOT / "recipes" / "run.py"), "mirrored", "--out", str(tmp_path)], tmp_path)
    bars = json.loads((tmp_path / "mirrored" / "result.json").read_text())["bars"]
    assert all(bar["reached"] for bar in bars), bars
