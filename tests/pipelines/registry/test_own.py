"""Which modules are sources of a user's own, and what is kept of their settings."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gato_data.errors import InputError, SettingError
from gato_pipelines import sources
from gato_pipelines.registry.find import source_class, source_names
from gato_pipelines.registry.own import blamed, own_file, own_licence
from gato_pipelines.source import recorded_settings, setting
from tests.own_sources import arm_source, install


def test_another_copy_of_the_package_is_no_folder_of_a_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = Path(next(iter(sources.__path__))).parent
    copy = tmp_path / "gato_pipelines"
    shutil.copytree(package / "sources", copy / "sources")
    shutil.copy(package / "source.py", copy)
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(copy / "sources")])
    assert source_class("atari").__module__ == "gato_pipelines.sources.atari"


def test_two_files_of_a_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    homes = [install(monkeypatch, tmp_path / folder, arm_npz=arm_source()) for folder in ("a", "b")]
    assert source_names().count("arm-npz") == 1
    with pytest.raises(SettingError) as raised:
        source_class("arm-npz")
    assert str(raised.value) == (
        f"2 sources are named 'arm-npz', in {homes[0]} and {homes[1]}: rename the file of your own"
    )


def test_whose_a_source_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = install(monkeypatch, tmp_path, arm_npz=arm_source())
    arm: type[Any] = source_class("arm-npz")
    assert own_file(arm) == home / "arm_npz.py"
    assert own_licence(arm) == "ours"
    assert own_file(source_class("atari")) is None
    assert own_licence(source_class("atari")) == ""


def test_an_error_of_ours_stays_what_it_is() -> None:
    with pytest.raises(KeyError), blamed("atari", source_class("atari")):
        raise KeyError("pose")


def test_a_sentence_of_a_users_own_source_stays_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, tmp_path, arm_npz=arm_source())
    with pytest.raises(InputError, match=r"^no arm$"), blamed("arm-npz", source_class("arm-npz")):
        raise InputError("no arm")


@dataclass(frozen=True)
class Settings:
    """Settings of every kind that can be a path."""

    file: str = setting("", "A file.", "FILE")
    folder: str = setting("", "A folder.", "DIR")
    place: Path | None = setting(None, "A path.")
    several: tuple[str, ...] = setting((), "Files.", "PATH")
    glob: str = setting("", "No path.")


def test_of_a_path_the_last_name_is_kept() -> None:
    made: Any = Settings(
        file="/data/a.toml", folder="../b/c/", place=Path("/data/d"), several=("/e/f", "g"), glob="camera/*"
    )
    assert recorded_settings(made) == {
        "file": "a.toml",
        "folder": "c",
        "place": "d",
        "several": ("f", "g"),
        "glob": "camera/*",
    }
    empty: Any = Settings()
    assert recorded_settings(empty) == {"file": "", "folder": "", "place": None, "several": (), "glob": ""}
