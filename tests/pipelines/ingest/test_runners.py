"""Beam runners by name, and what their failures mean to a user."""

import importlib.util
import logging
import sys
import threading
from functools import partial
from pathlib import Path
from typing import get_args

import pytest

from gato_data.errors import EpisodeError, GatoError, MissingPackageError, OutputError, SettingError
from gato_pipelines.ingest import dead_workers, runners
from gato_pipelines.ingest.dead_workers import Deaths, died
from gato_pipelines.ingest.runners import run_over
from gato_pipelines.ingest.settings import EngineName, IngestSettings, RunnerName
from gato_schemas.errors import FormatError

pytest.importorskip("apache_beam", reason="needs Apache Beam, of the extra [ingest]")


def note(folder: Path, element: int) -> None:
    (folder / str(element)).write_text(str(element))


def fail(error: Exception, element: int) -> None:
    if element == 2:
        raise error


def chained(element: int) -> None:
    try:
        open("/no/such/file")  # noqa: SIM115
    except OSError as error:
        raise OutputError("it cannot be written") from error


@pytest.mark.parametrize("workers", [1, 2])
def test_the_function_is_called_for_every_element(tmp_path: Path, workers: int) -> None:
    run_over(list(range(5)), partial(note, tmp_path), "local", workers=workers, log=tmp_path / "log")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "log") == list("01234")


def test_no_elements_is_nothing_to_do(tmp_path: Path) -> None:
    run_over([], partial(note, tmp_path), "local", workers=1)
    assert list(tmp_path.iterdir()) == []


ERRORS = [
    OutputError("the disk is full (No space left on device): free some"),
    SettingError("a sentence: with colons, [brackets] and 'quotes'"),
    EpisodeError("not an episode", stage="decode"),
    FormatError("file.json is no manifest"),
]


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_arrives_as_it_was_raised(error: GatoError) -> None:
    with pytest.raises(type(error)) as raised:
        run_over([1, 2, 3], partial(fail, error), "local", workers=1)
    assert str(raised.value) == str(error)


def test_of_an_error_in_another_process_the_sentence_arrives() -> None:
    with pytest.raises(GatoError) as raised:
        run_over([1, 2, 3], partial(fail, FormatError("file.json is no manifest: (1)")), "local", workers=2)
    assert str(raised.value) == "file.json is no manifest: (1)"


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (
            "Traceback (most recent call last):\n  File ...\ngato_data.errors.OutputError: out cannot be written: free "
            "space [while running 'Call']\n\nDuring handling of the above exception, another exception occurred:\n",
            "out cannot be written: free space",
        ),
        ("...\ngato_schemas.tfrecord.TFRecordError: x is truncated [while running 'Call']", "x is truncated"),
        (
            "Traceback ...\nKeyError: 'x'\n\n",
            "a worker failed (KeyError: 'x'): --debug shows where; finished shards are kept",
        ),
        ("", "a worker failed (RuntimeError): --debug shows where; finished shards are kept"),
    ],
)
def test_what_a_failed_pipeline_means(said: str, text: str) -> None:
    assert str(runners._explain(RuntimeError(said), "local", Deaths([], str, None))) == text


@pytest.mark.parametrize(
    ("code", "kills", "text"),
    [
        (
            -9,
            (4, 5),
            "a worker process at work on b.tar died (it was killed for want of memory, SIGKILL): run the same command "
            "again with fewer --workers; finished shards are kept",
        ),
        (
            -9,
            (4, 4),
            "a worker process at work on b.tar died (something killed it, SIGKILL, and memory was not short): run the "
            "same command again; finished shards are kept",
        ),
        (
            -9,
            (None, None),
            "a worker process at work on b.tar died (it was killed, SIGKILL, perhaps for want of memory): run the same "
            "command again, with fewer --workers if so; finished shards are kept",
        ),
        (
            -11,
            (4, 5),
            "a worker process at work on b.tar died (it crashed, SIGSEGV): run the same command again, and look at "
            "that input if it crashes there once more; finished shards are kept",
        ),
        (
            -15,
            (4, 5),
            "a worker process at work on b.tar died (something ended it, SIGTERM): run the same command again; "
            "finished shards are kept",
        ),
        (
            7,
            (4, 5),
            "a worker process at work on b.tar died (exit code 7): run the same command again, and look at that input "
            "if it dies there once more; finished shards are kept",
        ),
    ],
)
def test_what_is_said_of_a_dead_worker(
    code: int, kills: tuple[int | None, int | None], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vmstat = tmp_path / "vmstat"
    monkeypatch.setattr(dead_workers, "_VMSTAT", vmstat)
    before, after = ("nr_free_pages 7\n" + (f"oom_kill {count}\n" if count is not None else "") for count in kills)
    vmstat.write_text(before)
    (tmp_path / "working-worker_3").write_text("0")
    deaths = Deaths([0, 1], ["a.tar", "b.tar"].__getitem__, tmp_path)
    assert not (tmp_path / "working-worker_3").exists()
    vmstat.write_text(after)
    said = f"RuntimeError: {died('worker_3', code)} [while running 'Call']"
    assert "a worker process died (" in str(deaths.explain(said))  # it had not begun
    (tmp_path / "working-worker_3").write_text("1")
    assert str(deaths.explain(said)) == text
    assert deaths.explain("RuntimeError: something else") is None


def test_an_interrupted_worker_is_the_users_wish() -> None:
    with pytest.raises(KeyboardInterrupt):
        Deaths([], str, None).explain(died("worker_1", -2))


def test_an_error_of_our_own_making_keeps_its_traceback() -> None:
    with pytest.raises(KeyError):
        run_over([2], partial(fail, KeyError("a bug")), "local", workers=1)


def test_an_error_with_a_cause_arrives_too() -> None:
    with pytest.raises(OutputError, match=r"^it cannot be written$"):
        run_over([1], chained, "local", workers=1)


def test_an_unknown_runner() -> None:
    every = "local, array, dask, portable, flink, spark, dataflow"
    with pytest.raises(SettingError, match=rf"^no runner named 'dusk': there are {every}$"):
        IngestSettings(runner="dusk")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("nonsense=1", "Beam has no pipeline option 'nonsense': its documentation lists them"),
        ("direct_num_worker=1", "Beam has no pipeline option 'direct_num_worker': its documentation lists them"),
        ("nonsense", "--beam-option 'nonsense' is not of the form NAME=VALUE"),
        ("--a=1", "--beam-option '--a=1' is not of the form NAME=VALUE"),
        ("direct_num_workers=x", "--beam-option is not as Beam wants it: direct_num_workers: invalid int value: 'x'"),
    ],
)
def test_beam_options_are_checked(option: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SettingError) as raised:
        run_over([1], print, "local", [option])
    assert str(raised.value) == message
    assert capsys.readouterr().err == "", "no usage of Beam's own"


def test_options_for_another_machine_are_passed_on() -> None:
    assert runners._flags("flink", ["flink_master=host:8081", "of_its_job_server=1"]) == [
        "--flink_master=host:8081",
        "--of_its_job_server=1",
    ]


def test_dask_says_what_it_needs() -> None:
    if importlib.util.find_spec("distributed") is not None:
        pytest.skip("Dask is installed here")
    with pytest.raises(MissingPackageError, match=r"^runner dask needs Dask: pip install 'gato-data\[ingest,dask\]'$"):
        run_over([1], print, "dask")


def test_dataflow_says_what_it_wants() -> None:
    with pytest.raises(GatoError) as raised:
        run_over([1], print, "dataflow")
    assert str(raised.value).startswith("runner dataflow failed (")
    assert "project" in str(raised.value)
    assert str(raised.value).endswith("): its options are given with --beam-option NAME=VALUE")


def test_without_beam_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(MissingPackageError, match=r"^ingest needs Apache Beam: pip install 'gato-data\[ingest\]'$"):
        run_over([1], print, "local")


def test_beam_is_quiet_and_leaves_logging_as_it_was(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    hook, level = threading.excepthook, logging.getLogger("apache_beam").level
    run_over([1], partial(note, tmp_path), "local", workers=1)
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.name.startswith("apache_beam")] == []
    assert (threading.excepthook, logging.getLogger("apache_beam").level) == (hook, level)


def test_every_engine_is_beams_or_has_a_runner_here() -> None:
    assert {*runners._BEAM_NAMES, "local", "dask"} == set(get_args(EngineName))
    assert {*get_args(EngineName), "array"} == set(get_args(RunnerName))
