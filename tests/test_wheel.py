"""The wheel: the five packages with all their files, nothing else, and a console script that starts."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = {"gato_data": "", "gato_schemas": "schemas", "gato_pipelines": "pipelines"} | {
    "gato_cli": "cli",
    "gato_trainer": "trainer",
}


def run(*command: str, cwd: Path = ROOT, path: str = "") -> str:
    """Runs a command and returns what it prints; `path` becomes PYTHONPATH."""
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="needs hatchling, of the extra [dev], to build without a network")
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder))
    (built,) = folder.glob("*.whl")
    return built


def test_it_holds_the_packages_and_all_their_files(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    wanted = {
        str(path.relative_to(ROOT / source))
        for package, source in SOURCES.items()
        for path in (ROOT / source / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == wanted


def test_installed_it_starts_from_its_own_files(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(site))
    run(*pip, str(wheel))
    code = f"import {', '.join(SOURCES)}; print({', '.join(f'{name}.__file__' for name in SOURCES)}, sep='\\n')"
    for file in run(sys.executable, "-c", code, cwd=tmp_path, path=str(site)).splitlines():
        assert Path(file).is_relative_to(site)
    assert "Usage: gato-data" in run(str(site / "bin" / "gato-data"), "--help", cwd=tmp_path, path=str(site))
