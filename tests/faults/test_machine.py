"""What the machine does to an ingest: a disk that is full, a closed folder, input that changes, a worker that dies."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from gato_data.errors import InputError
from gato_pipelines.ingest import dataset_writer as ingest_module
from gato_pipelines.ingest.runners import run_over
from tests.rlds_inputs import digests, ingest, moving, shards, write


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three parts of two episodes."""
    return write(tmp_path / "rlds", [moving(number, length=40) for number in range(6)], shards=3)


@pytest.fixture
def wanted(source: Path, tmp_path: Path) -> dict[str, str]:
    """What an undisturbed ingest makes of them."""
    ingest(source, tmp_path / "undisturbed" / "out", source="rlds")
    return digests(tmp_path / "undisturbed" / "out")


def command(source: Path, out: Path, *options: str) -> list[str]:
    program = str(Path(sys.executable).with_name("gato-data"))
    return [program, "ingest", "rlds", str(source), "--out", str(out), *options]


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("Error: ")
    return last.removeprefix("Error: ")


def test_a_file_system_that_takes_no_more(source: Path, wanted: dict[str, str], tmp_path: Path) -> None:
    """The kernel refuses to write on: what a full disk does, without one."""
    out = tmp_path / "out"
    limited = (
        f"import resource, sys, os; resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048)); "
        f"os.execv({command(source, out)[0]!r}, sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, *command(source, out, "--workers", "1")],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert error_of(done) == (
        f"{out} cannot be written (File too large): free space or mend its permissions, then run the same command "
        "again; finished shards are kept"
    )
    assert not (out / "dataset.json").exists()
    ingest(source, out, source="rlds")
    assert digests(out) == wanted


def test_a_folder_that_may_not_be_written(source: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("needs a user other than root, whom no permission stops")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    done = subprocess.run(command(source, closed / "out"), capture_output=True, text=True, check=False, timeout=300)
    assert "cannot be written (Permission denied)" in error_of(done)


@pytest.mark.parametrize("change", ["longer", "shorter", "gone"])
def test_input_that_changes_after_the_scan(
    source: Path, wanted: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    out, path = tmp_path / "out", shards(source)[1]
    content = path.read_bytes()

    def changed(*arguments: object) -> None:
        if change == "gone":
            path.unlink()
        else:
            path.write_bytes(content * 2 if change == "longer" else content[: len(content) // 2])
        run_over(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(ingest_module, "run_over", changed)
        with pytest.raises(InputError) as raised:
            ingest(source, out, source="rlds")
    if change == "gone":
        assert str(raised.value).startswith(f"{path.name} cannot be read (No such file or directory)")
    else:
        now = len(content) * 2 if change == "longer" else len(content) // 2
        assert str(raised.value) == (
            f"{path.name} changed while it was ingested: it had {len(content)} bytes and has {now} now; run the same "
            "command again when nothing writes to it any more, finished shards are kept"
        )
    assert not (out / "dataset.json").exists()
    path.write_bytes(content)
    ingest(source, out, source="rlds")
    assert digests(out) == wanted


DIES = """
    import os, sys
    if "sdk_worker_main" in " ".join(sys.orig_argv):
        from gato_pipelines.control_source import ControlSource
        read = ControlSource.read
        def dying(self, folder, part, task):
            if part.file.endswith(os.environ["DIES_AT"]):
                os._exit(7)
            return read(self, folder, part, task)
        ControlSource.read = dying
"""


def test_a_worker_that_dies(source: Path, wanted: dict[str, str], tmp_path: Path) -> None:
    out, site = tmp_path / "out", tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(dedent(DIES))
    path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        command(source, out, "--workers", "2"),
        env={**os.environ, "PYTHONPATH": path, "DIES_AT": "00002-of-00003"},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert error_of(done) == (
        "a worker process at work on arm-train.tfrecord-00002-of-00003 died (exit code 7): run the same command again, "
        "and look at that input if it dies there once more; finished shards are kept"
    )
    assert not (out / "dataset.json").exists()
    kept = {path.name: path.stat().st_ino for path in shards(out) if Path(f"{path}.index").exists()}
    ingest(source, out, source="rlds")
    assert digests(out) == wanted
    assert {name: (out / name).stat().st_ino for name in kept} == kept


def test_two_ingests_into_one_folder(source: Path, wanted: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    both = [subprocess.Popen(command(source, out, "--workers", "1"), stdout=-1, stderr=-1, text=True) for _ in range(2)]
    ended = [(process.communicate(timeout=300)[1].splitlines()[-1], process.returncode) for process in both]
    assert digests(out) == wanted
    assert 0 in {code for _, code in ended}
    for last, code in ended:
        if code:
            assert last == f"Error: another ingest is writing to {out}: wait until it ends, or choose another --out"


def test_the_input_is_not_written(source: Path, tmp_path: Path) -> None:
    before = digests(source)
    ingest(source, tmp_path / "out", source="rlds")
    assert digests(source) == before
