"""Bytes of plain and compressed files, with bounded memory and bounded expansion."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, Protocol, cast

from gato_data.errors import EpisodeError, MissingPackageError

_CODECS = {".gz": "gzip", ".zst": "zstd"}
COMPRESSIONS = (*_CODECS, ".zip")
"""Compressed files are read from their beginning, so each of them is one part."""
MAX_EXPANSION = 200
"""A file that expands more often than this is taken for an attack; text expands 3 to 10 times."""
FREE_EXPANSION = 1 << 28
"""Bytes that any file may expand to."""
_MAX_MEMBERS = 10_000


class Readable(Protocol):
    """What lines are read from."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at the end."""


def is_compressed(name: str) -> bool:
    """Whether a file can only be read from its beginning."""
    return name.lower().endswith(COMPRESSIONS)


def plain_name(name: str) -> str:
    """A file's name without the suffix of its compression, in lower case."""
    lower = name.lower()
    return next((lower.removesuffix(suffix) for suffix in COMPRESSIONS if lower.endswith(suffix)), lower)


def import_pyarrow() -> ModuleType:
    """PyArrow, for compressed files and parquet.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError as error:
        raise MissingPackageError(
            'compressed and parquet files need PyArrow: pip install "gato-data[ingest]"'
        ) from error
    module: ModuleType = pyarrow
    return module


@contextmanager
def open_stream(path: Path, first: int = 0) -> Iterator[Readable]:
    """The uncompressed bytes of a file; those of all files in a zip archive, one after the other.

    Args:
        path: the file.
        first: byte to begin with; 0 for a compressed file.

    Raises:
        EpisodeError: the file is damaged, or expands beyond all measure; also while it is read.
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            file.seek(first)
            yield _uncompressed(file, path.name.lower())
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise damaged(error) from error


def damaged(error: Exception) -> Exception:
    """The dead letter of a file whose content is damaged; an error of the disk or network stays what it is."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    return EpisodeError(f"the rest of the file cannot be read ({error or type(error).__name__})", stage="read")


def _uncompressed(file: BinaryIO, name: str) -> Readable:
    if name.endswith(".zip"):
        return _Members(zipfile.ZipFile(file))
    for suffix, codec in _CODECS.items():
        if name.endswith(suffix):
            pyarrow = import_pyarrow()
            return _Bounded(pyarrow.CompressedInputStream(pyarrow.PythonFile(file, mode="r"), codec), file)
    return file


class _Bounded:
    """Stops at a file that expands without end."""

    def __init__(self, stream: Readable, file: BinaryIO) -> None:
        self._stream, self._file, self._produced = stream, file, 0

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self._produced += len(data)
        check_expansion(self._produced, self._file.tell())
        return data


class _Members:
    """The files in a zip archive, one after the other, with a line break between them."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._members = [member for member in archive.infolist() if not member.is_dir()]
        if len(self._members) > _MAX_MEMBERS:
            raise EpisodeError(f"the archive holds more than {_MAX_MEMBERS} files", stage="read")
        self._archive = archive
        self._number = self._produced = 0
        self._stream: Readable | None = None

    def read(self, size: int, /) -> bytes:
        while self._number < len(self._members):
            member = self._members[self._number]
            if self._stream is None:
                self._stream, self._produced = cast(Readable, self._archive.open(member)), 0
            data = self._stream.read(size)
            self._produced += len(data)
            check_expansion(self._produced, member.compress_size)
            if data:
                return data
            self._stream, self._number = None, self._number + 1
            if self._number < len(self._members):
                return b"\n"
        return b""


def check_expansion(produced: int, consumed: int) -> None:
    """Stop at so many bytes out of so many compressed ones.

    Raises:
        EpisodeError: these are more than any text or image expands to.
    """
    if produced > max(FREE_EXPANSION, MAX_EXPANSION * consumed):
        raise EpisodeError(
            f"the rest of the file is not read: it expands more than {MAX_EXPANSION} times", stage="read"
        )
