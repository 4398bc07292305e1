"""Options that are numbers of bytes, in both commands that train."""

from pathlib import Path

import pytest

from gato_data.reading.settings import ReadSettings
from gato_data.settings import declared, flag_name
from gato_trainer.__main__ import main
from tests.cli.command import error_of, run

SIZES = ["--memory", "--inflated", "--cache-size"]
WRONG = "give bytes, such as 1000000, or a unit with them, such as 16GB or 1.5GiB"


def test_every_number_of_bytes_is_a_size() -> None:
    found = [entry for entry, _ in declared(ReadSettings) if "ytes" in entry.metadata["help"]]
    assert [flag_name(entry) for entry in found if entry.metadata["is_size"]] == SIZES
    assert all(entry.metadata["is_size"] for entry in found)


@pytest.mark.parametrize("option", SIZES)
def test_sizes_have_units(option: str, library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mixture = tmp_path / "mixture.json"
    assert run("mix", "--weights", "pong=1", "--out", mixture, library / "pong").exit_code == 0
    train = ["train", "--mixture", str(mixture), "--out", str(tmp_path / "run"), "--dry-run", "--steps", "1"]
    assert run(*train, option, "12.5MB").exit_code == 0
    assert f"{option}': '16XB' is not a size: {WRONG}" in error_of(run(*train, option, "16XB"), 2)
    assert f"{option}': '-1GB' is not a size: {WRONG}" in error_of(run(*train, option, "-1GB"), 2)
    assert main([*train, option, "12.5MB"]) == 0
    with pytest.raises(SystemExit, match="2"):
        main([*train, option, "1e9GB"])
    assert f"argument {option}: '1e9GB' is not a size: {WRONG}" in capsys.readouterr().err


def test_sizes_are_shown_and_refused_with_units(tmp_path: Path, library: Path) -> None:
    assert "[default: 16GiB]" in run("train", "--help").stdout
    mixture = tmp_path / "mixture.json"
    assert run("mix", "--weights", "pong=1", "--out", mixture, library / "pong").exit_code == 0
    told = error_of(run("train", "--mixture", mixture, "--out", tmp_path / "run", "--cache-size", "100kB"))
    assert told == "cache_size 100kB is not possible: at least 1MiB is wanted"
