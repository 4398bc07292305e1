import os
from pathlib import Path

import pytest

from gato_data.files import fresh_name, make_placeholder, user_cache, write_durably


def test_a_file_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "x.index"
    write_durably(path, b"first")
    monkeypatch.setattr(os, "fsync", lambda fd: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space left"):
        write_durably(path, b"second")
    assert path.read_bytes() == b"first"
    monkeypatch.undo()
    write_durably(path, b"third")
    assert path.read_bytes() == b"third"
    assert list(tmp_path.iterdir()) == [path]


def test_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache() == tmp_path / "gato-data"
    for relative in ("", "cache"):  # which the standard says to pass over
        monkeypatch.setenv("XDG_CACHE_HOME", relative)
        assert user_cache() == Path.home() / ".cache" / "gato-data"


def test_a_placeholder_takes_no_room_and_replaces_what_is_there(tmp_path):
    path = tmp_path / "x.tfrecord"
    path.write_bytes(b"content")
    make_placeholder(path, 1 << 40)
    assert (path.stat().st_size, path.stat().st_blocks) == (1 << 40, 0)
    assert list(tmp_path.iterdir()) == [path]


def test_machines_that_share_a_folder_have_processes_of_one_number(tmp_path):
    assert fresh_name(tmp_path / "x") != fresh_name(tmp_path / "x")
