"""The tutorials: every block is run, in order, in an empty folder, and prints what the page says that it prints.

A `bash` block is a script, a `python` block a program or, where its first line names a file, that file. A line of a
`text` block is printed by the blocks before it; `...` stands for lines that are left out.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

TUTORIALS = sorted((Path(__file__).parents[1] / "docs" / "tutorials").glob("*.md"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ([\w./-]+\.py)\n")


@dataclass
class Reader:
    """Somebody who types what a page says."""

    folder: Path
    environment: dict[str, str]
    printed: list[str] = field(default_factory=list)

    def run(self, command: list[str]) -> None:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout
        self.printed += done.stdout.splitlines()

    def bash(self, script: str) -> None:
        """Run a script; what it exports stays."""
        state = self.folder / ".environment"
        self.run(["bash", "-euc", f"{script}\nexport -p > {state}"])
        exported = re.findall(r'^declare -x (PYTHONPATH)="(.*)"$', state.read_text(), re.MULTILINE)
        self.environment.update(exported)
        state.unlink()

    def python(self, program: str) -> None:
        """Run a program, or save it where it says."""
        if found := FILE.match(program):
            path = self.folder / found[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(program.removeprefix(found[0]))
        else:
            self.run([sys.executable, "-c", program])

    def text(self, shown: str) -> None:
        """Compare what the page shows with what was printed."""
        printed = {" ".join(line.split()) for line in self.printed}
        wanted = [" ".join(line.split()) for line in shown.splitlines() if line not in ("", "...")]
        assert [line for line in wanted if line not in printed] == [], "\n".join(self.printed)
        self.printed.clear()


def test_there_are_tutorials() -> None:
    assert [page.stem for page in TUTORIALS] == [
        "from-rlds-to-a-model",
        "playing-in-your-own-environment",
        "reading-the-shards",
        "training-from-a-bucket",
        "your-own-source",
    ]


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: str(page.stem))
def test_every_block_works(page: Path, tmp_path: Path) -> None:
    shown = ("grain", "jax", "pytorch_lightning")
    used = [package for package in shown if f"import {package}" in page.read_text(encoding="utf-8")]
    for package in ("ale_py", "apache_beam", "tensorflow", "torch", *used):
        if find_spec(package) is None:  # importing them here would take longer than the page
            pytest.skip(f"needs {package}: pip install -e '.[ingest,train,simulators,dev]'")
    programs = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "80"}
    reader = Reader(tmp_path, environment)
    blocks = FENCE.findall(page.read_text(encoding="utf-8"))
    assert len(blocks) >= 3
    for language, content in blocks:
        getattr(reader, language)(content)
