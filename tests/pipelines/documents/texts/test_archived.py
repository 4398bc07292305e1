"""Compressed tar archives: every member in order, damage, and hostile headers."""

import gzip
import io
import tarfile

import pytest

from gato_data.errors import EpisodeError
from gato_pipelines.documents.texts.archived import archived_files

LONG = "a/" * 120 + "long.txt"


def archive(members: dict[str, bytes], form: int = tarfile.GNU_FORMAT, links: dict[str, str] | None = None) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=form) as made:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            if name.endswith("/"):
                entry.type = tarfile.DIRTYPE
            made.addfile(entry, io.BytesIO(data))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            made.addfile(entry)
    return sink.getvalue()


def members(data: bytes) -> list[tuple[str, bytes]]:
    found = []
    for file in archived_files(io.BytesIO(data)):
        content = b""
        while file.is_file and (block := file.read(1000)):
            content += block
        found.append((file.name, content if file.is_file else b"-"))
    return found


MEMBERS = {"one.txt": b"1" * 700, "empty.txt": b"", LONG: b"long", "größe.txt": b"x" * 512}


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_names_and_contents(form: int) -> None:
    wanted = {name: data for name, data in MEMBERS.items() if form != tarfile.USTAR_FORMAT or name != LONG}
    assert members(archive({"folder/": b"", **wanted}, form)) == list(wanted.items())


def test_members_need_not_be_read() -> None:
    assert [file.name for file in archived_files(io.BytesIO(archive(MEMBERS)))] == list(MEMBERS)


def test_links_are_no_files() -> None:
    assert members(archive({"a.txt": b"a"}, links={"b.txt": "/etc/passwd"})) == [("a.txt", b"a"), ("b.txt", b"-")]


def test_archives_that_follow_each_other_are_all_read() -> None:
    data = archive({"a.txt": b"a"}) + archive({"b.txt": b"b"})
    assert members(data) == [("a.txt", b"a"), ("b.txt", b"b")]


def test_damage_is_no_end() -> None:
    data = bytearray(archive({"a.txt": b"a", "b.txt": b"b"}))
    data[1024 + 148] ^= 1
    files = archived_files(io.BytesIO(bytes(data)))
    assert next(files).name == "a.txt"
    with pytest.raises(EpisodeError, match=r"the rest of the archive cannot be read \(bad checksum\)"):
        next(files)


@pytest.mark.parametrize("size", [700, 1100])
def test_an_archive_that_is_cut_off_says_so(size: int) -> None:
    with pytest.raises(EpisodeError, match="the rest of the archive cannot be read"):
        members(archive({"a.txt": b"a" * 600, "b.txt": b"b"})[:size])


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.GNUTYPE_SPARSE])
def test_headers_that_claim_much(kind: bytes) -> None:
    entry = tarfile.TarInfo("x")
    entry.type, entry.size = kind, 1 << 33
    with pytest.raises(EpisodeError, match="the rest of the archive cannot be read"):
        members(entry.tobuf(tarfile.GNU_FORMAT) + gzip.compress(b""))


@pytest.mark.parametrize("line", [b"0 path=x\n", b"-5 path=x\n", b"path=x\n", b"20 size=-9\n", b"12 size=1e9\n"])
def test_extended_headers_that_make_no_sense(line: bytes) -> None:
    entry = tarfile.TarInfo("x")
    entry.type, entry.size = tarfile.XHDTYPE, len(line)
    data = entry.tobuf() + line.ljust(512, b"\0") + tarfile.TarInfo("a").tobuf()
    with pytest.raises(EpisodeError, match="the rest of the archive cannot be read"):
        members(data)
