"""The notebooks: every cell runs, and prints and draws what is kept of it."""

import re
import runpy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOKS = sorted((DOCS / "tutorials").glob("*.ipynb"))


def shown(notebook: Any) -> list[list[str]]:
    """What each cell of code prints, and `picture` for what it draws, which no two libraries draw alike."""
    return [
        ["picture" if "image/png" in output.get("data", {}) else output["text"] for output in cell["outputs"]]
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    ]


def test_there_is_a_notebook() -> None:
    assert [path.name for path in NOTEBOOKS] == ["first-look.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.stem))
def test_every_cell_shows_what_is_kept_of_it(path: Path, tmp_path: Path) -> None:
    for package in ("nbclient", "ipykernel", "ale_py", "apache_beam", "torch"):
        if find_spec(package) is None:
            pytest.skip(f"needs {package}: pip install -e '.[ingest,train,simulators,dev]'")
    import nbformat

    kept = shown(nbformat.read(path, as_version=4))
    executed = runpy.run_path(str(DOCS / "run_notebooks.py"))["executed"]
    assert kept == shown(executed(path, tmp_path))
    texts = [text for cell in kept for text in cell]
    assert texts.count("picture") >= 3
    assert [text for text in texts if re.search(r"[Ww]arning|Error|\x1b|/tmp|/home|/root", text)] == []
