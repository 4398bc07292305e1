"""What a shell is told when somebody presses Tab: quickly, without a framework, and never a traceback."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from gato_cli.main import cli

PROGRAM = Path(sys.executable).with_name("gato-data")
HEAVY = {"apache_beam", "tensorflow", "tensorflow_datasets", "torch", "cv2", "matplotlib"}


def completed(*words: str) -> list[str]:
    """What the last of some words may become."""
    items = ShellComplete(cli, {}, "gato-data", "_GATO_DATA_COMPLETE").get_completions([*words[:-1]], words[-1])
    return [item.type if item.type in ("file", "dir") else item.value for item in items]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("in",), ["info", "ingest", "inspect"]),
        (("--de",), ["--debug"]),
        (("verify", "--debug", "--re"), ["--repair"]),
        (("ingest", "ata"), ["atari"]),
        (("ingest", "atari", "--hold"), ["--holdout"]),
        (("ingest", "atari", "rec"), ["file"]),
        (("ingest", "atari", "rec", "--final-step", "di"), []),
        (("inspect", "da"), ["dataset", "file"]),
        (("inspect", "dataset", "--str"), ["--strict"]),
        (("mix", "--dry"), ["--dry-run"]),
        (("mix", "explain", "--st"), ["--step"]),
        (("record", "babyai", "--lev"), ["--level"]),
        (("train", "--model", "3"), ["364m"]),
    ],
)
def test_what_is_offered(words: tuple[str, ...], found: list[str]) -> None:
    assert completed(*words) == found


def ask(line: str) -> subprocess.CompletedProcess[str]:
    """Bash's question about a line whose last word is being typed, and what was imported for the answer."""
    code = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
    code += "from gato_cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            "_GATO_DATA_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split()) - 1),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("line", ["gato-data in", "gato-data ingest atari --ho", "gato-data rollout run --gre"])
def test_nothing_heavy_is_imported(line: str) -> None:
    done = ask(line)
    assert done.stdout
    assert not HEAVY & set(done.stderr.split())
    if line == "gato-data in":
        assert "gato_cli.commands" not in done.stderr


@pytest.mark.parametrize(
    "line", ["gato-data nothing --of", "gato-data inspect nothing --j", "gato-data inspect shrad x --j"]
)
def test_a_line_that_is_no_command_yet_is_answered_with_nothing(line: str) -> None:
    done = ask(line)
    assert done.stdout == ""
    assert "Error" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("shell", "binds"), [("zsh", "compdef"), ("fish", "complete "), ("bash", "complete -o")])
def test_every_shell_has_a_script(shell: str, binds: str) -> None:
    asked = {**os.environ, "_GATO_DATA_COMPLETE": f"{shell}_source"}
    done = subprocess.run([PROGRAM], env=asked, capture_output=True, text=True, check=True, timeout=120)
    assert binds in done.stdout
    assert "gato-data" in done.stdout


def test_bash_completes() -> None:
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    script = """
        eval "$(_GATO_DATA_COMPLETE=bash_source gato-data)"
        COMP_WORDS=(gato-data insp); COMP_CWORD=1
        _gato_data_completion gato-data insp gato-data
        echo "${COMPREPLY[@]}"
    """
    path = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"
    asked = {**os.environ, "PATH": path}
    done = subprocess.run(["bash", "-c", script], env=asked, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == "inspect\n", done.stderr
