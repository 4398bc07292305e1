"""An ingest that is killed: the same command continues, finished shards are kept, and the bytes are the same."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

from tests.rlds_inputs import digests, ingest


def test_killed_anywhere_it_continues_and_ends_with_the_same_bytes(
    recording: Path, breakout: Path, tmp_path: Path
) -> None:
    script = Path(__file__).with_name("interrupted.py")
    done = subprocess.run(
        [sys.executable, script, recording, tmp_path], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    places = [json.loads(line) for line in done.stdout.splitlines()]
    # the parts, 3 scans, the settings, the plan, 3 parts of 2 shards with their indexes (written, then named), 8 files
    # at the end
    assert len(places) - 1 == 1 + 3 + 2 + 3 * 2 * 3 + 8
    assert [place["killed"] for place in places] == [True] * (len(places) - 1) + [False]
    assert {place["again"] for place in places} == {0}
    for number, place in enumerate(places, start=1):
        assert place["kept"] == place["finished"], f"place {number}"
        assert digests(tmp_path / str(number) / "breakout") == digests(breakout), f"place {number}"
    assert {len(place["finished"]) for place in places} == {0, 4, 8, 12}


KILLED = """
    import os, signal
    from gato_pipelines.ingest import shards
    write = shards._PartWriter.write
    def killed(part):
        write(part)
        if part._number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
    shards._PartWriter.write = killed
    from gato_cli.main import main
    main()
"""


def test_the_command_killed_under_beam_continues(recording: Path, breakout: Path, tmp_path: Path) -> None:
    out = tmp_path / "breakout"
    command = ["ingest", "atari", str(recording), "--out", str(out), "--holdout", "0.55", "--workers", "1"]
    killed = subprocess.run(
        [sys.executable, "-c", dedent(KILLED), *command], capture_output=True, check=False, timeout=300
    )
    assert killed.returncode == -signal.SIGKILL
    assert not (out / "dataset.json").exists()
    left = [path for path in (out / ".ingest").iterdir() if path.name.startswith("part-")]
    assert len(left) == 1, "a killed process leaves its temporary folder"
    first = out / "breakout-train.tfrecord-00000-of-00003"
    inode = first.stat().st_ino
    ingest(recording, out, holdout=0.55)
    assert first.stat().st_ino == inode
    assert digests(out) == digests(breakout)


def test_a_dead_worker_process_ends_the_run(recording: Path, breakout: Path, tmp_path: Path) -> None:
    """Without the watch of worker_processes.py this waits for ever."""
    out = tmp_path / "breakout"
    (tmp_path / "sitecustomize.py").write_text(
        dedent(
            """
            import os, sys
            if sys.argv[0] == "-m" and "sdk_worker_main" in " ".join(sys.orig_argv):
                from gato_pipelines.ingest import shards
                write = shards._PartWriter.write
                def killed(part):
                    if part._number == 2:
                        os.kill(os.getpid(), 9)
                    write(part)
                shards._PartWriter.write = killed
            """
        )
    )
    command = [Path(sys.executable).with_name("gato-data"), "ingest", "atari", recording, "--out", out]
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [*command, "--holdout", "0.55", "--workers", "2"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 1
    first, error = done.stderr.splitlines()
    assert first == "6 episodes in 3 parts"
    assert re.fullmatch(
        r"Error: a worker process at work on \S+tfrecord-00002-of-00003 died "
        r"\((something killed it, SIGKILL, and memory was not short|"
        r"it was killed, SIGKILL, perhaps for want of memory)\): "
        r"run the same command again.*; finished shards are kept",
        error,
    )
    ingest(recording, out, holdout=0.55)
    assert digests(out) == digests(breakout)
