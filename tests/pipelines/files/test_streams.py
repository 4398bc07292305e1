"""Compressed files: all that libraries write, damage, and bombs."""

import gzip
import io
import zipfile
from pathlib import Path

import pyarrow
import pytest

from gato_data.errors import EpisodeError
from gato_pipelines.files import streams
from gato_pipelines.files.streams import is_compressed, open_stream, plain_name

TEXT = b"a line of text\n" * 5000


def zstd(data: bytes) -> bytes:
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue())


def zipped(**files: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return sink.getvalue()


PACKED = {".gz": gzip.compress(TEXT), ".zst": zstd(TEXT), ".zip": zipped(a=TEXT)}


def read(path: Path) -> bytes:
    with open_stream(path) as stream:
        data = b""
        while block := stream.read(1000):
            data += block
    return data


@pytest.mark.parametrize("suffix", PACKED)
def test_it_is_uncompressed(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"file.jsonl{suffix}"
    path.write_bytes(PACKED[suffix])
    assert read(path) == TEXT
    assert is_compressed(path.name)
    assert plain_name(path.name.upper()) == "file.jsonl"


def test_a_plain_file_can_be_read_from_its_middle(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_bytes(b"0123456789")
    with open_stream(tmp_path / "file.txt", 4) as stream:
        assert stream.read(3) == b"456"
    assert not is_compressed("file.txt")


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_several_frames_in_one_file_are_all_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"file{suffix}"
    path.write_bytes(PACKED[suffix] + PACKED[suffix])
    assert read(path) == TEXT + TEXT


def test_the_files_of_a_zip_follow_each_other_on_lines_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "file.zip"
    path.write_bytes(zipped(a=b"one", b=b"", c=b"three\n"))
    assert read(path).split() == [b"one", b"three"]


@pytest.mark.parametrize("suffix", PACKED)
def test_a_file_that_is_cut_off_says_so(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"file{suffix}"
    path.write_bytes(PACKED[suffix][: len(PACKED[suffix]) // 2])
    with pytest.raises(EpisodeError, match=r"the rest of the file cannot be read \(.+\)"):
        read(path)


@pytest.mark.parametrize("suffix", PACKED)
def test_a_file_of_another_kind_says_so(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"file{suffix}"
    path.write_bytes(b"this is no compressed file at all")
    with pytest.raises(EpisodeError, match="the rest of the file cannot be read"):
        read(path)


@pytest.mark.parametrize("suffix", PACKED)
def test_a_bomb_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    monkeypatch.setattr(streams, "FREE_EXPANSION", 10_000)
    bomb = bytes(5_000_000)
    packed = {".gz": gzip.compress(bomb), ".zst": zstd(bomb), ".zip": zipped(a=bomb)}[suffix]
    path = tmp_path / f"file{suffix}"
    path.write_bytes(packed)
    with pytest.raises(EpisodeError, match="it expands more than 200 times"):
        read(path)


def test_a_zip_with_very_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_MAX_MEMBERS", 3)
    path = tmp_path / "file.zip"
    path.write_bytes(zipped(**{f"f{number}": b"" for number in range(4)}))
    with pytest.raises(EpisodeError, match="the archive holds more than 3 files"):
        read(path)


def test_an_error_of_the_disk_is_no_fault_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), open_stream(tmp_path / "absent.gz") as stream:
        stream.read(1)
