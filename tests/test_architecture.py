"""Who may import whom, seen in fresh interpreters, and the shape of the source tree."""

import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from gato_cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "gato_schemas": ROOT / "schemas" / "gato_schemas",
    "gato_data": ROOT / "gato_data",
    "gato_pipelines": ROOT / "pipelines" / "gato_pipelines",
    "gato_cli": ROOT / "cli" / "gato_cli",
    "gato_trainer": ROOT / "trainer" / "gato_trainer",
}
MODULES = sorted(path for folder in PACKAGES.values() for path in folder.rglob("*.py"))

SCALE = {"apache_beam", "tensorflow", "tensorflow_datasets", "rlds", "gato_pipelines"}
FORBIDDEN = {
    "gato_schemas": {
        *SCALE,
        "torch",
        "click",
        "cv2",
        "PIL",
        "sentencepiece",
        "tokenizers",
        "gato_data",
        "gato_trainer",
        "gato_cli",
    },
    "gato_data": {*SCALE, "torch", "click", "cv2", "gato_trainer", "gato_cli"},
    "gato_trainer": {*SCALE, "click", "cv2", "gato_cli"},
}

IMPORT_EVERYTHING = """
    import importlib, pkgutil, sys
    package = importlib.import_module({package!r})
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if module.name.endswith("__main__") or module.name == "gato_data.torch":  # what somebody imports who has torch
            continue
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if error.name != "triton":  # only builds of torch with GPU support bring it
                raise
    print(*sorted(name.partition(".")[0] for name in sys.modules))
"""

ASK_FOR_HELP = """
    import contextlib, io, sys
    from gato_cli.main import main
    sys.argv = ["gato-data", *{arguments!r}, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        main()
    assert "Usage: gato-data" in out.getvalue(), out.getvalue()
    print(*sorted(sys.modules))
"""


def names_after(code: str) -> set[str]:
    """Returns the names that code prints in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", dedent(code)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_a_whole_package_loads_nothing_forbidden(package: str) -> None:
    if package == "gato_trainer":
        pytest.importorskip("torch", reason="needs torch, of the extra [train]")
    loaded = names_after(IMPORT_EVERYTHING.format(package=package))
    assert package in loaded
    assert not loaded & FORBIDDEN[package]


def test_a_rollout_needs_neither_beam_nor_tensorflow() -> None:
    pytest.importorskip("torch", reason="needs torch, of the extra [train]")
    loaded = names_after("""
        import sys
        import gato_cli.rollout_report, gato_pipelines.recorders.gymnasium, gato_pipelines.rollout.run
        print(*sorted(name.partition(".")[0] for name in sys.modules))
    """)
    assert not loaded & {"apache_beam", "tensorflow", "tensorflow_datasets", "rlds", "h5py", "pyarrow", "cv2"}


def test_help_loads_click_and_nothing_else_of_weight() -> None:
    modules = names_after(ASK_FOR_HELP.format(arguments=[]))
    ours = {name for name in modules if name.startswith("gato_")}
    assert ours == {"gato_cli", "gato_cli.main"}
    heavy = {*SCALE, "torch", "numpy", "PIL", "cv2", "sentencepiece", "tokenizers", "matplotlib", "msgspec", "rich"}
    assert not modules & heavy


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_loads_no_framework(command: str) -> None:
    modules = names_after(ASK_FOR_HELP.format(arguments=[command]))
    assert f"gato_cli.commands.{command}" in modules
    assert not modules & {"torch", "tensorflow", "apache_beam", "tensorflow_datasets", "cv2"}


def test_the_import_contracts_hold() -> None:
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_every_package_says_that_it_is_typed(package: str) -> None:
    assert (PACKAGES[package] / "py.typed").is_file()
    assert (PACKAGES[package] / "__init__.py").is_file()


def test_only_the_packages_lie_in_their_source_roots() -> None:
    for package in ("gato_schemas", "gato_pipelines", "gato_cli", "gato_trainer"):
        root = PACKAGES[package].parent
        python = {path.relative_to(root).parts[0] for path in root.rglob("*.py")}
        assert python == {package}


def test_the_tree_in_the_documentation_is_the_one_that_is_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    block = text.partition("## The tree")[2].split("```")[1]
    shown: dict[str, list[str]] = {}
    package = ""
    for line in filter(None, block.splitlines()):
        if line.startswith(" "):
            shown[package] += re.split(r" {2,}", line.strip())[0].split()
        else:
            package = line.rstrip("/").rpartition("/")[2]
            shown[package] = []
    there = {
        package: [
            f"{path.name}/" if path.is_dir() else path.stem
            for path in folder.iterdir()
            if path.is_dir() or (path.suffix == ".py" and not path.stem.startswith("__"))
        ]
        for package, folder in PACKAGES.items()
    }
    assert {name: sorted(rooms) for name, rooms in shown.items()} == {
        name: sorted(set(rooms) - {"__pycache__/"}) for name, rooms in there.items()
    }


def test_no_module_is_too_long_to_read() -> None:
    assert len(MODULES) > 50
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {name: lines for name, lines in lengths.items() if lines > 350} == {}


def test_module_names_say_what_is_inside() -> None:
    vague = {"util", "utils", "helper", "helpers", "common", "base", "manager", "managers", "misc", "core", "lib"}
    assert [str(path) for path in MODULES if {path.stem, path.parent.name} & vague] == []
