"""Dask workers that share nothing but an object store: the bytes of the local runner, also when one is killed."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir

import pytest

from tests.object_store import Bucket
from tests.ports import LOCALHOST, free_port, wait_for
from tests.remote_folders import down
from tests.rlds_inputs import digests, ingest, moving, write

PARTS = 8
KILLED = Path(__file__).with_name("killed_worker.py")
DISK = "mount -t tmpfs none /tmp && "
"""Gives a process that has mounts of its own an empty /tmp, which nobody else sees."""


def own_mounts() -> list[str]:
    """What a command begins with that gets mounts of its own; empty where this machine has none for us."""
    for flags in ("-m", "-rm"):
        command = ["unshare", flags, "sh", "-c"]
        try:
            if subprocess.run([*command, DISK + "true"], capture_output=True, check=False).returncode == 0:
                return command
        except FileNotFoundError:
            break
    return []


@contextmanager
def cluster(workers: Sequence[Sequence[str]], environments: Sequence[dict[str, str]]) -> Iterator[str]:
    """Address of a scheduler with these workers: each what its command begins with, and its environment."""
    pytest.importorskip("distributed", reason="needs Dask, of the extra [dask]")
    port, started = free_port(), []
    python = [sys.executable, "-m"]
    scheduler = [*python, "distributed.cli.dask_scheduler", "--host", LOCALHOST, "--port", str(port), "--no-dashboard"]
    try:
        started.append(subprocess.Popen(scheduler, stderr=subprocess.DEVNULL))
        wait_for(port, started[0])
        address = f"tcp://{LOCALHOST}:{port}"
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", LOCALHOST]
        for beginning, environment in zip(workers, environments, strict=True):
            more = ["--preload", environment["PRELOAD"]] if "PRELOAD" in environment else []
            command = [*python, "distributed.cli.dask_worker", address, *options, *more]
            command = [*beginning, DISK + "exec " + shlex.join(command)] if beginning else command
            started.append(subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment, cwd=gettempdir()))
        from distributed import Client

        with Client(address) as client:
            client.wait_for_workers(len(workers), timeout=120)
        yield address
    finally:
        for process in started:
            process.kill()
            process.wait()


def submit(given: str, out: str, scheduler: str, environment: dict[str, str]) -> None:
    """The ingest as a user types it."""
    program = str(Path(sys.executable).with_name("gato-data"))
    options = ["--holdout", "0.3", "--runner", "dask", "--beam-option", f"dask_client_address={scheduler}"]
    command = [program, "ingest", "rlds", given, "--out", out, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shared") / "rlds"
    return write(folder, [moving(number, length=30) for number in range(2 * PARTS)], shards=PARTS)


@pytest.fixture(scope="module")
def wanted(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the local runner makes of it."""
    out = tmp_path_factory.mktemp("local") / "arm"
    ingest(source, out, source="rlds", holdout=0.3)
    return digests(out)


def test_workers_with_mounts_of_their_own_one_of_them_killed(
    source: Path, wanted: dict[str, str], tmp_path: Path, bucket: Bucket
) -> None:
    if not (beginning := own_mounts()):
        pytest.skip("needs mounts of its own: root, or user namespaces, and util-linux's unshare")
    if any(Path(place).resolve().is_relative_to("/tmp") for place in (__file__, sys.prefix)):
        pytest.skip("needs the code elsewhere than in /tmp, which is hidden from the workers")
    given, out = bucket.put(source, "in/rlds"), f"s3://{bucket.name}/out/arm"
    elsewhere = {**os.environ, "TMPDIR": "/tmp"}
    with cluster([beginning, beginning], [elsewhere, {**elsewhere, "PRELOAD": str(KILLED)}]) as scheduler:
        submit(given, out, scheduler, {**os.environ, "TMPDIR": str(tmp_path)})
    answers, _ = bucket.sent("in/rlds/arm-train.tfrecord")
    assert PARTS <= answers < 2 * PARTS, "who has scanned a part writes it, and has it still"
    assert down(out, tmp_path / "copy") == wanted
    assert not list(tmp_path.glob("gato-data-*"))


def test_workers_with_folders_of_their_own(source: Path, wanted: dict[str, str], tmp_path: Path) -> None:
    """Where there are no mounts and no store to be had: a disk as the store, and nothing else that both see."""
    folders = [tmp_path / name for name in ("driver", "first", "second")]
    for folder in folders:
        folder.mkdir()
    driver, *workers = [{**os.environ, "TMPDIR": str(folder)} for folder in folders]
    (tmp_path / "arm").mkdir()
    with cluster([(), ()], workers) as scheduler:
        submit(f"local://{source}", f"local://{tmp_path}/arm", scheduler, driver)
        runs = [{path.name for path in folder.glob("gato-data-*")} for folder in folders]
        assert runs[0] == set()
        assert runs[1] == runs[2]
        assert len(runs[1]) == 1, "both have worked, each with a folder of its own"
    assert digests(tmp_path / "arm") == wanted
