"""The site: every page has its place, every public name is in the reference, and what the build refuses, it refuses."""

import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
REFERENCE = sorted((ROOT / "docs" / "api").glob("*.md"))
pytestmark = pytest.mark.skipif(find_spec("mkdocs") is None, reason="needs mkdocs: pip install -e '.[docs]'")


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    import yaml

    found = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), yaml.BaseLoader)
    assert isinstance(found, dict)
    return found


def named(nav: Any) -> Iterator[str]:
    """Yields the files of a navigation."""
    if isinstance(nav, str):
        yield nav
    for entry in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ():
        yield from named(entry)


def test_every_page_has_one_place_in_the_navigation(settings: dict[str, Any]) -> None:
    found = sorted(named(settings["nav"]))
    pages = [path for path in (ROOT / "docs").rglob("*") if path.suffix in (".md", ".ipynb")]
    outside = runpy.run_path(str(ROOT / "docs" / "site" / "pages.py"))["PAGES"]
    assert found == sorted([*(path.relative_to(ROOT).as_posix() for path in pages), *outside])


def shown() -> list[str]:
    """The names of the reference."""
    return [name for page in REFERENCE for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)]


def value_of(name: str) -> Any:
    """What a name of the reference stands for."""
    module, _, last = name.rpartition(".")
    return getattr(import_module(module), last)


@pytest.mark.parametrize("package", ["gato_data", "gato_data.errors", "gato_pipelines.plugin", "gato_trainer.acting"])
def test_every_public_name_is_in_the_reference(package: str) -> None:
    public = {name: value_of(f"{package}.{name}") for name in import_module(package).__all__ if name != "__version__"}
    there = [value_of(name) for name in shown()]
    assert [name for name, value in public.items() if value not in there] == []


def test_everything_in_the_reference_is_public_and_comes_once() -> None:
    there = [value_of(name) for name in shown()]
    assert len(there) > 60
    assert [value for value in there if there.count(value) > 1] == []
    assert [name for name in shown() if "._" in name] == []


@pytest.fixture
def problems() -> Callable[[Path], list[str]]:
    found = runpy.run_path(str(ROOT / "docs" / "site" / "links.py"))["problems"]
    return lambda site: list(found(site))


def test_links_that_lead_somewhere_are_no_problem(tmp_path: Path, problems: Callable[[Path], list[str]]) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "picture.png").touch()
    (tmp_path / "index.html").write_text(
        '<h1 id="top">x</h1><a href="sub/page.html#part%20two">a</a><a href="#top">b</a><img src="picture.png">'
        '<a href="https://example.org/#nowhere">c</a><img src="data:image/png;base64,AA">'
    )
    (tmp_path / "sub" / "page.html").write_text('<h1 id="part two">x</h1><a href="..">a</a><a href="/index.html">b</a>')
    assert problems(tmp_path) == []


def test_links_that_lead_nowhere_are_named(tmp_path: Path, problems: Callable[[Path], list[str]]) -> None:
    (tmp_path / "index.html").write_text(
        '<a href="gone.html">a</a><a href="#gone">b</a><script src="https://example.org/x.js"></script>'
        '<link rel="stylesheet" href="//example.org/x.css">'
    )
    assert problems(tmp_path) == [
        "index.html links #gone, which has no such anchor",
        "index.html fetches //example.org/x.css: a page of the site needs nothing from elsewhere",
        "index.html links gone.html, which is not there",
        "index.html fetches https://example.org/x.js: a page of the site needs nothing from elsewhere",
    ]


def test_the_check_fails_where_a_link_leads_nowhere(tmp_path: Path) -> None:
    hook = ROOT / "docs" / "site" / "links.py"
    (tmp_path / "mkdocs.yml").write_text(
        f"site_name: made\ntheme: {{name: material, font: false}}\nplugins: []\nhooks: [{hook}]\n"
    )
    (tmp_path / "docs").mkdir()
    check = runpy.run_path(str(ROOT / "dev.py"))["CHECKS"]["site"].split()
    for link, code in (("index.html", 0), ("gone.html", 1)):
        (tmp_path / "docs" / "index.md").write_text(f'# Made\n\n<a href="{link}">there</a>\n')
        done = subprocess.run(
            [sys.executable, "-m", *check], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
        )
        assert (done.returncode, "index.html links gone.html, which is not there" in done.stderr) == (code, bool(code))


def test_the_site_builds(tmp_path: Path) -> None:
    check = runpy.run_path(str(ROOT / "dev.py"))["CHECKS"]["site"].split()
    command = [sys.executable, "-m", *check, "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "files" / "CITATION.cff").read_bytes() == (ROOT / "CITATION.cff").read_bytes()


def test_a_notebook_becomes_a_page() -> None:
    import nbformat
    from nbformat import v4

    convert = runpy.run_path(str(ROOT / "docs" / "site" / "notebooks.py"))["markdown"]
    printed = v4.new_output("stream", name="stdout", text="4\n")
    drawn = v4.new_output("display_data", data={"image/png": "AAEC", "text/plain": "<Figure>"})
    cells = [
        v4.new_markdown_cell("# Title"),
        v4.new_code_cell("print(4)", outputs=[printed, drawn]),
        v4.new_code_cell("%%bash\nls"),
    ]
    text, pictures = convert(nbformat.from_dict(v4.new_notebook(cells=cells)), "name")
    assert text == (
        "# Title\n\n```python\nprint(4)\n```\n\n```text\n4\n```\n\n"
        "![What the cell above draws](notebook/name-1.png)\n\n```bash\nls\n```\n"
    )
    assert pictures == {"name-1.png": b"\x00\x01\x02"}


def test_the_reference_shows_the_defaults_and_helps_of_settings() -> None:
    import griffe

    extension = runpy.run_path(str(ROOT / "docs" / "site" / "reference.py"))["Reference"]
    code = (
        "class Settings:\n"
        '    """Some."""\n'
        "    seed: int = setting(7, 'Keys every random choice.', minimum=0)\n"
        "    split: str = default('split', 'valid')\n"
        "    window: int = window_setting()\n"
    )
    module = griffe.visit("made", Path("made.py"), code, extensions=griffe.load_extensions(extension))
    found = module["Settings"]
    assert str(found["seed"].value) == "7"
    assert str(found["split"].value) == "'valid'"
    assert str(found["window"].value) == "window_setting()"
    assert found.docstring.value == "Some.\n\nAttributes:\n    seed: Keys every random choice."


def test_a_class_that_a_function_makes_shows_no_constructor() -> None:
    import griffe

    extension = runpy.run_path(str(ROOT / "docs" / "site" / "reference.py"))["Reference"]
    code = (
        'class Made:\n    """One; made by `open`."""\n    def __init__(self, path):\n        pass\n'
        'class Free:\n    """One."""\n    def __init__(self, path):\n        pass\n'
    )
    module = griffe.visit("made", Path("made.py"), code, extensions=griffe.load_extensions(extension))
    assert ("__init__" in module["Made"].members, "__init__" in module["Free"].members) == (False, True)
