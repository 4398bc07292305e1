"""Sources of a user's own: that of the tutorial, and what people get wrong in theirs."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from gato_pipelines import sources

PAGE = Path(__file__).parents[1] / "docs" / "tutorials" / "your-own-source.md"
_SOURCE = re.compile(r"^```python\n# sources/gato_pipelines/sources/arm_npz\.py\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def arm_source(*replaced: tuple[str, str]) -> str:
    """The tutorial's source, with parts of it replaced."""
    found = _SOURCE.search(PAGE.read_text(encoding="utf-8"))
    assert found is not None
    text = found[1]
    for old, new in replaced:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def install(patch: pytest.MonkeyPatch, folder: Path, **modules: str) -> Path:
    """Put modules where a user puts them, for this process and for its workers; returns the folder they are in."""
    home = folder / "own" / "gato_pipelines" / "sources"
    home.mkdir(parents=True, exist_ok=True)
    for name, text in modules.items():
        (home / f"{name}.py").write_text(text)
        patch.delitem(sys.modules, f"gato_pipelines.sources.{name}", raising=False)
    patch.setattr(sources, "__path__", [*sources.__path__, str(home)])
    patch.setenv("PYTHONPATH", str(folder / "own"))
    return home


def sessions(folder: Path, files: int = 2, rows: int = 12) -> Path:
    """Files of an arm: three episodes each."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(files):
        np.savez(
            folder / f"session-{number}.npz",
            pose=random.uniform(-1, 1, (rows, 3)).astype(np.float32),
            action=random.uniform(-1, 1, (rows, 3)).astype(np.float32),
            reward=random.normal(0, 1, rows).astype(np.float32),
            starts=np.array([0, 5, 9]),
        )
    return folder


LOGS = '''
from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.source import Item, PartScan, setting
from gato_schemas.episode import Document, Text
from gato_schemas.index import Part


@dataclass(frozen=True)
class Source:
    """Logs."""

    family: ClassVar[str] = ""
    upper: bool = setting(False, "Capitals.")

    def parts(self, folder):
        return [Part(path.name, "logs", path.stat().st_size, 0, 1) for path in sorted(folder.glob("*.log"))]

    def scan(self, folder, part):
        return PartScan(part=part, agents=[""])

    def read(self, folder, part, task):
        text = (folder / part.file).read_text()
        yield Item("all", 0, Document(task="logs", segments=(Text(text.upper() if self.upper else text),)))

    def input_names(self, folder):
        return [folder.name]

    def input_licence(self, folder):
        return ""

    def libraries(self):
        return {}
'''
