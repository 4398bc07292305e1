"""`ingest --runner array`: as many shells as there are tasks, one of them killed."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

from tests.cli.command import error_of, ingest
from tests.object_store import Bucket
from tests.remote_folders import down
from tests.rlds_inputs import digests

PROGRAM = "from gato_cli.main import main; main()"
KILLED = dedent(
    """
    import os, signal
    from gato_pipelines.ingest import shards
    publish = shards._PartWriter._publish
    def killed(part, split, writer):
        if part._number > 2:
            os.kill(os.getpid(), signal.SIGKILL)
        publish(part, split, writer)
    shards._PartWriter._publish = killed
    """
)


def shell(source: Path, out: Path | str, task: str, program: str = PROGRAM) -> "subprocess.Popen[str]":
    """One task in a process of its own, as a batch system starts it."""
    command = [sys.executable, "-c", program, "ingest", "rlds", str(source), "--out", str(out), "--holdout", "0.3"]
    return subprocess.Popen(
        [*command, "--runner", "array", "--array-task", task, "--workers", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ends(*shells: "subprocess.Popen[str]") -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of each."""
    said = [shell.communicate(timeout=600) for shell in shells]
    return [(shell.returncode, *words) for shell, words in zip(shells, said, strict=True)]


def test_one_of_three_shells_is_killed(array_source: Path, array_wanted: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "arm"
    programs = {"1/3": KILLED + PROGRAM, "2/3": PROGRAM, "3/3": PROGRAM}
    killed, *others = ends(*(shell(array_source, out, task, program) for task, program in programs.items()))
    assert killed[0] == -signal.SIGKILL
    assert [(code, stdout) for code, stdout, _ in others] == [(0, ""), (0, "")]
    assert not (out / "dataset.json").exists()
    left = sorted(path.name.rpartition("-")[0] for path in (out / ".ingest").glob("part-*"))
    assert left == ["part-00003"], "a killed process leaves its temporary folder"
    before = {path.name: path.stat().st_ino for path in out.glob("*.tfrecord-*")}
    assert len(before) == 4 * 4
    ((code, stdout, stderr),) = ends(shell(array_source, out, "1/3"))
    assert code == 0, stderr
    assert stderr.splitlines()[:2] == [
        "10 episodes in 5 parts: task 1/3 writes 1 of its 2",
        f"{out} is complete: 1,200 tokens",
    ]
    assert "read      10 episodes, 200 timesteps, 1,200 tokens" in stdout.splitlines()
    assert digests(out) == array_wanted
    assert before.items() <= {path.name: path.stat().st_ino for path in out.glob("*.tfrecord-*")}.items()


def test_one_of_two_shells_is_killed_at_an_object_store(
    array_source: Path, array_wanted: dict[str, str], tmp_path: Path, bucket: Bucket
) -> None:
    out = f"s3://{bucket.name}/tokens/arm"
    killed, other = ends(shell(array_source, out, "2/2", KILLED + PROGRAM), shell(array_source, out, "1/2"))
    assert killed[0] == -signal.SIGKILL
    assert other[:2] == (0, ""), other[2]
    ((code, _, stderr),) = ends(shell(array_source, out, "2/2"))
    assert code == 0, stderr
    assert down(out, tmp_path / "copy") == array_wanted


def test_what_a_task_says(array_source: Path, tmp_path: Path) -> None:
    out = tmp_path / "arm"
    asked = ("rlds", array_source, "--out", out, "--holdout", "0.3", "--runner", "array")
    first = ingest(*asked, "--array-task", "1/3", "--workers", "1")
    assert (first.exit_code, first.stdout) == (0, "")
    assert first.stderr.splitlines() == [
        "10 episodes in 5 parts: task 1/3 writes 2 of its 2",
        f"task 1/3 of {out} is done; 3 of 5 parts are missing: 1, 2, 4, of tasks 2/3, 3/3; the last one to end "
        "completes the dataset",
    ]
    second = ingest(*asked, "--array-task", "2/3", "--workers", "1", "--json")
    assert json.loads(second.stdout) == {"out": str(out), "task": "2/3", "parts": 5, "missing": [2]}
    assert second.stderr.splitlines()[1] == (
        f"task 2/3 of {out} is done; 1 of 5 parts is missing: 2, of task 3/3; the last one to end completes the dataset"
    )
    wrong = ingest(*asked, "--array-task", "4/3")
    assert error_of(wrong) == (
        "array-task 4/3 is not possible: I counts from 1 to N, the number of processes of the whole array"
    )
    wrong = ingest(*asked, "--array-task", "3/4")
    assert error_of(wrong) == (
        f"{out} is written by 3 tasks, and this one is 3/4: give every task the same N, or remove {out}/.ingest/tasks "
        "where no other one is running any more"
    )
    third = ingest(*asked, "--array-task", "3/3", "--workers", "1", "--json")
    assert json.loads(third.stdout)["totals"]["episodes"] == 10


def test_an_array_does_not_download(tmp_path: Path) -> None:
    wrong = ingest("rlds", "--tfds-name", "a/b", "--out", tmp_path, "--runner", "array", "--array-task", "1/2")
    assert error_of(wrong, 2) == (
        "--tfds-name downloads, and every task of an array would: download it first, give INPUT"
    )
