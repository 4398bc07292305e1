"""A store in memory, and an input with what it becomes on this machine."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from gato_data.remote import address
from tests.remote_folders import empty_memory, run
from tests.rlds_inputs import digests, moving, write


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    """fsspec's memory, empty before and after."""
    yield from empty_memory()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three parts of two episodes."""
    return write(tmp_path / "local" / "rlds", [moving(number, length=40) for number in range(6)], shards=3)


@pytest.fixture
def wanted(source: Path, tmp_path: Path) -> dict[str, str]:
    """The digests of the dataset that `source` becomes."""
    run(source, tmp_path / "wanted" / "arm")
    return digests(tmp_path / "wanted" / "arm")


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What earlier tests' addresses held of credentials is hidden in the messages of this process; here nothing is."""
    monkeypatch.setattr(address, "_SECRETS", set())
