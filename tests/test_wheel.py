"""The wheel: the five packages with all their files, nothing else, and a console script that starts."""

import email
import os
import re
import subprocess
import sys
import tomllib
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
    for package in ("hatchling", "hatch_fancy_pypi_readme"):
        pytest.importorskip(package, reason=f"needs {package}, of the extra [dev], to build without a network")
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


def test_on_a_package_index_the_readme_stands_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = email.message_from_bytes(archive.read(name))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    repository = project["urls"]["Repository"]
    text = str(metadata.get_payload(decode=True), "utf-8")
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    assert len(targets) > 30
    assert [target for target in targets if not target.startswith(("https://", "#"))] == []
    ours = [target for target in targets if target.startswith(f"{repository}/")]
    files = [target.removeprefix(f"{repository}/").split("/", 2) for target in ours]
    assert {kind for kind, _, _ in files} == {"blob", "raw"}
    assert [path for _, _, path in files if not (ROOT / path.partition("#")[0]).exists()] == []
    assert [path for kind, _, path in files if (kind == "raw") != path.endswith((".png", ".gif"))] == []
    assert metadata["Requires-Python"] == ">=3.11"


def test_the_citation_is_of_this_version() -> None:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML, which dask of the extra [dask] brings")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["title"], citation["version"]) == (project["name"], project["version"])
    assert citation["repository-code"] == project["urls"]["Repository"]
    (paper,) = citation["references"]
    found = re.search(r"^  author  = \{(.*?)\},$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    names = " ".join(found[1].split()).split(" and ")
    assert [author["given-names"].split()[0] for author in paper["authors"]] == [name.split()[0] for name in names]
    for template in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(template.read_text(encoding="utf-8"))
        assert template.name == "config.yml" or {"name", "description", "body"} <= set(form)


def test_installed_it_starts_from_its_own_files(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(site))
    run(*pip, str(wheel))
    code = f"import {', '.join(SOURCES)}; print({', '.join(f'{name}.__file__' for name in SOURCES)}, sep='\\n')"
    for file in run(sys.executable, "-c", code, cwd=tmp_path, path=str(site)).splitlines():
        assert Path(file).is_relative_to(site)
    assert "Usage: gato-data" in run(str(site / "bin" / "gato-data"), "--help", cwd=tmp_path, path=str(site))
