"""Encoded images by name: out of a folder, a tar or a zip archive."""

import errno
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from gato_data.errors import EpisodeError, InputError
from gato_data.files import is_inside
from gato_pipelines.documents.formats.tars import Member, is_tar, open_tar, tar_members
from gato_pipelines.files.find import normal_path
from gato_pipelines.files.git_lfs import check_fetched
from gato_pipelines.images.document import MAX_ENCODED_BYTES

_NOT_THE_IMAGE = (errno.EIO, errno.ESTALE, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETIMEDOUT)
MISSING = "the image is missing"
IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "webp", "gif", "bmp")


class ImageFiles(Protocol):
    """Where images are looked up."""

    def read(self, name: str) -> bytes | None:
        """The bytes of an image; None where there is none of that name.

        Raises:
            EpisodeError: it cannot be read, or must not be.
        """

    def some_name(self) -> str:
        """What one of the images is called; empty where there is none."""


def open_images(path: Path) -> ImageFiles:
    """A folder, a .tar (also compressed) or a .zip of images.

    Raises:
        InputError: it is none of these, or a Git LFS pointer.
    """
    check_fetched([path])
    if path.is_dir():
        return FolderImages(path)
    if path.is_file() and (is_tar(path.name) or path.suffix.lower() == ".zip"):
        state = path.stat()
        return (_open_tar if is_tar(path.name) else _open_zip)(path, state.st_mtime_ns, state.st_size)
    raise InputError(f"the images {path} are no folder, .tar or .zip: give such a place with --images")


def read_first(image_files: ImageFiles, names: Iterable[str]) -> bytes:
    """The image of the first name that there is.

    Raises:
        EpisodeError: there is none, or it cannot be read.
    """
    return find_first(image_files, names)[1]


def find_first(image_files: ImageFiles, names: Iterable[str]) -> tuple[str, bytes]:
    """The first name that there is, and its image.

    Raises:
        EpisodeError: there is none, or it cannot be read.
    """
    for name in names:
        if not is_inside(normal_path(name)):
            raise EpisodeError("the image's name leads out of the images", stage="read")
        if (data := image_files.read(name)) is not None:
            return name, data
    raise EpisodeError(MISSING, stage="read")


@dataclass(frozen=True, slots=True)
class FolderImages:
    """Images as files below a folder."""

    folder: Path

    def read(self, name: str) -> bytes | None:
        """The bytes of a file."""
        found = self._read(name)
        return self._read(normal_path(name)) if found is None and normal_path(name) != name else found

    def some_name(self) -> str:
        """The first image that a walk through the folder meets."""
        for base, folders, files in os.walk(self.folder):
            folders.sort()
            if found := _first_image(sorted(files)):
                return (Path(base) / found).relative_to(self.folder).as_posix()
        return ""

    def _read(self, name: str) -> bytes | None:
        try:  # without waiting, in case it is a pipe
            handle = os.open(self.folder / name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise _unreadable(error) from error
        try:
            state = os.fstat(handle)
            if not stat.S_ISREG(state.st_mode):
                raise EpisodeError("the image is not a file", stage="read")
            return read_range(handle, 0, state.st_size)
        finally:
            os.close(handle)


@dataclass(frozen=True, slots=True)
class TarImages:
    """Images in a tar archive."""

    handle: int
    members: dict[str, Member]

    def read(self, name: str) -> bytes | None:
        """The bytes of a member."""
        member = self.members.get(normal_path(name))
        if member is None:
            return None
        if member.reason:
            raise EpisodeError(member.reason, stage="read")
        return read_range(self.handle, member.offset, member.size)

    def some_name(self) -> str:
        """The first image of the archive."""
        return _first_image(self.members)


def read_range(handle: int, offset: int, size: int) -> bytes:
    """An encoded image out of an open file.

    Raises:
        EpisodeError: it is too large, or the file ends before.
    """
    _check_size(size)
    try:
        data = os.pread(handle, size, offset)
    except OSError as error:
        raise _unreadable(error) from error
    if len(data) != size:
        raise EpisodeError("the file with the image is cut off", stage="read")
    return data


@dataclass(frozen=True, slots=True)
class ZipImages:
    """Images in a zip archive."""

    archive: zipfile.ZipFile
    members: dict[str, zipfile.ZipInfo]

    def read(self, name: str) -> bytes | None:
        """The bytes of a member."""
        member = self.members.get(normal_path(name))
        if member is None:
            return None
        try:
            _check_size(member.file_size)
            with self.archive.open(member) as file:
                data = file.read(MAX_ENCODED_BYTES + 1)
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise _unreadable(error) from error
        _check_size(len(data))
        return data

    def some_name(self) -> str:
        """The first image of the archive."""
        return _first_image(self.members)


def _first_image(names: Iterable[str]) -> str:
    return next((name for name in names if name.lower().rpartition(".")[2] in IMAGE_SUFFIXES), "")


@lru_cache(maxsize=4)
def _open_tar(path: Path, _changed: int, _size: int) -> TarImages:
    """A worker lists an archive once, not once per part."""
    try:
        tar = open_tar(path)
        return TarImages(tar.handle, {member.name: member for member in tar_members(tar)})
    except (OSError, tarfile.TarError) as error:
        raise InputError(f"{path} is not a whole tar archive ({error})") from error


@lru_cache(maxsize=4)
def _open_zip(path: Path, _changed: int, _size: int) -> ZipImages:
    try:
        archive = zipfile.ZipFile(path)
        members = {normal_path(member.filename): member for member in archive.infolist() if not member.is_dir()}
        return ZipImages(archive, members)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a whole zip archive ({error})") from error


def _check_size(size: int) -> None:
    if size > MAX_ENCODED_BYTES:
        raise EpisodeError(f"the image file is larger than {MAX_ENCODED_BYTES >> 20} MiB", stage="read")


def _unreadable(error: Exception) -> Exception:
    """The dead letter of an image; an error of the disk, network or machine stays what it is."""
    if isinstance(error, OSError) and error.errno in _NOT_THE_IMAGE:
        return error
    reason = getattr(error, "strerror", None) or str(error)
    return EpisodeError(f"the image cannot be read ({reason})", stage="read")
