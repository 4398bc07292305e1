"""What travels to workers: addresses and settings; the rest is read where it lies, and has to be what was left."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from gato_data.errors import InputError
from gato_pipelines.ingest import dataset_writer, job_file, scan_job
from gato_pipelines.ingest.job_file import leave_job
from gato_pipelines.ingest.settings import IngestSettings
from gato_schemas.dataset import WORK
from tests.remote_folders import run
from tests.rlds_inputs import digests, moving, write


@pytest.mark.parametrize("runner", ["local", "dask"])
def test_neither_a_path_nor_the_plan_travels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runner: str) -> None:
    """With nothing but what is at the addresses, and a TMPDIR of its own, a worker makes the same bytes."""
    source = write(tmp_path / "rlds", [moving(number, length=30) for number in range(4)], shards=2)
    run(source, tmp_path / "wanted" / "arm")
    folders = {name: str(tmp_path / name) for name in ("driver", "worker")}
    for folder in (*folders.values(), tmp_path / "arm"):
        Path(folder).mkdir()
    sent: list[bytes] = []

    def elsewhere(elements: Any, function: Any, *_: Any) -> None:
        sent.append(cloudpickle.dumps(function))
        if runner == "dask":
            # a process of its own would have neither of these
            monkeypatch.setattr(tempfile, "tempdir", folders["worker"])
            monkeypatch.setattr("gato_pipelines.remote.scratch._held", {})
        for element in reversed(elements):
            cloudpickle.loads(sent[-1])(element)
        monkeypatch.undo()
        patch()

    def patch() -> None:
        monkeypatch.setattr(tempfile, "tempdir", folders["driver"])
        monkeypatch.setattr(scan_job, "run_over", elsewhere)
        monkeypatch.setattr(dataset_writer, "run_over", elsewhere)

    patch()
    run(f"local://{source}", f"local://{tmp_path}/arm", runner=runner, workers=None)
    assert len(sent) == 2
    assert not any(folders["driver"].encode() in content or b"arm-train" in content for content in sent)
    assert digests(tmp_path / "arm") == digests(tmp_path / "wanted" / "arm")


def test_a_worker_with_other_libraries_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path / "rlds", [moving(0)], shards=1)
    libraries = job_file.libraries_of
    monkeypatch.setattr(job_file, "libraries_of", lambda *_, **__: {**libraries(*_, **__), "opencv": "1.0"})
    with pytest.raises(InputError, match=r"^a worker has opencv 1\.0, and the one who started the ingest \d"):
        run(source, tmp_path / "arm")


def test_what_lies_there_has_to_be_what_was_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path / "rlds", [moving(0)], shards=1)
    left: list[Any] = []
    monkeypatch.setattr(dataset_writer, "leave_job", lambda job: (left.append(job), leave_job(job))[1])
    run(source, tmp_path / "arm")
    job, again = left[0], tmp_path / "again"
    found = leave_job(replace(job, out=again, settings=IngestSettings(holdout=0.3, runner="dask")))
    (again / WORK / "plan.msgpack").write_bytes(b"another")
    with pytest.raises(InputError, match=r"^.*again/.ingest/plan\.msgpack is another ingest's: run one at a time"):
        found.write(0)
    (again / WORK / "plan.msgpack").unlink()
    with pytest.raises(InputError, match=r"^.*plan\.msgpack cannot be read \(No such file or directory\): is it in a "):
        found.write(0)
