"""Folders in fsspec's memory, and ingests into them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec

from gato_data.remote.folder import RemoteFolder
from gato_pipelines.ingest import run as ingesting
from gato_pipelines.ingest.settings import IngestSettings
from gato_pipelines.ingest.summary import Summary
from tests.rlds_inputs import digests


def empty_memory() -> Iterator[fsspec.AbstractFileSystem]:
    """fsspec's memory, empty before and after."""
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield files
    files.store.clear()


def run(source: Any, out: Any, name: str = "rlds", settings: Any = None, **asked: Any) -> Summary:
    return ingesting.run(name, settings or {}, source, out, IngestSettings(**{"workers": 1, "holdout": 0.3, **asked}))


def up(files: fsspec.AbstractFileSystem, folder: Path, address: str) -> str:
    for path in folder.rglob("*"):
        if path.is_file():
            files.pipe_file(f"{address}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return address


def down(address: str, to: Path) -> dict[str, str]:
    """The hash of every file of a remote folder."""
    remote = RemoteFolder(address)
    for name in remote.sizes():
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        (to / name).write_bytes(remote.read(name))
    return digests(to)


def memory_file(memory: fsspec.AbstractFileSystem) -> Any:
    """A file of fsspec's memory, to be put under a name that could not be written."""
    memory.pipe_file("/bucket/rlds/a", b"1")
    return memory.store["/bucket/rlds/a"]
