import shutil
from pathlib import Path

import pytest

from tests.gato_data.conftest import library
from tests.gato_data.report.conftest import arm, captions, told

__all__ = ["arm", "captions", "library", "told"]


@pytest.fixture
def damaged(recording: Path, tmp_path: Path) -> Path:
    """A copy of the recording, to be damaged."""
    copy = tmp_path / "rlds"
    shutil.copytree(recording, copy)
    return copy


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder that is not there yet."""
    return tmp_path / "out"
