"""The `gato-data` command itself: its list of commands, its exit codes, and what an error looks like."""

import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from gato_cli.main import COMMANDS, cli, main
from gato_data.errors import InputError
from gato_schemas.mixture import encode_mixture
from tests.schemas.test_mixture import MIXTURE

PROGRAM = Path(sys.executable).with_name("gato-data")


def test_help_names_every_command_and_an_example() -> None:
    for option in ("-h", "--help"):
        result = CliRunner().invoke(cli, [option])
        assert result.exit_code == 0
        for name, line in COMMANDS.items():
            assert f"  {name}" in result.stdout
            assert line in result.stdout
        assert "gato-data record atari --game breakout --episodes 8 --out breakout-rlds" in result.stdout


def test_version() -> None:
    result = CliRunner().invoke(cli, ["--version"], prog_name="gato-data")
    assert result.stdout == f"gato-data, version {version('gato-data')}\n"


@pytest.mark.parametrize(
    ("word", "hint"),
    [("ingets", "Did you mean 'ingest'?"), ("zzz", f"There are: {', '.join(COMMANDS)}.")],
)
def test_an_unknown_command_names_the_nearest(word: str, hint: str) -> None:
    result = CliRunner().invoke(cli, [word])
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == f"Error: no command named {word!r}. {hint}"


@pytest.mark.parametrize(("word", "end"), [("atar", "'atar'. Did you mean 'atari'?"), ("zzz", "'zzz'.")])
def test_an_unknown_recorder_names_the_nearest(word: str, end: str) -> None:
    result = CliRunner().invoke(cli, ["record", word])
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == f"Error: No such command {end}"


def test_an_unknown_option_is_wrong_usage() -> None:
    result = CliRunner().invoke(cli, ["--dbug"])
    assert result.exit_code == 2
    assert "--debug" in result.stderr


def test_without_arguments_it_shows_help_and_fails() -> None:
    result = CliRunner().invoke(cli, [])
    assert result.exit_code == 2
    assert "Usage:" in result.output


def call_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["gato-data", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def test_an_error_that_a_user_can_mend_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ("ingest", "atari", str(tmp_path / "nothing"), "--out", str(tmp_path / "out"))
    assert call_main(monkeypatch, *arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"Error: {tmp_path / 'nothing'} does not exist")
    assert len(printed.err.splitlines()) == 1


def test_debug_shows_where_it_came_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    arguments = ("--debug", "ingest", "atari", str(tmp_path / "nothing"), "--out", str(tmp_path / "out"))
    monkeypatch.setattr(sys, "argv", ["gato-data", *arguments])
    with pytest.raises(InputError, match="does not exist"):
        main()


@pytest.mark.parametrize(("advice", "line"), [((), "Interrupted."), (("run it again",), "Interrupted: run it again")])
def test_an_interrupt_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], advice: tuple[str, ...], line: str
) -> None:
    def interrupted(self: click.Group, ctx: click.Context) -> None:
        raise KeyboardInterrupt(*advice)

    monkeypatch.setattr(click.Group, "invoke", interrupted)
    assert call_main(monkeypatch, "sources") == 128 + signal.SIGINT
    assert capsys.readouterr().err.split("\n") == ["", line, ""]


def test_an_interrupted_recording_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    recorder = pytest.importorskip("gato_pipelines.recorders.atari", reason="needs ale-py, of the extra [simulators]")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(recorder.Recorder, "record", interrupted)
    arguments = ("record", "atari", "--game", "breakout", "--out", str(tmp_path / "out"))
    assert call_main(monkeypatch, *arguments) == 128 + signal.SIGINT
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "Interrupted: run the same command again to record into the same folder from the first episode on"


def test_a_run_that_a_signal_stopped_has_not_succeeded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    train = pytest.importorskip("gato_trainer.run.train", reason="needs torch, of the extra [train]")
    nothing = dict.fromkeys(("first_loss", "last_loss", "validation"))
    stopped = train.RunResult(
        out=tmp_path, step=3, parameters=1, record={}, stopped_by="SIGTERM", windows_left_out=0, losses=[],
        is_first=True, **nothing,
    )  # fmt: skip
    monkeypatch.setattr(train, "train", lambda *_, **__: stopped)
    mixture = tmp_path / "mixture.json"
    mixture.write_bytes(encode_mixture(MIXTURE))
    arguments = ("train", "--mixture", str(mixture), "--out", str(tmp_path / "run"))
    assert call_main(monkeypatch, *arguments) == 128 + signal.SIGTERM
    assert capsys.readouterr().out.endswith("stopped by SIGTERM: the same command with --resume continues\n")


def test_what_an_error_quotes_cannot_reach_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call_main(monkeypatch, "inspect", "shard", "\x1b[31mred\u202e\r" + "x" * 5000) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "\\x1b[31mred\\u202e\\rxxx" in line
    assert line.isprintable()
    assert len(line) < 2100
    assert "more characters" in line


def test_the_console_script_starts_and_leaves_stdout_to_the_result(tmp_path: Path) -> None:
    done = subprocess.run(
        [PROGRAM, "ingest", "atari", "nothing", "--out", "out"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: nothing does not exist")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
