"""Whole files of a store that fails, cuts off, or changes: tried again, then refused by name."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from gato_data.errors import InputError
from gato_data.remote import fetch
from gato_data.remote.folder import RemoteFolder, RemoteObject
from gato_pipelines.control_source import ControlSource
from gato_pipelines.remote import copies
from gato_pipelines.remote.copies import copy_files
from gato_pipelines.remote.input import Mirror, mirror
from gato_pipelines.remote.scratch import new_scratch
from gato_pipelines.remote.work_files import WorkFiles

FOLDER = RemoteFolder("memory://bucket/in")
COUNT = 5


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "FIRST_WAIT", 0.0)


@pytest.fixture
def listed(memory: fsspec.AbstractFileSystem) -> Mapping[str, RemoteObject]:
    """A few files of 100 bytes, as they were listed."""
    for number in range(COUNT):
        memory.pipe_file(f"/bucket/in/{number}", b"%100d" % number)
    return FOLDER.objects()


def copied(listed: Mapping[str, RemoteObject], folder: Path) -> list[bytes]:
    """What has come of all files."""
    copy_files(FOLDER, listed, {name: folder / f"{name}.copy" for name in listed}, folder)
    assert len(list(folder.iterdir())) == COUNT, "nothing else is left"
    return [(folder / f"{number}.copy").read_bytes() for number in range(COUNT)]


def shake(monkeypatch: pytest.MonkeyPatch, times: int, wrong: Callable[[Path], None]) -> list[str]:
    """Let the next so many fetches of file 3 go wrong; the files that are fetched from now on."""
    asked: list[str] = []
    get_file, left = MemoryFileSystem.get_file, [times]

    def get(files: Any, there: str, here: str, **more: Any) -> None:
        asked.append(there)
        get_file(files, there, here, **more)
        if there.endswith("3") and left[0]:
            left[0] -= 1
            wrong(Path(here))

    monkeypatch.setattr(MemoryFileSystem, "get_file", get)
    return asked


def throttle(path: Path) -> None:
    raise OSError("503 Slow Down")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


@pytest.mark.parametrize("wrong", [throttle, cut])
def test_a_store_that_recovers(
    wrong: Callable[[Path], None], listed: Mapping[str, RemoteObject], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = shake(monkeypatch, 3, wrong)
    assert copied(listed, tmp_path) == [b"%100d" % number for number in range(COUNT)]
    assert asked.count("/bucket/in/3") == 4


@pytest.mark.parametrize(("wrong", "reason"), [(throttle, "503 Slow Down"), (cut, "50 of 100 bytes came")])
def test_a_store_that_does_not(
    wrong: Callable[[Path], None], reason: str, listed: Mapping[str, RemoteObject], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    asked = shake(monkeypatch, 1000, wrong)
    with pytest.raises(InputError, match=rf"^memory://bucket/in/3 cannot be read \({reason}\): check"):
        copied(listed, tmp_path)
    assert asked.count("/bucket/in/3") == 1 + fetch.ATTEMPTS
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_gone_is_not_waited_for(
    listed: Mapping[str, RemoteObject], memory: fsspec.AbstractFileSystem, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    asked = shake(monkeypatch, 0, cut)
    memory.rm("/bucket/in/3")
    with pytest.raises(InputError, match=r"^memory://bucket/in/3 cannot be read \("):
        copied(listed, tmp_path)
    assert asked.count("/bucket/in/3") == 2


@pytest.mark.parametrize("at_once", [2, 256])
@pytest.mark.parametrize(("size", "now"), [(99, "99 now"), (100, "as many now, but was written again")])
def test_a_file_that_changed_is_refused(
    size: int, now: str, at_once: int, listed: Mapping[str, RemoteObject], memory: fsspec.AbstractFileSystem,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Of the same size, too."""
    monkeypatch.setattr(copies, "AT_ONCE", at_once)
    memory.pipe_file("/bucket/in/3", bytes(size))
    with pytest.raises(InputError, match=rf"^memory://bucket/in/3 changed .* had 100 bytes and has {now};"):
        copied(listed, tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_is_copied_first_is_what_was_listed(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    """A worker copies it long after the list was made."""
    memory.pipe_file("/bucket/in/notes.json", b"{}")
    with new_scratch() as run:
        made = mirror(ControlSource(), FOLDER.address, run, 0, WorkFiles(tmp_path))
        made.leave_list()
        assert (made.path / "notes.json").read_bytes() == b"{}"
    memory.pipe_file("/bucket/in/notes.json", b"[]")
    with new_scratch() as run, pytest.raises(InputError, match=r"^memory://bucket/in/notes.json changed while"):
        _ = Mirror(FOLDER, run, 0, "", "", WorkFiles(tmp_path)).path
