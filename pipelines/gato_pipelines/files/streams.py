"""Bytes of plain and compressed files, with bounded memory and bounded expansion."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, Protocol, cast

from gato_data.errors import EpisodeError, InputError, MissingPackageError
from gato_pipelines.files.unpacking import SUFFIXES, WINDOW_MIB, DamageError, WindowError, codec_of, unpack

COMPRESSIONS = (*SUFFIXES, ".zip")
"""Compressed files are read from their beginning, so each of them is one part."""
MAX_EXPANSION = 200
"""A file that expands more often than this is taken for an attack; text expands 3 to 10 times."""
FREE_EXPANSION = 1 << 28
"""Bytes that any file may expand to."""
_MAX_MEMBERS = 10_000
_BLOCK = 1 << 16
_FAULTS = (DamageError, OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError)


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
def open_stream(path: Path, first: int = 0, window: int = WINDOW_MIB) -> Iterator[Readable]:
    """The uncompressed bytes of a file; those of all files in a zip archive, one after the other.

    Args:
        path: the file.
        first: byte to begin with; 0 for a compressed file.
        window: MiB that a compressed file may look back at.

    Raises:
        EpisodeError: the file is damaged, or expands beyond all measure, while it is read; what
            comes before that has been given.
        InputError: it looks back further than `window`, while it is read.
        OSError: it cannot be read.
    """
    name = path.name.lower()
    with path.open("rb") as file:
        if not is_compressed(name):
            file.seek(first)
            yield file
        else:
            yield _Blocks(_zipped(file) if name.endswith(".zip") else _unpacked(file, name, window), path.name)


def damaged(error: Exception) -> Exception:
    """The dead letter of a file whose content is damaged; an error of the disk or network stays what it is."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    return EpisodeError(f"the rest of the file cannot be read ({error or type(error).__name__})", stage="read")


class _Blocks:
    """Blocks as a stream; what is wrong comes up after the last byte before it."""

    def __init__(self, blocks: Iterator[bytes], name: str) -> None:
        self._blocks, self._name = blocks, name
        self._held = bytearray()
        self._fault: Exception | None = None

    def read(self, size: int, /) -> bytes:
        try:
            while len(self._held) < size and self._fault is None and (block := next(self._blocks, None)) is not None:
                self._held += block
        except WindowError as error:
            raise InputError(
                f"{self._name} looks back further than is kept in memory (as zstd --long and xz with a large "
                "dictionary do): give a larger --max-window, in MiB; 2048 is the largest"
            ) from error
        except EpisodeError as error:
            self._fault = error
        except _FAULTS as error:
            self._fault = damaged(error)
        if self._fault is not None and not self._held:
            raise self._fault
        data = bytes(self._held[:size])
        del self._held[:size]
        return data


def _unpacked(file: BinaryIO, name: str, window: int) -> Iterator[bytes]:
    produced = 0
    for block in unpack(file, codec_of(name, window)):
        produced += len(block)
        check_expansion(produced, file.tell())
        yield block


def _zipped(file: BinaryIO) -> Iterator[bytes]:
    """The files in a zip archive, one after the other, with a line break between them."""
    with zipfile.ZipFile(file) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if len(members) > _MAX_MEMBERS:
            raise EpisodeError(f"the archive holds more than {_MAX_MEMBERS} files", stage="read")
        for number, member in enumerate(members):
            produced = 0
            with cast(zipfile.ZipExtFile, archive.open(member)) as stream:
                while block := stream.read1(_BLOCK):
                    produced += len(block)
                    check_expansion(produced, member.compress_size)
                    yield block
            if number < len(members) - 1:
                yield b"\n"


def check_expansion(produced: int, consumed: int) -> None:
    """Stop at so many bytes out of so many compressed ones.

    Raises:
        EpisodeError: these are more than any text or image expands to.
    """
    if produced > max(FREE_EXPANSION, MAX_EXPANSION * consumed):
        raise EpisodeError(
            f"the rest of the file is not read: it expands more than {MAX_EXPANSION} times", stage="read"
        )
