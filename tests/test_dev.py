"""dev.py: an environment is made once, remade after an interruption, and nobody else's folder is touched."""

import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
DEV = runpy.run_path(str(ROOT / "dev.py"), run_name="dev")
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()[1:]


Environment: Any = DEV["Environment"]


class Recorded(Environment):  # type: ignore[misc]
    """An environment whose steps are noted instead of run; the step named in `broken` is interrupted."""

    def __init__(self, folder: Path, broken: str = "") -> None:
        super().__init__(folder)
        self.broken = broken
        self.steps: list[str] = []

    def step(self, title: str, command: list[str]) -> None:
        self.steps.append(title)
        if title == self.broken:
            raise KeyboardInterrupt
        if title == "create it":
            self.python.parent.mkdir(parents=True)
            self.python.write_text("#!/bin/sh\necho pip 99.0\n")
            self.python.chmod(0o755)


INSTALL = "install gato-data and what it needs"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "env"


def test_the_second_run_does_nothing(folder: Path) -> None:
    first, second = Recorded(folder), Recorded(folder)
    first.ready()
    second.ready()
    assert (first.steps, second.steps) == (["create it", INSTALL], [])


def test_an_interrupted_set_up_starts_from_nothing(folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        Recorded(folder, broken=INSTALL).ready()
    (folder / "lib").mkdir()
    (folder / "lib" / "half_a_package.py").touch()
    again = Recorded(folder)
    again.ready()
    assert again.steps == ["create it", INSTALL]
    assert not (folder / "lib").exists()


def test_changed_requirements_are_installed_into_what_is_there(folder: Path) -> None:
    environment = Recorded(folder)
    environment.ready()
    environment.write_state(environment.read_state()._replace(inputs="of another day"))
    environment.ready()
    assert environment.steps == ["create it", INSTALL, INSTALL]


@pytest.mark.parametrize("field", ["python", "root"])
def test_an_environment_of_another_python_or_folder_is_made_anew(folder: Path, field: str) -> None:
    environment = Recorded(folder)
    environment.ready()
    environment.write_state(environment.read_state()._replace(**{field: "another"}))
    environment.ready()
    assert environment.steps == ["create it", INSTALL] * 2


def test_a_folder_that_is_no_environment_is_left_alone(folder: Path) -> None:
    folder.mkdir()
    (folder / "letters.txt").write_text("mine")
    with pytest.raises(SystemExit, match="is not a virtual environment: remove it or name another folder in GATO_VENV"):
        Recorded(folder).ready()
    assert [path.name for path in folder.iterdir()] == ["letters.txt"]


@pytest.mark.parametrize("version", ["3.9.1", DEV["running_python"]() + ".0"])
def test_an_environment_of_the_user_is_used_but_never_emptied(folder: Path, version: str) -> None:
    Recorded(folder).step("create it", [])
    (folder / "pyvenv.cfg").write_text(f"home = somewhere\nversion = {version}\n")
    (folder / "mine.txt").touch()
    environment = Recorded(folder, broken=INSTALL)
    with pytest.raises(SystemExit if version == "3.9.1" else KeyboardInterrupt):
        environment.ready()
    assert (folder / "mine.txt").exists()
    if version != "3.9.1":
        environment = Recorded(folder)
        environment.ready()
        assert environment.steps == [INSTALL]
        assert (folder / "mine.txt").exists()


def test_a_python_without_venv_is_told_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "ensurepip" else name)
    with pytest.raises(SystemExit, match=r"has no ensurepip module.*: install it \(on Debian.*: apt install python3"):
        Recorded(folder).ready()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("Retrying after connection broken by 'NewConnectionError'", "the package index cannot be reached"),
        ("ERROR: Could not install: [Errno 28] No space left on device", "the disk is full"),
        ("error: subprocess-exited-with-error", "the last lines say why"),
    ],
)
def test_a_failed_step_is_explained(folder: Path, line: str, wanted: str) -> None:
    environment = Environment(folder)
    with pytest.raises(SystemExit, match=f"Error: could not try: {wanted}") as caught:
        environment.step("try", ["sh", "-c", f'echo "{line}"; exit 3'])
    assert f"  | {line}" in str(caught.value)


def test_the_demo_takes_no_folder_that_it_did_not_make(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "mine.txt").touch()
    run_demo: Any = DEV["run_demo"]
    run_demo.__globals__["ROOT"] = tmp_path
    try:
        with pytest.raises(SystemExit, match="was not made by this program"):
            run_demo(Environment(tmp_path))
    finally:
        run_demo.__globals__["ROOT"] = ROOT
    assert (tmp_path / "demo" / "mine.txt").exists()


def test_every_requirement_has_one_version_that_it_allows() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = dict(line.split("==") for line in CONSTRAINTS)
    extras = project["optional-dependencies"]
    assert sorted(extras) == sorted(DEV["EXTRAS"].split(","))
    for text in [*project["dependencies"], *(text for extra in extras.values() for text in extra)]:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        if DEV["LEFT_OUT"].match(name):
            assert str(requirement.specifier).startswith("=="), text
        else:
            assert requirement.specifier.contains(pins[name], prereleases=True), text


def test_the_constraints_suit_any_machine() -> None:
    assert sorted(CONSTRAINTS, key=lambda line: line.split("==")) == CONSTRAINTS
    assert len(CONSTRAINTS) > 90
    for line in CONSTRAINTS:
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]*==[0-9][0-9a-z.]*", line), line
    assert not [line for line in CONSTRAINTS if line.startswith(("nvidia", "cuda", "triton", "gato"))]
