"""Kill an ingest again and again, run it to its end, compare: `python -m tests.faults.kill_ingest --kills 50`.

Each kill is SIGKILL at a random moment: of the whole process group, as when the machine goes down, or of the main
process alone, so that its workers outlive it. After one to three kills the same command runs undisturbed. In between,
whatever has its final name and its index must already have its final bytes, and the manifest must not be there.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests import rlds_inputs

POLL_SECONDS = 0.005


@dataclass(frozen=True)
class Outcome:
    """What happened.

    Attributes:
        kills: processes that were killed while they ran.
        too_late: kills that found the ingest at its end.
        in_work: kills after the output folder had been claimed.
        kept: finished shards that a kill left and the next run kept, over all kills.
        runs: undisturbed runs to the end, whose bytes were compared.
        seconds: all of it took.
    """

    kills: int
    too_late: int
    in_work: int
    kept: int
    runs: int
    seconds: float


def make_input(folder: Path, parts: int = 6, episodes: int = 24, timesteps: int = 200) -> Path:
    """An RLDS dataset that takes a moment to ingest."""
    made = [rlds_inputs.moving(number, length=timesteps) for number in range(episodes)]
    return rlds_inputs.write(folder, made, shards=parts)


def command(source: Path, out: Path, workers: int) -> list[str]:
    """The ingest as a user types it."""
    program = str(Path(sys.executable).with_name("gato-data"))
    return [program, "ingest", "rlds", str(source), "--out", str(out), "--holdout", "0.3", "--workers", str(workers)]


def kill_at_random(arguments: list[str], out: Path, chance: random.Random, seconds: float) -> bool:
    """Start the command and kill it; returns whether it was still running."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    if chance.random() < 0.8:  # most of the time goes by before anything is written
        while process.poll() is None and not (out / ".ingest").exists():
            time.sleep(POLL_SECONDS)
        seconds *= 0.8
    late = time.monotonic() + chance.random() * seconds
    while process.poll() is None and time.monotonic() < late:
        time.sleep(POLL_SECONDS)
    running = process.poll() is None
    alone = chance.random() < 0.5
    if running:
        (os.kill if alone else os.killpg)(process.pid, signal.SIGKILL)
    process.wait()
    return running


def check_left(out: Path, wanted: dict[str, str]) -> int:
    """Check what a kill left behind; returns the number of finished shards."""
    if not out.exists():
        return 0
    left = {name: digest for name, digest in rlds_inputs.digests(out).items() if not name.startswith(".ingest")}
    finished = [name for name in left if name + ".index" in left]
    for name in finished:
        assert left[name] == wanted[name], f"{name} has its index, and not its bytes"
        assert left[name + ".index"] == wanted[name + ".index"], f"the index of {name} differs"
    if "dataset.json" in left:
        assert left == wanted, "there is a manifest, and the dataset is not complete"
    return len(finished)


def run(folder: Path, kills: int, seed: int, workers: int) -> Outcome:
    """Kill so many times, as `seed` says when; the input and all outputs go into `folder`."""
    began, chance = time.monotonic(), random.Random(seed)
    source = make_input(folder / "rlds")
    undisturbed = folder / "undisturbed" / "arm"
    start = time.monotonic()
    subprocess.run(command(source, undisturbed, workers), check=True, capture_output=True)
    seconds, wanted = time.monotonic() - start, rlds_inputs.digests(undisturbed)
    done = too_late = in_work = kept = runs = 0
    while done < kills:
        out = folder / f"killed-{runs}" / "arm"
        for _ in range(min(chance.randint(1, 3), kills - done)):
            running = kill_at_random(command(source, out, workers), out, chance, seconds)
            done, too_late = done + running, too_late + (not running)
            in_work += (out / ".ingest").exists()
            kept += check_left(out, wanted)
            if not running:
                break
        last = subprocess.run(command(source, out, workers), check=False, capture_output=True, text=True)
        assert last.returncode == 0, last.stderr
        assert rlds_inputs.digests(out) == wanted, f"the bytes differ after the kills of {out}"
        runs += 1
    return Outcome(done, too_late, in_work, kept, runs, round(time.monotonic() - began, 1))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        print(json.dumps({**vars(asked), **asdict(run(Path(folder), asked.kills, asked.seed, asked.workers))}))


if __name__ == "__main__":
    main()
