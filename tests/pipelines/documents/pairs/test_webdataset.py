"""Samples of archives: none vanishes, whatever stands twice, apart, or behind the end."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from gato_data.errors import EpisodeError
from gato_pipelines.documents.formats.tars import is_tar, open_tar, opened_tar, tar_members
from gato_pipelines.documents.pairs.captions import json_caption, plain_caption
from gato_pipelines.documents.pairs.source import Pair
from gato_pipelines.documents.pairs.webdataset import Archive, read_archive
from gato_pipelines.registry.find import make_source
from gato_schemas.account import Note
from gato_schemas.index import Part
from tests.document_inputs import make_tar

TWICE = "a second sample of the same key: the first one is taken"
APART = "the members of a sample must stand together"


def archive(path: Path, *names: str, data: bytes = b"x") -> Path:
    """An archive of members in that order, each holding its place and `data`."""
    with tarfile.open(path, "w") as file:
        for place, name in enumerate(names):
            entry = tarfile.TarInfo(name)
            content = data + str(place).encode()
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
    return path


def listed(path: Path) -> Archive:
    with opened_tar(path) as tar:
        return read_archive(tar)


def keys(found: Archive) -> list[str]:
    return [sample.key for sample in found.samples]


def reasons(found: Archive) -> list[tuple[str, str]]:
    return [(item.key, str(item.error)) for item in found.bad]


class TestSamplesNeverVanish:
    @pytest.mark.parametrize(
        ("names", "copies"),
        [
            (["1.jpg", "1.txt", "1.jpg", "1.txt"], 1),
            (["1.jpg", "1.jpg", "1.txt", "1.txt"], 1),
            (["1.txt", "1.jpg", "1.json", "1.txt"], 1),
            (["1.jpg", "1.txt", "1.jpg", "1.txt", "1.jpg", "1.txt"], 2),
        ],
    )
    def test_a_second_sample_next_to_the_first(self, tmp_path: Path, names: list[str], copies: int) -> None:
        path = archive(tmp_path / "a.tar", "0.jpg", "0.txt", *names, "2.jpg", "2.txt")
        found = listed(path)
        assert keys(found) == ["0", "1", "2"]
        assert reasons(found) == [("1", TWICE)] * copies
        data, (offset, size) = path.read_bytes(), found.samples[1].image
        first = min(number for number, name in enumerate(names, 2) if name == "1.jpg")
        assert data[offset : offset + size] == b"x%d" % first

    def test_samples_of_one_key_that_stand_apart_are_two(self, tmp_path: Path) -> None:
        found = listed(archive(tmp_path / "a.tar", "1.jpg", "1.txt", "2.jpg", "2.txt", "1.jpg", "1.txt"))
        assert keys(found) == ["1", "2", "1"]
        assert reasons(found) == []

    @pytest.mark.parametrize("folder", ["", "a/", "./"])
    def test_a_sample_in_pieces_is_one_dead_letter(self, tmp_path: Path, folder: str) -> None:
        names = [f"{folder}{number}.{suffix}" for suffix in ("jpg", "txt", "json") for number in range(4)]
        found = listed(archive(tmp_path / "a.tar", f"{folder}9.jpg", f"{folder}9.txt", *names))
        place = folder.removeprefix("./")
        assert keys(found) == [f"{place}9"]
        assert reasons(found) == [(f"{place}{number}", APART) for number in range(4)]

    def test_what_stands_apart_from_a_whole_sample(self, tmp_path: Path) -> None:
        names = [f"{number}.{suffix}" for number in range(3) for suffix in ("jpg", "txt")]
        found = listed(archive(tmp_path / "a.tar", *names, *(f"{number}.json" for number in range(3))))
        assert (keys(found), reasons(found)) == (["0", "1", "2"], [])
        assert found.notes() == [Note("left-out", "members of archives that stand apart from their sample", 3)]

    @pytest.mark.parametrize("padding", [0, 512, 1 << 21])
    def test_archives_behind_each_other(self, tmp_path: Path, padding: int) -> None:
        first = archive(tmp_path / "a.tar", "1.jpg", "1.txt").read_bytes()
        second = archive(tmp_path / "b.tar", "2.jpg", "2.txt").read_bytes()
        path = tmp_path / "c.tar"
        path.write_bytes(first + bytes(padding) + second + bytes(padding))
        found = listed(path)
        assert (keys(found), reasons(found)) == (["1", "2"], [])
        offset, size = found.samples[1].text
        assert path.read_bytes()[offset : offset + size] == b"x1"

    def test_rubbish_behind_the_end_is_said(self, tmp_path: Path) -> None:
        path = archive(tmp_path / "a.tar", "1.jpg", "1.txt")
        path.write_bytes(path.read_bytes() + b"rubbish " * 100)
        found = listed(path)
        assert keys(found) == ["1"]
        assert reasons(found)[0][1].startswith("the rest of the archive cannot be read (a damaged header at byte 10240")

    def test_what_belongs_to_no_sample_is_counted(self, tmp_path: Path) -> None:
        about = ("LICENSE.txt", "a/robots.txt", "README.md", "Makefile", "._1.jpg")
        found = listed(
            archive(tmp_path / "a.tar", *about, "1.jpg", "1.png", "1.txt", "1.cls", "2.jpg", "2.txt", "2.cls")
        )
        assert (keys(found), reasons(found)) == (["1", "2"], [])
        assert found.notes() == [
            Note("left-out", ".cls members of archives", 2),
            Note("left-out", "images behind the first one of their sample", 1),
            Note("left-out", "members of archives that belong to no sample", 5),
        ]


class TestNames:
    @pytest.mark.parametrize("written", ["./a/1", "a//1", "a/./1", ".//a/1", "a\\1", ".\\a\\1"])
    def test_what_means_nothing(self, tmp_path: Path, written: str) -> None:
        path = archive(tmp_path / "a.tar", f"{written}.jpg", "a/1.txt")
        assert [member.name for member in tar_members(open_tar(path))] == ["a/1.jpg", "a/1.txt"]
        assert keys(listed(path)) == ["a/1"]

    @pytest.mark.parametrize("written", ["../1.jpg", "a\\..\\..\\1.jpg", "./../1.jpg", "/1.jpg"])
    def test_what_leads_out(self, tmp_path: Path, written: str) -> None:
        path = archive(tmp_path / "a.tar", written)
        assert [member.reason for member in tar_members(open_tar(path))] == ["the name leads out of the archive"]


class TestCompressed:
    @pytest.mark.parametrize(("suffix", "how"), [("tar.gz", "gz"), ("tgz", "gz"), ("tar.bz2", "bz2"), ("txz", "xz")])
    def test_the_same_pairs(self, tmp_path: Path, suffix: str, how: str) -> None:
        members = {f"{number}.{kind}": f"{kind} {number}".encode() for number in range(9) for kind in ("jpg", "txt")}
        plain = make_tar(tmp_path / "a.tar", members)
        with tarfile.open(tmp_path / f"a.{suffix}", f"w:{how}") as archive:
            for name, data in members.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        source = make_source("align", {})
        found = [
            [(pair.id, pair.text.text, pair.load()) for pair in source.pairs(path, Part(path.name, "align", 1, 0, 2))]
            for path in (plain, tmp_path / f"a.{suffix}")
        ]
        assert sorted(found[0]) == sorted(found[1]) == [(f"{n}", f"txt {n}", f"jpg {n}".encode()) for n in range(9)]

    def test_names(self) -> None:
        assert all(map(is_tar, ("a.tar", "A.TAR", "a.tar.gz", "a.tar.zst", "a.tgz")))
        assert not any(map(is_tar, ("a.gz", "a.tar.zip", "tar", "a.zip", "a.tar.txt")))


class TestCaptions:
    def test_a_text(self) -> None:
        assert plain_caption("\ufeffgrün\r\n".encode()) == "grün"
        assert json_caption(json.dumps({"caption": " a "}).encode(), "caption") == ("a", ())

    def test_of_a_list_the_first(self) -> None:
        text, notes = json_caption(json.dumps({"alts": [None, "one", "two"]}).encode(), "alts")
        assert (text, [note.text for note in notes]) == (
            "one",
            ["'alts' holds a list of captions, the first of which is taken"],
        )

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            ({}, "there is no text under 'caption' in the .json member"),
            ({"caption": None}, "there is no text under 'caption' in the .json member"),
            ({"caption": 7}, "the value under 'caption' is a number: a text is wanted"),
            ({"caption": True}, "the value under 'caption' is true or false: a text is wanted"),
            ({"caption": {"en": "a"}}, "the value under 'caption' is an object: a text is wanted"),
            ({"caption": []}, "the value under 'caption' is a list without texts: a text is wanted"),
            ({"caption": [1, None]}, "the value under 'caption' is a list without texts: a text is wanted"),
            ([], "the .json member is not a JSON object"),
        ],
    )
    def test_reasons_name_the_key(self, value: object, reason: str) -> None:
        with pytest.raises(EpisodeError) as caught:
            json_caption(json.dumps(value).encode(), "caption")
        assert str(caught.value) == reason

    @pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", '["NaN", NaN]'])
    def test_numbers_that_json_does_not_have_cost_nothing(self, value: str) -> None:
        data = f'{{"similarity": {value}, "caption": "a NaN of a cat"}}'.encode()
        assert json_caption(data, "caption") == ("a NaN of a cat", ())

    def test_an_image_of_another_format_is_no_missing_one(self, tmp_path: Path) -> None:
        path = make_tar(tmp_path / "a.tar", {"1.avif": b"x", "1.txt": b"text", "2.txt": b"text"})
        found = list(make_source("align", {}).pairs(path, Part("a.tar", "align", 1, 0, 1)))
        reasons = {item.key: str(item.error) for item in found if not isinstance(item, Pair)}
        assert reasons == {"1": "images of format .avif are not read", "2": "the image is missing"}

    def test_a_note_for_each_sample(self, tmp_path: Path) -> None:
        members = {"1.jpg": b"x", "1.json": b'{"caption": ["first", "second"]}'}
        path = make_tar(tmp_path / "a.tar", members)
        (pair,) = make_source("align", {}).pairs(path, Part("a.tar", "align", 1, 0, 1))
        assert isinstance(pair, Pair)
        assert pair.text.text == "first"
        assert [note.kind for note in pair.notes] == ["read"]
