"""Images by name out of folders, tar and zip archives, and names that would lead elsewhere."""

import errno
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from gato_data.errors import EpisodeError, InputError
from gato_data.files import is_inside
from gato_pipelines.documents import image_files as pictures
from gato_pipelines.documents.formats.tars import open_tar, tar_members
from gato_pipelines.documents.image_files import FolderImages, ImageFiles, open_images, read_first
from gato_pipelines.files.find import find_files, root_of
from tests.document_inputs import make_tar


@pytest.fixture(params=["folder", "tar", "zip"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """One image, a/one.jpg, in each kind of place; a secret beside it."""
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    if request.param == "folder":
        (tmp_path / "images" / "a").mkdir(parents=True)
        (tmp_path / "images" / "a" / "one.jpg").write_bytes(b"one")
        return tmp_path / "images"
    if request.param == "tar":
        return make_tar(tmp_path / "images.tar", {"a/one.jpg": b"one", "../secret.jpg": b"x", "/etc/x": b"x"})
    with zipfile.ZipFile(tmp_path / "images.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/one.jpg", b"one")
        archive.writestr("../secret.jpg", b"x")
    return tmp_path / "images.zip"


def test_an_image_is_found_by_the_first_name_that_there_is(place: Path) -> None:
    found = open_images(place)
    assert read_first(found, ["one.jpg", "a/one.jpg"]) == b"one"
    with pytest.raises(EpisodeError, match="the image is missing"):
        read_first(found, ["one.jpg", "two.jpg"])


@pytest.mark.parametrize("name", ["../secret.jpg", "a/../../secret.jpg", "/etc/passwd", "", "a/\0.jpg"])
def test_a_name_cannot_lead_elsewhere(place: Path, name: str) -> None:
    with pytest.raises(EpisodeError, match="the image's name leads out of the images"):
        read_first(open_images(place), [name])


def test_a_large_image_is_not_read(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_ENCODED_BYTES", 2)
    with pytest.raises(EpisodeError, match="the image file is larger than"):
        read_first(open_images(place), ["a/one.jpg"])


def test_what_is_no_place_for_images(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("x")
    with pytest.raises(InputError, match=r"file\.txt are no folder, \.tar or \.zip: give such a place with --images"):
        open_images(tmp_path / "file.txt")


@pytest.mark.parametrize("name", ["images.tar", "images.zip"])
def test_an_archive_that_is_none(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x" * 2000)
    with pytest.raises(InputError, match=f"{name} is not a whole"):
        open_images(tmp_path / name)


def test_a_folder_holds_more_than_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    found: ImageFiles = FolderImages(tmp_path)
    for name in ("pipe.jpg", "folder.jpg"):
        with pytest.raises(EpisodeError, match="the image is not a file"):
            found.read(name)
    with pytest.raises(EpisodeError, match="the image cannot be read"):
        found.read("loop.jpg")
    assert found.read("folder.jpg/x.jpg") is None


def test_an_error_of_the_disk_is_no_fault_of_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(OSError, match="Input/output error"):
        FolderImages(tmp_path).read("a.jpg")


class TestTar:
    def test_members_and_what_must_not_be_read(self, tmp_path: Path) -> None:
        path = make_tar(
            tmp_path / "a.tar",
            {"a.jpg": b"one", "../b.jpg": b"two", "/c.jpg": b"three", "d" * 300: b"four"},
            {"link.jpg": "/etc/passwd"},
        )
        found = {member.name: member for member in tar_members(open_tar(path))}
        assert {name: member.reason for name, member in found.items()} == {
            "a.jpg": "",
            "../b.jpg": "the name leads out of the archive",
            "/c.jpg": "the name leads out of the archive",
            "d" * 300: "",
            "link.jpg": "a link in the archive is not followed",
        }
        data = path.read_bytes()
        assert data[found["d" * 300].offset :].startswith(b"four")

    def test_folders_are_passed_over_and_devices_are_not_read(self, tmp_path: Path) -> None:
        path = tmp_path / "a.tar"
        with tarfile.open(path, "w") as archive:
            for name, kind in (("folder", tarfile.DIRTYPE), ("tty", tarfile.CHRTYPE)):
                entry = tarfile.TarInfo(name)
                entry.type = kind
                archive.addfile(entry)
        reasons = [member.reason for member in tar_members(open_tar(path))]
        assert reasons == ["the archive holds something that is not a plain file"]

    def test_a_cut_off_archive(self, tmp_path: Path) -> None:
        path = make_tar(tmp_path / "a.tar", {"a.jpg": b"x" * 1000, "b.jpg": b"y" * 1000})
        path.write_bytes(path.read_bytes()[:2500])
        members = tar_members(open_tar(path))
        assert next(members).name == "a.jpg"
        with pytest.raises(tarfile.TarError):
            list(members)

    def test_garbage_is_not_taken_for_the_end(self, tmp_path: Path) -> None:
        path = make_tar(tmp_path / "a.tar", {"a.jpg": b"x", "b.jpg": b"y"})
        data = bytearray(path.read_bytes())
        data[1024:1536] = b"garbage!" * 64
        path.write_bytes(data)
        members = tar_members(open_tar(path))
        assert next(members).name == "a.jpg"
        with pytest.raises(tarfile.TarError, match="a damaged header at byte 1024"):
            list(members)

    def test_an_extended_header_cannot_claim_the_memory(self, tmp_path: Path) -> None:
        header = tarfile.TarInfo("././@LongLink")
        header.type, header.size = tarfile.GNUTYPE_LONGNAME, 1 << 33
        path = tmp_path / "a.tar"
        with path.open("wb") as file:
            file.write(header.tobuf(tarfile.GNU_FORMAT))
            file.truncate(1 << 34)
        with pytest.raises(tarfile.TarError):
            list(tar_members(open_tar(path)))

    def test_a_compressed_archive_is_none(self, tmp_path: Path) -> None:
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w:gz") as archive:
            archive.addfile(tarfile.TarInfo("a.jpg"))
        (tmp_path / "a.tar").write_bytes(data.getvalue())
        with pytest.raises(tarfile.TarError):
            list(tar_members(open_tar(tmp_path / "a.tar")))


class TestFiles:
    def test_a_folder_is_searched_to_any_depth_in_one_order(self, tmp_path: Path) -> None:
        for name in ("b/2.txt", "a/1.txt", "a.txt", "c.md", ".hidden.txt", ".git/x.txt"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        assert find_files(tmp_path, lambda name: name.endswith(".txt"), ".txt files") == [
            "a.txt",
            "a/1.txt",
            "b/2.txt",
        ]
        assert root_of(tmp_path) == tmp_path

    def test_a_name_that_is_not_utf8_is_refused(self, tmp_path: Path) -> None:
        with open(os.fsencode(tmp_path) + b"/caf\xe9.txt", "wb"):
            pass
        with pytest.raises(InputError, match=r"holds a file whose name is not UTF-8 .*: rename it"):
            find_files(tmp_path, lambda name: name.endswith(".txt"), ".txt files")

    def test_a_single_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").touch()
        assert find_files(tmp_path / "a.txt", lambda name: True, "files") == ["a.txt"]
        assert root_of(tmp_path / "a.txt") == tmp_path

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("a.bin", "is none of these: text files"),
            ("", "holds none of these: text files"),
        ],
    )
    def test_nothing_to_read(self, tmp_path: Path, name: str, message: str) -> None:
        (tmp_path / "a.bin").touch()
        with pytest.raises(InputError, match=message):
            find_files(tmp_path / name, lambda name: name.endswith(".txt"), "text files")

    @pytest.mark.parametrize(("name", "inside"), [("a/b", True), ("a..b", True), ("a/../b", False), ("/a", False)])
    def test_names_that_stay_inside(self, name: str, inside: bool) -> None:
        assert is_inside(name) is inside
