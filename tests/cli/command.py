"""Running commands of `gato-data` in this process."""

from pathlib import Path

from click.testing import CliRunner, Result

from gato_cli.main import cli


def run(*arguments: str | Path, columns: int = 160) -> Result:
    result = CliRunner().invoke(cli, [*map(str, arguments)], env={"COLUMNS": str(columns)})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def ingest(*arguments: str | Path) -> Result:
    return run("ingest", *arguments)


def error_of(result: Result, code: int = 1) -> str:
    """The one sentence that a failed command ends with."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: ")
    return last.removeprefix("Error: ")
