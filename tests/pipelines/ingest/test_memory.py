"""Memory is bounded by an episode, whatever the size of the input."""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np

from tests import rlds_inputs

PEAK = """
    import resource, sys
    from gato_cli.main import cli
    cli(sys.argv[1:], standalone_mode=False)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_memory(folder: Path, out: Path) -> int:
    """Bytes that the command holds at most, in one process."""
    command = ["ingest", "rlds", str(folder), "--image-size", "64x80", "--out", str(out), "--workers", "1"]
    done = subprocess.run(
        [sys.executable, "-c", dedent(PEAK), *command], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1]) * 1024


def test_memory_is_that_of_an_episode_however_many_there_are(tmp_path: Path) -> None:
    frames = [rlds_inputs.png(value) for value in range(0, 250, 10)]
    length = 1500
    images = [frames[t % len(frames)] for t in range(length)]
    long = rlds_inputs.episode(np.zeros((length, 2), np.float32), images=images)
    peaks = {}
    for episodes in (2, 12):
        folder = rlds_inputs.write(tmp_path / f"rlds{episodes}", [long] * episodes, observation=rlds_inputs.IMAGE)
        peaks[episodes] = peak_memory(folder, tmp_path / f"out{episodes}")
    patches = length * 64 * 80 * 3
    assert peaks[12] - peaks[2] < 2 * patches, "ten more episodes may not stay in memory"
