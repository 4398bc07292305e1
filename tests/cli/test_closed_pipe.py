"""`gato-data ... | head -1`: who reads the output leaves, and the command ends without a word."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from gato_cli.main import ClosedPipeError, main
from gato_cli.reader_gone import READER_GONE, is_reader_gone

PROGRAM = Path(sys.executable).with_name("gato-data")
COMMANDS = {
    "help": ("--help",),
    "help of a command": ("ingest", "atari", "--help"),
    "info": ("info",),
    "sources": ("sources",),
    "sources as JSON": ("sources", "--json"),
    "a table": ("inspect", "{library}/pong"),
    "JSON": ("inspect", "{library}/pong", "--json"),
    "a plan": ("mix", "--weights", "uniform", "--dry-run", "{library}/pong"),
    "verify": ("verify", "{library}/pong"),
    "vocabulary": ("vocabulary", "show"),
}


def without_reader(arguments: list[str], *, errors_too: bool = False) -> tuple[int, str]:
    """Exit code and standard error of a command whose standard output nobody reads."""
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=write,
            stderr=write if errors_too else subprocess.PIPE,
            text=True,
            check=False,
            timeout=120,
        )
    finally:
        os.close(write)
    return done.returncode, done.stderr or ""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_whose_reader_left_says_nothing(library: Path, name: str) -> None:
    arguments = [word.format(library=library) for word in COMMANDS[name]]
    assert without_reader(arguments) == (READER_GONE, "")


def test_an_error_that_nobody_reads(tmp_path: Path) -> None:
    arguments = ["inspect", str(tmp_path / "nothing")]
    assert without_reader(arguments, errors_too=True)[0] == READER_GONE
    code, error = without_reader(arguments)  # nothing was to be written there
    assert code == 1
    assert error.startswith("Error: ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("name", ["help", "sources", "sources as JSON", "vocabulary"])
def test_an_output_without_room_is_one_sentence(name: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [PROGRAM, *COMMANDS[name]], stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=120
        )
    wanted = "Error: there is no room for what this prints: give it a place with room, and run it again\n"
    assert (done.returncode, done.stderr) == (1, wanted)


def test_another_file_without_room_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: click.Group, ctx: click.Context) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "elsewhere")

    monkeypatch.setattr(click.Group, "invoke", full)
    monkeypatch.setattr(sys, "argv", ["gato-data", "sources"])
    with pytest.raises(OSError, match="elsewhere"):
        main()


def test_another_pipe_that_closed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: click.Group, ctx: click.Context) -> None:
        raise BrokenPipeError("the store hung up")

    monkeypatch.setattr(click.Group, "invoke", broken)
    monkeypatch.setattr(sys, "argv", ["gato-data", "sources"])
    with pytest.raises(ClosedPipeError) as caught:
        main()
    assert str(caught.value.__cause__) == "the store hung up"
    assert not is_reader_gone(BrokenPipeError())
