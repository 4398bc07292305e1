"""Datasets at addresses as they are now: damaged files come too, nothing is taken from the cache, nothing stays."""

import errno
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from gato_data.errors import FormatError, InputError
from gato_data.remote.as_it_is import as_it_is, whole_file
from gato_data.remote.mirror import at_hand
from gato_data.verify.dataset import verify_dataset
from gato_schemas.dataset import DEAD_LETTERS, MANIFEST, MANIFEST_COPY, TFDS_FEATURES, TFDS_INFO, read_manifest
from tests.remote_folders import empty_memory, up

ADDRESS = "memory://bucket/pong"


@pytest.fixture
def memory(library: Path) -> Iterator[fsspec.AbstractFileSystem]:
    """An object store with one dataset."""
    for files in empty_memory():
        up(files, library / "pong", ADDRESS)
        yield files


def found(cache: Path) -> list[tuple[str, str]]:
    """Check and file of everything that is wrong, but for files that no dataset of the library has."""
    absent = {MANIFEST_COPY, DEAD_LETTERS, TFDS_INFO, TFDS_FEATURES}
    with as_it_is(ADDRESS, cache) as folder:
        every = verify_dataset(folder).findings.kept
    return [(one.check, one.file) for one in every if one.file not in absent]


def on_disk(folder: Path) -> int:
    """Bytes that the files below a folder take."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def names(library: Path, suffix: str = "") -> list[str]:
    return sorted(shard.name + suffix for shard in read_manifest(library / "pong").splits["train"].shards)


def test_a_shard_is_whole_for_a_while_and_nothing_stays(
    memory: fsspec.AbstractFileSystem, library: Path, tmp_path: Path
) -> None:
    name = names(library)[0]
    with as_it_is(ADDRESS, tmp_path) as one, as_it_is(ADDRESS, tmp_path) as other:
        assert one != other
        with whole_file(one / name):
            assert (one / name).read_bytes() == (library / "pong" / name).read_bytes()
            assert not any((other / name).read_bytes())
            assert at_hand(ADDRESS, tmp_path / "cache")
            assert (one / name).read_bytes() == (library / "pong" / name).read_bytes()
        assert not any((one / name).read_bytes())
        assert (one / name).stat().st_blocks == 0
    assert not one.exists()
    assert not other.exists()


def test_what_a_killed_process_left_goes_with_the_next_command(library: Path, tmp_path: Path) -> None:
    bucket, cache = tmp_path / "bucket", tmp_path / "cache"
    address = f"local://{library / 'pong'}"
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from gato_data.remote.as_it_is import as_it_is, whole_file\n"
        "with as_it_is(sys.argv[1], Path(sys.argv[2])) as folder, whole_file(folder / sys.argv[3]):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, address, str(cache), names(library)[0]], timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert on_disk(cache / "lent") > 0
    bucket.mkdir()
    with pytest.raises(InputError, match="does not exist, or is empty"):
        at_hand(f"local://{bucket}", cache)  # any address will do
    assert on_disk(cache / "lent") == 0
    assert [path.name for path in (cache / "lent").iterdir()] == ["lock"]


def test_damage_is_found_beside_a_cache_that_was_filled_before(
    memory: fsspec.AbstractFileSystem, library: Path, tmp_path: Path
) -> None:
    at_hand(ADDRESS, tmp_path)
    assert found(tmp_path) == []
    index, other = names(library, ".index")[:2]
    whole = (library / "pong" / index).read_bytes()
    memory.pipe_file(f"/bucket/pong/{index}", whole[:-1] + bytes([whole[-1] ^ 1]))
    memory.pipe_file(f"/bucket/pong/{other}", b"no index")
    assert found(tmp_path) == [("index", index), ("index", other)]
    memory.pipe_file(f"/bucket/pong/{index}", whole)
    memory.rm_file(f"/bucket/pong/{other}")
    assert found(tmp_path) == [("missing", other)]


def test_a_damaged_manifest_is_held_against_its_copy(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    copy = memory.cat_file(f"/bucket/pong/{MANIFEST}")
    memory.pipe_file(f"/bucket/pong/{MANIFEST}", b"{" + copy)
    with pytest.raises(FormatError, match=f"{ADDRESS}/{MANIFEST} is not a manifest of gato-data"):
        at_hand(ADDRESS, tmp_path)
    with pytest.raises(FormatError, match=f"{ADDRESS}/{MANIFEST} cannot be used \\(it .*\\), nor can its copy: copy"):
        found(tmp_path)
    memory.pipe_file(f"/bucket/pong/{MANIFEST_COPY}", copy)
    assert found(tmp_path) == [("manifest", MANIFEST)]
    memory.rm_file(f"/bucket/pong/{MANIFEST}")
    assert found(tmp_path) == [("manifest", MANIFEST)]
    memory.rm_file(f"/bucket/pong/{MANIFEST_COPY}")
    with pytest.raises(FormatError, match=f"{ADDRESS} has no {MANIFEST}: it is not a dataset"):
        found(tmp_path)


def test_a_shard_of_another_size(memory: fsspec.AbstractFileSystem, library: Path, tmp_path: Path) -> None:
    name = names(library)[0]
    memory.pipe_file(f"/bucket/pong/{name}", (library / "pong" / name).read_bytes()[:-20])
    assert ("truncated", name) in found(tmp_path)


def test_other_files_are_told_and_not_fetched(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    memory.pipe_file("/bucket/pong/old.tfrecord-00000-of-00001", b"old")
    memory.pipe_file("/bucket/pong/recordings.tar", b"large")
    with as_it_is(ADDRESS, tmp_path) as folder:
        assert (folder / "recordings.tar").read_bytes() == bytes(5)
        assert "recordings.tar is no file of a dataset" in verify_dataset(folder).findings.notes
    assert ("stray", "old.tfrecord-00000-of-00001") in found(tmp_path)


def test_a_folder_of_this_machine_is_given_back(library: Path, tmp_path: Path) -> None:
    with as_it_is(library / "pong", tmp_path / "cache") as folder:
        assert folder == library / "pong"
    assert not (tmp_path / "cache").exists()


def test_a_file_is_told_from_a_folder(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    told = f"{ADDRESS}/{MANIFEST} is a file, the folder of a dataset was wanted"
    with pytest.raises(InputError, match=told), as_it_is(f"{ADDRESS}/{MANIFEST}", tmp_path):
        pass


def test_a_disk_that_is_full(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    told = r"the cache \S+ cannot be written \(No space left on device\): make room"
    with pytest.raises(InputError, match=told), as_it_is(ADDRESS, tmp_path):
        pass
    assert [path.name for path in (tmp_path / "lent").iterdir()] == ["lock"]


def test_a_disk_that_is_full_when_a_shard_comes(
    memory: fsspec.AbstractFileSystem, library: Path, tmp_path: Path
) -> None:
    name = names(library)[0]
    told = rf"the cache {tmp_path} cannot be written \(No space left on device\): make room, or give another --cache"
    with as_it_is(ADDRESS, tmp_path) as folder:
        (folder / name).unlink()
        (folder / name).symlink_to("/dev/full")
        with pytest.raises(InputError, match=told), whole_file(folder / name):
            pass


def test_a_cache_that_cannot_be_written(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    told = r"the cache \S+ cannot be written \(Not a directory\): make room, or give another --cache"
    with pytest.raises(InputError, match=told), as_it_is(ADDRESS, tmp_path / "file"):
        pass
