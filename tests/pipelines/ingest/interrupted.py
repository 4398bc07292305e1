"""Run by test_killed.py in a process of its own: `python interrupted.py INPUT OUT`.

An ingest is killed at every place where a file gets its name, in a forked process of its own, and run again. Prints
one JSON object for every place: which shards were finished, and what became of them.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gato_pipelines.ingest import dataset_writer, scan_job
from gato_pipelines.ingest.run import IngestSettings, run

NEVER = 10**6


def in_this_process(elements: Any, function: Callable[[Any], None], *_: Any) -> None:
    """Stands in for Beam, whose threads do not survive a fork."""
    for element in elements:
        function(element)


def ingest_until(folder: Path, out: Path, place: int) -> int:
    """Ingest in a forked process that is killed at its rename number `place`; returns its exit status."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    renames, replace = 0, os.replace

    def counted(source: Any, target: Any, **directories: Any) -> None:
        nonlocal renames
        renames += 1
        if renames == place:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target, **directories)

    os.replace = counted
    run("atari", {}, folder, out, IngestSettings(holdout=0.55))
    os._exit(0)


def finished(out: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of every file of the parts of which all shards are there."""
    if not out.exists():
        return {}
    names = {path.name for path in out.iterdir()}
    parts = {name.partition("tfrecord-")[2][:5] for name in names}
    whole = [part for part in parts if part and len([n for n in names if f"-{part}-of" in n]) == 4]
    files = [path for path in out.iterdir() if any(f"-{part}-of" in path.name for part in whole)]
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def main(folder: Path, out: Path) -> None:
    """Kill at the first place, the second and so on, until a run is not killed any more."""
    dataset_writer.run_over = scan_job.run_over = in_this_process
    for place in range(1, NEVER):
        target = out / str(place) / "breakout"
        killed = ingest_until(folder, target, place) == signal.SIGKILL
        before = finished(target)
        again = ingest_until(folder, target, NEVER)
        after = finished(target)
        kept = [name for name, state in before.items() if after.get(name) == state]
        print(json.dumps({"killed": killed, "again": again, "finished": sorted(before), "kept": sorted(kept)}))
        if not killed:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
