"""Folders at addresses, through fsspec, with which credentials stay; what it raises becomes one sentence."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from gato_data.closest import closest
from gato_data.errors import GatoError, InputError, MissingPackageError, OutputError
from gato_data.files import is_inside
from gato_data.remote.address import is_remote, is_web, last_name, note_secrets, redacted, without_query
from gato_data.remote.store_errors import explained, reason_of, store_errors

MAX_FILES = 1_000_000
_PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "az": "adlfs",
    "hf": "huggingface_hub",
    "http": "aiohttp",
    "https": "aiohttp",
}
_OPTIONS: Mapping[str, dict[str, Any]] = {"hf": {"block_size": 1}}
"""Of a file system: the hub's would fetch 5 MiB behind every range that is read."""
_PUTS = 3
"""Times that a file is sent before one that arrives in part is told."""
_TAGS = ("ETag", "etag", "generation", "blob_id", "md5Hash", "mtime", "LastModified", "Last-Modified", "created")


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """A file as its store knows it: bytes, and what changes with its content, which may be empty."""

    size: int
    tag: str


@dataclass(frozen=True, slots=True)
class RemoteFolder:
    """A folder at an address; it travels to workers as that.

    Every method raises InputError where the place cannot be read, OutputError where it cannot be
    written, and MissingPackageError where fsspec, or its package for this kind of address, is not
    installed.
    """

    address: str

    @property
    def shown(self) -> str:
        """The address as it may be shown."""
        return redacted(self.address)

    def sizes(self) -> dict[str, int]:
        """Bytes of every file below it, by its name relative to the folder, sorted; none where there is no folder."""
        return {name: found.size for name, found in self.objects().items()}

    def objects(self) -> dict[str, RemoteObject]:
        """Every file below it, by its name relative to the folder, sorted; none where there is no folder."""
        with explained(self.address, InputError):
            files, root = _system(self.address)
            files.invalidate_cache()
            try:
                signed = without_query(self.address) != self.address  # which is one file's alone
                found = {root: files.info(root)} if signed else files.find(root, detail=True)
            except FileNotFoundError:
                return {}
            found = {path: entry or files.info(path) for path, entry in found.items()}  # of one file it may say nothing
        listed = {_relative(path, root): entry for path, entry in found.items() if _is_file(path, entry)}
        if len(listed) > MAX_FILES:
            raise InputError(f"{self.shown} holds more than {MAX_FILES:,} files: give one of its folders at a time")
        for name, entry in listed.items():
            if name and not is_inside(name):
                raise InputError(f"{self.shown} holds a file {name!r}, whose name leads out of the folder")
            if not isinstance(entry["size"], int) or not 0 <= entry["size"] < 1 << 63:
                raise InputError(f"{self.shown} does not say how large {name!r} is: copy it to this machine first")
        names = sorted(name for name in listed if name or len(listed) == 1)
        return {name: _object_of(listed[name]) for name in names}

    def object(self, name: str, known: RemoteObject) -> RemoteObject:
        """One file as it is now, as a listing would say it: other answers, which cost less, may spell that differently.

        Args:
            name: of the file.
            known: what a listing said of it before.
        """
        with explained(_join(self.address, name), InputError):
            files, root = _system(self.address)
            files.invalidate_cache()
            path = _join(root, name)
            now = _object_of(files.info(path))
            if now == known or is_web(self.address):  # whose listing of a file would be whatever is written in it
                return now
            return _object_of(files.ls(path, detail=True)[0])

    def gives_ranges(self) -> bool:
        """Whether a part of the address, a file, can be had without all of it; only a web server may not give it."""
        if not is_web(self.address):
            return True
        with explained(self.address, InputError):
            files, root = _system(self.address)
            try:
                with files.open(root, cache_type="none") as file:
                    file.seek(1)
                    return len(file.read(1)) == 1
            except ValueError:  # fsspec's word for an answer of more than was asked for
                return False

    def size(self, name: str) -> int | None:
        """Bytes of one file; None where there is none."""
        with explained(f"{self.address}/{name}", InputError):
            files, root = _system(self.address)
            files.invalidate_cache()
            try:
                return int(files.info(_join(root, name))["size"])
            except FileNotFoundError:
                return None

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """Bytes [start, stop) of a file, as many as came; raises what fsspec raises, one of `store_errors()`."""
        files, root = _system(self.address)
        data: bytes = files.cat_file(_join(root, name), start=start, end=stop)
        return data

    def matches(self) -> list[str]:
        """The addresses that this one, with * and ? in it, stands for; sorted."""
        with explained(self.address, InputError):
            files, root = _system(self.address)
            return sorted(files.unstrip_protocol(path) for path in files.glob(root))

    def close_name(self) -> str:
        """The address of what lies beside it and has a close name; empty where nothing does."""
        parent, _, name = without_query(self.address).rpartition("/")
        with suppress(*store_errors(), GatoError):
            protocol, _, rest = self.address.partition("://")
            if protocol == "hf" and not rest.startswith("datasets/"):  # that is a model of the hub
                dataset = RemoteFolder(f"{protocol}://datasets/{rest}")
                return dataset.address if dataset.sizes() else ""
            if not is_remote(parent):
                return ""
            files, root = _system(parent)
            names = [last_name(path) for path in files.ls(root, detail=False)]
            close = closest(name, names)
            return f"{parent}/{close}" if close else ""
        return ""

    def read(self, name: str) -> bytes:
        """A whole file."""
        with explained(f"{self.address}/{name}", InputError):
            files, root = _system(self.address)
            data: bytes = files.cat_file(_join(root, name))
            return data

    def get(self, names: Sequence[str], paths: Sequence[Path]) -> None:
        """Copy files to this machine; an empty name is the address itself. An error names a file that comes alone.

        Raises:
            OSError: this machine has no room for them, with an `errno` of `FULL`.
        """
        if not names:
            return
        with explained(_join(self.address, names[0] if len(names) == 1 else ""), InputError):
            files, root = _system(self.address)
            files.get([_join(root, name) for name in names], [str(path) for path in paths])

    def put(self, path: Path, name: str) -> None:
        """Copy a file there, and look whether all of it arrived; again where another writes the same file just now."""
        with explained(f"{self.address}/{name}", OutputError):
            wanted = path.stat().st_size
            for _ in range(_PUTS):
                found = self._put(path, name)
                if found == wanted:
                    return
            raise OSError(f"{found} of {wanted} bytes arrived")

    def _put(self, path: Path, name: str) -> int:
        """The size of what is there then."""
        files, root = _system(self.address)
        try:
            files.put_file(str(path), _join(root, name))
        except FileNotFoundError:
            if self.address.partition("://")[0].lower() in _PACKAGES:
                raise  # where there are no folders, this would make a bucket
            files.makedirs(_join(root, name).rpartition("/")[0], exist_ok=True)
            files.put_file(str(path), _join(root, name))
        files.invalidate_cache()
        return int(files.info(_join(root, name))["size"])

    def move(self, name: str, to: "RemoteFolder") -> None:
        """Copy a file into another folder of the same store, where an older one is replaced, and remove it here."""
        with explained(f"{to.address}/{name}", OutputError):
            files, root = _system(self.address)
            files.cp_file(_join(root, name), _join(_system(to.address)[1], name))
            files.rm_file(_join(root, name))
            files.invalidate_cache()

    def remove(self, names: Sequence[str]) -> None:
        """Remove files; those that are gone already are no error."""
        with explained(self.address, OutputError):
            files, root = _system(self.address)
            for name in names:
                try:
                    files.rm_file(_join(root, name))
                except FileNotFoundError:
                    continue

    def remove_folder(self, name: str) -> None:
        """Remove an empty folder where the place has folders; where it has none there is nothing to remove."""
        if self.address.partition("://")[0].lower() in _PACKAGES:
            return
        files, root = _system(self.address)
        with suppress(OSError, NotImplementedError):
            files.rmdir(_join(root, name))


def _is_file(path: str, entry: Mapping[str, Any]) -> bool:
    """Whether an entry of a listing is a file; a name with a slash at its end is how object stores show a folder."""
    return entry["type"] == "file" and not without_query(path).endswith("/")


def _object_of(entry: Mapping[str, Any]) -> RemoteObject:
    """A file as an answer of its store describes it; the tag changes with the file, or is when it was written."""
    tag = next((str(entry[key]) for key in _TAGS if entry.get(key) is not None), "")
    return RemoteObject(int(entry["size"]), tag)


def _join(root: str, name: str) -> str:
    return f"{root.rstrip('/')}/{name}" if name else root


def _relative(path: str, root: str) -> str:
    return path.removeprefix(root).lstrip("/")


def _system(address: str) -> tuple[Any, str]:
    """fsspec's file system, and the folder's path in it; a process that was forked has one of its own."""
    return _system_of(address, os.getpid())


@lru_cache(maxsize=64)
def _system_of(address: str, process: int) -> tuple[Any, str]:
    note_secrets(address)  # a worker has it from another process
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingPackageError(f"{redacted(address)} is remote: pip install 'gato-data[remote]'") from error
    protocol = address.partition("://")[0].lower()
    try:
        files, root = url_to_fs(address, **_OPTIONS.get(protocol, {}))
    except ImportError as error:
        package = _PACKAGES.get(protocol)
        how = f"pip install {package}" if package else "fsspec's documentation names it"
        raise MissingPackageError(f"{redacted(address)} needs another package: {how}") from error
    except ValueError as error:
        raise InputError(
            f"{redacted(address)} is no address that fsspec knows ({reason_of(error)}): give s3://, gs:// or a path"
        ) from error
    return files, str(root)
