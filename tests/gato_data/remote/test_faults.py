"""A store that fails, cuts off, lies or changes under the reader: tried again, then refused by name."""

import errno
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from gato_data.errors import FormatError, GatoError, InputError, MixtureError, SettingError
from gato_data.mixing.make import plan_mixture
from gato_data.mixing.mixture_file import write_mixture
from gato_data.reading.reader import ReadSettings, open_mixture
from gato_data.remote import address, fetch
from gato_data.remote.address import redacted
from gato_data.remote.cache_file import CacheFile
from gato_data.remote.folder import RemoteFolder
from gato_data.remote.mirror import at_hand
from gato_data.remote.store_errors import store_errors
from gato_schemas.dataset import read_manifest
from tests.remote_folders import empty_memory, up

Answer = Callable[[bytes], bytes]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "FIRST_WAIT", 0.0)


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    yield from empty_memory()


@pytest.fixture
def shaken(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Answer], list[str]]:
    """Lets the next so many ranges of shards go wrong."""

    def shake(times: int, answer: Answer) -> list[str]:
        asked: list[str] = []
        whole = MemoryFileSystem.cat_file

        def cat_file(self: Any, path: str, start: int | None = None, end: int | None = None, **more: Any) -> bytes:
            data: bytes = whole(self, path, start=start, end=end, **more)
            if path.endswith(".index") or ".tfrecord-" not in path:
                return data
            asked.append(path)
            return answer(data) if len(asked) <= times else data

        monkeypatch.setattr(MemoryFileSystem, "cat_file", cat_file)
        return asked

    return shake


def throttle(data: bytes) -> bytes:
    raise OSError("503 Slow Down")


def reset(data: bytes) -> bytes:
    raise ConnectionResetError("Connection reset by peer")


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flip(data: bytes) -> bytes:
    return data[:40] + bytes([data[40] ^ 1]) + data[41:]


@pytest.fixture
def mixed(memory: fsspec.AbstractFileSystem, library: Path, tmp_path: Path) -> tuple[Path, ReadSettings]:
    cache = tmp_path / "cache"
    folder = at_hand(up(memory, library / "pong", "memory://bucket/pong"), cache)
    path = tmp_path / "mixture.json"
    write_mixture(path, plan_mixture([folder], "uniform", folder=tmp_path))
    return path, ReadSettings(context_length=100, cache=cache)


@pytest.mark.parametrize("answer", [throttle, reset, cut, flip])
def test_tried_again(
    mixed: tuple[Path, ReadSettings], shaken: Callable[[int, Answer], list[str]], answer: Answer
) -> None:
    asked = shaken(fetch.ATTEMPTS - 1, answer)
    with open_mixture(mixed[0], settings=mixed[1]) as reader:
        assert len([*reader.stream([range(8), range(8, 16)])]) == 2
    assert len(asked) >= fetch.ATTEMPTS


@pytest.mark.parametrize(
    ("answer", "told"),
    [(throttle, "503 Slow Down"), (reset, "reset by peer"), (cut, "bytes came"), (flip, "its checksum")],
)
def test_then_refused_by_name(
    mixed: tuple[Path, ReadSettings], shaken: Callable[[int, Answer], list[str]], answer: Answer, told: str
) -> None:
    shaken(10**9, answer)
    with (
        pytest.raises(InputError, match=rf"of memory://bucket/pong/pong-train\S* could not be read \(.*{told}"),
        open_mixture(mixed[0], settings=mixed[1]) as reader,
    ):
        [*reader.stream([range(8)])]


def test_a_shard_that_changes_under_the_reader(
    mixed: tuple[Path, ReadSettings], memory: fsspec.AbstractFileSystem
) -> None:
    path, settings = mixed
    with open_mixture(path, settings=settings) as reader:
        for name in memory.glob("/bucket/pong/*.tfrecord-*"):
            if not name.endswith(".index"):
                memory.pipe_file(name, bytes(memory.info(name)["size"]))
        with pytest.raises(GatoError, match=r"memory://bucket/pong/pong-train.* is another file than when it was open"):
            [*reader.stream(range(8 * step, 8 * step + 8) for step in range(100))]


def test_another_content_id_is_refused(
    mixed: tuple[Path, ReadSettings], memory: fsspec.AbstractFileSystem, library: Path
) -> None:
    memory.rm("/bucket/pong", recursive=True)
    up(memory, library / "walker", "memory://bucket/pong")
    with pytest.raises(MixtureError, match="dataset pong is not what it was"):
        open_mixture(mixed[0], settings=mixed[1])


def test_what_is_no_dataset(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="memory://bucket/none does not exist, or is empty"):
        at_hand("memory://bucket/none", tmp_path)
    memory.pipe_file("/bucket/other/a", b"1")
    with pytest.raises(FormatError, match=r"memory://bucket/other has no dataset\.json"):
        at_hand("memory://bucket/other", tmp_path)


def test_a_shard_of_another_size(memory: fsspec.AbstractFileSystem, library: Path, tmp_path: Path) -> None:
    up(memory, library / "pong", "memory://bucket/pong")
    shard = next(name for name in memory.glob("/bucket/pong/*.tfrecord-*") if not name.endswith(".index"))
    memory.pipe_file(shard, b"short")
    with pytest.raises(FormatError, match=r"memory://bucket/pong/pong-\S+ has 5 bytes, its manifest says"):
        at_hand("memory://bucket/pong", tmp_path / "cache")


def test_an_index_that_is_damaged_there(memory: fsspec.AbstractFileSystem, library: Path, tmp_path: Path) -> None:
    up(memory, library / "pong", "memory://bucket/pong")
    name = next(iter(memory.glob("/bucket/pong/pong-train*.index")))
    memory.pipe_file(name, bytes(memory.info(name)["size"]))
    with pytest.raises(InputError, match=r"\.index could not be read .* damaged there, gato-data verify says where"):
        at_hand("memory://bucket/pong", tmp_path / "cache")


def test_files_that_are_none_of_the_dataset_are_not_fetched(
    memory: fsspec.AbstractFileSystem, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    up(memory, library / "pong", "memory://bucket/pong")
    memory.pipe_file("/bucket/pong/old.tfrecord-00000-of-00001.index", b"no index")
    memory.pipe_file("/bucket/pong/recordings.tar", b"large")
    asked: list[str] = []
    whole = MemoryFileSystem.cat_file

    def cat_file(self: Any, path: str, **more: Any) -> bytes:
        asked.append(path)
        data: bytes = whole(self, path, **more)
        return data

    monkeypatch.setattr(MemoryFileSystem, "cat_file", cat_file)
    folder = at_hand("memory://bucket/pong", tmp_path / "cache")
    assert len(read_manifest(folder).tasks) > 0
    assert len(asked) == 5  # the manifest and the indexes
    assert not [path for path in asked if "old" in path or "recordings" in path]


def test_a_cache_that_is_too_small(mixed: tuple[Path, ReadSettings], tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    with pytest.raises((InputError, SettingError), match=r"give another --cache|give --cache"):
        open_mixture(mixed[0], settings=ReadSettings(context_length=100, cache=blocked))


def test_a_disk_that_is_full(mixed: tuple[Path, ReadSettings], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: CacheFile, fd: int, record: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(CacheFile, "put", full)
    told = r"the cache \S+ cannot be written \(No space left on device\): make room there"
    with pytest.raises(SettingError, match=told), open_mixture(mixed[0], settings=mixed[1]) as reader:
        [*reader.stream([range(8)])]


def test_an_error_that_nobody_foresaw_is_raised_where_the_records_are_needed(
    mixed: tuple[Path, ReadSettings], shaken: Callable[[int, Answer], list[str]]
) -> None:
    def forget(data: bytes) -> bytes:
        raise KeyError("Body")

    shaken(10**9, forget)
    with pytest.raises(KeyError, match="Body"), open_mixture(mixed[0], settings=mixed[1]) as reader:
        [*reader.stream([range(8)])]


def test_credentials_are_not_shown() -> None:
    text = "cannot read https://me:secret@host/a?X-Amz-Signature=abc&b=1, or s3://key:word@bucket/folder"
    assert redacted(text) == "cannot read https://***@host/a?***, or s3://***@bucket/folder"


def test_only_what_may_be_a_credential_is_hidden_of_a_query(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "_SECRETS", set())
    address.address_of("https://host/rlds?split=train&api_key=abcde&state=0123456789abcdef01234567")
    assert redacted("arm-train.tfrecord: abcde, 0123456789abcdef01234567") == "arm-train.tfrecord: ***, ***"


def test_a_process_that_gets_an_address_from_another_shows_none_of_it(
    memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(address, "_SECRETS", set())
    assert not RemoteFolder("memory://me:watched@bucket/none").sizes()
    assert redacted("no entry for watched") == "no entry for ***"


def test_whether_a_file_changed_costs_no_listing_of_its_folder(
    memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder may have very many files; only where the store's short answer differs does its listing say."""
    remote = RemoteFolder("memory://bucket/in")
    memory.pipe_file("/bucket/in/a", b"1")
    known = remote.objects()["a"]
    listings: list[str] = []
    entry, ls = memory.ls("/bucket/in/a", detail=True)[0], MemoryFileSystem.ls

    def listed(files: Any, path: str, **more: Any) -> Any:
        listings.append(path)
        return ls(files, path, **more)

    monkeypatch.setattr(MemoryFileSystem, "ls", listed)
    monkeypatch.setattr(MemoryFileSystem, "info", lambda *_: entry)  # HEAD of an object store
    assert remote.object("a", known) == known
    assert not listings
    monkeypatch.setattr(MemoryFileSystem, "info", lambda *_: {**entry, "created": "spelt differently"})
    assert remote.object("a", known) == known
    assert len(listings) == 1


def test_errors_of_packages_that_are_none_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    class AzureError(Exception):
        """As in azure-core, from which all that adlfs lets through inherits."""

    assert AzureError not in store_errors()
    monkeypatch.setitem(sys.modules, "azure.core.exceptions", cast(ModuleType, SimpleNamespace(AzureError=AzureError)))
    assert AzureError in store_errors()


def test_credentials_are_not_written(memory: fsspec.AbstractFileSystem, library: Path, tmp_path: Path) -> None:
    address = up(memory, library / "pong", "memory://me:secret@bucket/pong")
    folder = at_hand(address, tmp_path / "cache")
    with pytest.raises(SettingError, match="credentials") as caught:
        plan_mixture([folder], "uniform", folder=tmp_path)
    assert "secret" not in str(caught.value)
