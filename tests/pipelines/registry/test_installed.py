"""Sources of installed packages, by their entry points."""

import json
import sys
from pathlib import Path

import pytest

from gato_data.errors import SettingError
from gato_pipelines.registry.find import source_class, source_names
from gato_pipelines.registry.own import GROUP, blamed, own_file, own_licence
from tests.cli.command import error_of, ingest, run
from tests.own_sources import arm_source, install, sessions


def package(patch: pytest.MonkeyPatch, folder: Path, points: str, **modules: str) -> Path:
    """Install a package named arm-tools that has these entry points and modules."""
    site = folder / "site"
    info = site / "arm_tools-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: arm-tools\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{points}\n")
    for name, text in modules.items():
        (site / f"{name}.py").write_text(text)
        patch.delitem(sys.modules, name, raising=False)
    patch.syspath_prepend(site)
    patch.setenv("PYTHONPATH", str(site))
    return site


def test_it_is_listed_and_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = package(monkeypatch, tmp_path, "arm_npz = arm_module:Source", arm_module=arm_source())
    rows = {row["name"]: row for row in json.loads(run("sources", "--json").stdout)["sources"]}
    assert rows["arm-npz"]["licence"] == "ours"
    cls = source_class("arm-npz")
    assert own_file(cls) == site / "arm_module.py"
    assert own_licence(cls) == "ours"
    result = ingest("arm-npz", sessions(tmp_path / "sessions"), "--out", tmp_path / "out", "--workers", "2")
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize(
    ("point", "text", "said"),
    [
        ("my-arm = arm_missing:Source", "", "arm_missing:Source of the package arm-tools (ModuleNotFoundError: No mod"),
        ("my-arm = arm_module:Other", "", "arm_module.py has no class Other"),
        ("my-arm = arm_module", "", "arm_module.py has no class Source"),
        ("my-arm = arm_module:Source", "\n1 / 0\n", "arm_module.py, line 2 (ZeroDivisionError: division by zero)"),
        ("my-arm = arm_module:Source", "class Source(:\n", "arm_module.py, line 1 (SyntaxError: invalid syntax"),
        ("my-arm = arm_module:Source", "class Source: pass\n", "arm_module.py has a Source that is no dataclass"),
    ],
)
def test_a_broken_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str, text: str, said: str) -> None:
    package(monkeypatch, tmp_path, point, arm_module=text)
    with pytest.raises(SettingError) as raised:
        source_class("my-arm")
    assert str(raised.value).startswith("source 'my-arm' is broken: ")
    assert said in str(raised.value)
    assert "\nmy-arm\n    broken    source 'my-arm' is broken: " in run("sources").stdout
    assert source_class("atari")


def test_a_name_that_there_is_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(monkeypatch, tmp_path, "atari = arm_module:Source\narm-npz = arm_module:Source", arm_module=arm_source())
    home = install(monkeypatch, tmp_path, arm_npz=arm_source())
    assert source_names().count("atari") == 1
    for name, first in (("atari", "gato-data itself"), ("arm-npz", str(home))):
        with pytest.raises(SettingError) as raised:
            source_class(name)
        assert str(raised.value) == (
            f"2 sources are named {name!r}, in {first} and the package arm-tools: rename the file of your own"
        )


def test_what_fails_is_blamed_on_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = arm_source(("    files = sorted(folder", "    1 / 0\n        files = sorted(folder"))
    site = package(monkeypatch, tmp_path, "arm-npz = arm_module:Source", arm_module=text)
    found = error_of(ingest("arm-npz", sessions(tmp_path / "sessions"), "--out", tmp_path / "out"))
    assert found.startswith(f"source 'arm-npz' failed at {site / 'arm_module.py'}, line ")
    with pytest.raises(KeyError), blamed("atari", source_class("atari")):
        raise KeyError("pose")
