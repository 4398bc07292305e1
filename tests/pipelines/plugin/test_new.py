"""A file to start a source from."""

import sys
from pathlib import Path

import pytest

from gato_data.errors import OutputError, SettingError
from gato_pipelines.plugin.new import write_source
from tests.cli.command import ingest, run
from tests.own_sources import arm_source, install, sessions


def test_it_is_the_tutorials_and_works_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert write_source("arm-npz", tmp_path / "arm").read_text() == arm_source()
    made = run("sources", "new", "my_arm", "--out", tmp_path / "own")
    assert made.exit_code == 0, made.stderr
    file = tmp_path / "own" / "gato_pipelines" / "sources" / "my_arm.py"
    assert made.stdout.startswith(f"{file}: a source named my-arm; ")
    install(monkeypatch, tmp_path)
    monkeypatch.delitem(sys.modules, "gato_pipelines.sources.my_arm", raising=False)  # of another test
    assert "\nmy-arm\n    Sessions of our robot arm" in run("sources").stdout
    result = ingest("my-arm", sessions(tmp_path / "sessions"), "--out", tmp_path / "out", "--degrees")
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize("name", ["", "a/b", "../up", "Arm", "arm--b", "_arm", "1arm", "class", "a.b", "bras-à"])
def test_names_that_can_be_none(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no source can be named"):
        write_source(name, tmp_path / "own")
    assert not (tmp_path / "own").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    file = write_source("my-arm", tmp_path)
    file.write_text("# months of work\n")
    with pytest.raises(OutputError, match=r"my_arm\.py is there already"):
        write_source("my-arm", tmp_path)
    assert file.read_text() == "# months of work\n"
    with pytest.raises(SettingError, match="there is a source named 'atari' already"):
        write_source("atari", tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        write_source("my-arm", tmp_path / "file")
