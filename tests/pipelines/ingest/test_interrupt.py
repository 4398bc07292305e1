"""Ctrl-C while workers run: it reaches the caller as what it is, whichever process it hits first."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from gato_pipelines.ingest.runners import run_over
from tests.rlds_inputs import digests


def pressed(_: int) -> None:
    """What a worker does when its user presses Ctrl-C."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("workers", [1, 2])
def test_in_a_worker(workers: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_over([1, 2], pressed, "local", (), workers)


INTERRUPTED = """
    import os, signal
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    from gato_pipelines.ingest import shards
    write = shards._PartWriter.write
    def interrupted(part):
        if part._number == 1:
            os.kill(os.getpid(), signal.SIGINT)
        write(part)
    shards._PartWriter.write = interrupted
    from gato_cli.main import main
    main()
"""


def test_the_command_says_how_to_continue_and_does(recording: Path, breakout: Path, tmp_path: Path) -> None:
    out = tmp_path / "breakout"
    command = ["ingest", "atari", str(recording), "--out", str(out), "--holdout", "0.55", "--workers", "1"]
    stopped = subprocess.run(
        [sys.executable, "-c", dedent(INTERRUPTED), *command], capture_output=True, text=True, check=False, timeout=300
    )
    assert (stopped.returncode, stopped.stdout) == (128 + signal.SIGINT, "")
    assert stopped.stderr.splitlines() == [
        "6 episodes in 3 parts",
        "",
        "Interrupted: run the same command again to continue; finished shards are kept",
    ]
    assert not [name for name in os.listdir(out / ".ingest") if name.startswith("part-")]
    assert not (out / "dataset.json").exists()
    again = subprocess.run(
        [Path(sys.executable).with_name("gato-data"), *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert again.returncode == 0, again.stderr
    assert digests(out) == digests(breakout)
