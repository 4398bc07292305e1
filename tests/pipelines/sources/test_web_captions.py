"""Conceptual Captions, ALIGN and LTIP: rows of links and webdataset archives to records, good and bad input."""

import csv
import gzip
import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gato_data.errors import EpisodeError, InputError, OutputError
from gato_pipelines.documents.pairs.source import Pair
from gato_pipelines.registry.find import make_source
from gato_schemas.account import Note
from tests.document_inputs import (
    CAPTIONS,
    NAMES,
    dead_letters,
    ingest,
    make_tar,
    make_tsv,
    photo,
    records,
    sample,
    six_samples,
    texts,
)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def shown(folder: Path, settings: dict[str, Any] | None = None) -> dict[str, str]:
    """The caption of every row that has an image."""
    source = make_source("conceptual-captions", {"images": "images", **(settings or {})})
    found = {}
    for pair in (pair for part in source.parts(folder) for pair in source.pairs(folder, part)):
        if isinstance(pair, Pair):
            with suppress(EpisodeError):
                pair.load()
                found[pair.id] = pair.text.text
    return found


def noted(folder: Path, settings: dict[str, Any] | None = None) -> list[str]:
    source = make_source("conceptual-captions", {"images": "images", **(settings or {})})
    return [note.text for note in source.notes(folder)]


class TestConceptualCaptions:
    @pytest.mark.parametrize("links_first", [False, True])
    def test_both_orders_of_columns(self, tmp_path: Path, out: Path, links_first: bool) -> None:
        folder = make_tsv(tmp_path / "cc", links_first=links_first)
        ingest("conceptual-captions", folder, out, {"images": "images"}, max_bad=1)
        assert dead_letters(out) == {"the image is missing": 1}
        found = [text for record in records(out) for text in texts(record)]
        assert sorted(found) == sorted(CAPTIONS[name][0] for name in NAMES)

    def test_a_row_number_is_the_images_name(self, tmp_path: Path, out: Path) -> None:
        folder = make_tsv(tmp_path / "cc")
        for number, name in enumerate(("5.png", "000000004.jpeg", "00000/000000006.jpg")):
            target = folder / "images" / name
            target.parent.mkdir(exist_ok=True)
            (folder / "images" / f"{[5, 4, 6][number]:08d}.jpg").rename(target)
        ingest("conceptual-captions", folder, out, {"images": "images"}, max_bad=1)
        assert sum(record.sequence.num_images for record in records(out)) == 6

    def test_bad_rows(self, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from gato_pipelines.documents.formats import tsv

        monkeypatch.setattr(tsv, "MAX_ROW_BYTES", 500)
        folder = make_tsv(tmp_path / "cc")
        with (folder / "captions.tsv").open("ab") as file:
            file.write(b"no link\n" + b"gr\xfcn\thttp://x\n" + b"x" * 600 + b"\thttp://x\n" + b"\thttp://empty")
        (folder / "images" / "00000010.jpg").write_bytes(photo("cat"))
        ingest("conceptual-captions", folder, out, {"images": "images"}, max_bad=5)
        assert dead_letters(out) == {
            "the image is missing": 1,
            "the row has not two columns": 1,
            "the text is not valid UTF-8": 1,
            "the row is longer than 0 MiB": 1,
            "the text is empty": 1,
        }

    def test_columns_that_nothing_tells_apart(self, tmp_path: Path, out: Path) -> None:
        folder = make_tsv(tmp_path / "cc")
        (folder / "captions.tsv").write_text("one\ttwo\n")
        with pytest.raises(InputError, match="which column holds links: say so with --columns"):
            ingest("conceptual-captions", folder, out)

    @pytest.mark.parametrize("header", ["caption\turl", "TEXT\tIMAGE_URL", "what it shows\tlink (http)"])
    @pytest.mark.parametrize("begin", ["", "\ufeff"])
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_rows_are_counted_behind_a_header(self, tmp_path: Path, header: str, begin: str, end: str) -> None:
        folder = make_tsv(tmp_path / "cc")
        expected = shown(folder)
        table = folder / "captions.tsv"
        table.write_text(begin + header + end + table.read_text().replace("\n", end), newline="")
        assert shown(folder) == expected
        assert noted(folder) == [
            f"the first row of captions.tsv is its header ({header.replace(chr(9), ', ')}): rows are counted behind it"
        ]

    def test_blank_lines_count_for_nothing(self, tmp_path: Path, out: Path) -> None:
        table = make_tsv(tmp_path / "cc") / "captions.tsv"
        rows = table.read_text().splitlines()
        table.write_text("\n".join([*rows[:2], "", *rows[2:], "", ""]))
        summary = ingest("conceptual-captions", table, out, {"images": "images"}, max_bad=1)
        shown = {text for record in records(out) for text in texts(record)}
        assert shown == {CAPTIONS[name][0] for name in NAMES}
        note = Note("read", "blank lines of captions.tsv are not counted as rows", 2)
        assert note in summary.manifest.account

    def test_a_compressed_table_is_refused(self, tmp_path: Path, out: Path) -> None:
        table = make_tsv(tmp_path / "cc") / "captions.tsv"
        packed = table.with_suffix(".tsv.gz")
        packed.write_bytes(gzip.compress(table.read_bytes()))
        with pytest.raises(InputError, match=r"captions.tsv.gz is compressed, .* unpack it first"):
            ingest("conceptual-captions", packed, out, {"images": "images"})

    def test_a_header_in_the_other_order(self, tmp_path: Path) -> None:
        folder = make_tsv(tmp_path / "cc", links_first=True)
        expected = shown(folder)
        table = folder / "captions.tsv"
        table.write_text("url\tcaption\n" + table.read_text())
        assert shown(folder) == shown(folder, {"columns": "url-caption"}) == expected

    @pytest.mark.parametrize("link", ["", "nan", "None", "www.example.org", "//example.org/a.jpg", "a/b.jpg", "a.jpg"])
    def test_a_row_without_a_link_is_no_header(self, tmp_path: Path, link: str) -> None:
        folder = make_tsv(tmp_path / "cc")
        table = folder / "captions.tsv"
        table.write_text(f"a first row\t{link}\n" + "".join(table.read_text().splitlines(keepends=True)[1:]))
        assert shown(folder)["0"] == "a first row"
        assert noted(folder) == []

    @pytest.mark.parametrize("links_first", [False, True])
    def test_quotes_of_csv(self, tmp_path: Path, links_first: bool) -> None:
        folder = make_tsv(tmp_path / "cc", links_first=links_first)
        expected = shown(folder)
        table = folder / "captions.tsv"
        rows = [line.split("\t") for line in table.read_text().splitlines()]
        place = 1 if links_first else 0
        rows[0][place] = 'a "quoted" word,\nin two lines\tand a tab'
        with table.open("w", newline="") as file:
            csv.writer(file, delimiter="\t", lineterminator="\n").writerows(rows)
        assert shown(folder) == {**expected, "0": rows[0][place]}
        assert noted(folder) == ["captions.tsv has columns in quotes, as csv files do: the quotes are no text"]
        assert shown(folder, {"quoting": "none"}) != shown(folder)

    @pytest.mark.parametrize("suffix", ["txt", "json"])
    @pytest.mark.parametrize("place", ["images", "images.tar"])
    def test_a_text_beside_an_image_has_to_agree(self, tmp_path: Path, out: Path, suffix: str, place: str) -> None:
        folder = make_tsv(tmp_path / "cc")
        for number, caption in shown(folder).items():
            text = caption if number != "2" else "of another picture"
            content = text + "\n" if suffix == "txt" else json.dumps({"caption": text})
            (folder / "images" / f"{int(number):08d}.{suffix}").write_text(content)
        if place == "images.tar":
            make_tar(folder / place, {path.name: path.read_bytes() for path in sorted((folder / "images").iterdir())})
        ingest("conceptual-captions", folder, out, {"images": place}, max_bad=2)
        assert dead_letters(out) == {
            "the image is missing": 1,
            "the text beside the image is not that of its row: are rows counted right?": 1,
        }
        assert sum(record.sequence.num_images for record in records(out)) == 5

    def test_rows_that_are_counted_wrongly_are_refused(self, tmp_path: Path, out: Path) -> None:
        folder = make_tsv(tmp_path / "cc")
        rows = (folder / "captions.tsv").read_text().splitlines(keepends=True)
        for number, caption in shown(folder).items():
            (folder / "images" / f"{int(number):08d}.txt").write_text(caption)
        (folder / "captions.tsv").write_text("".join([*rows[-1:], *rows[:-1]]))
        with pytest.raises(OutputError, match=r"no episode could be used .*the text beside the image is not that"):
            ingest("conceptual-captions", folder, out, {"images": "images"}, max_bad=9)

    def test_a_table_beside_archives(self, tmp_path: Path, out: Path) -> None:
        folder = make_tsv(tmp_path / "cc")
        expected = shown(folder)
        make_tar(folder / "00000.tar", six_samples())
        assert shown(folder) == expected  # it was said where the images are
        shutil.rmtree(folder / "images")
        summary = ingest("conceptual-captions", folder, out)
        names = [name for record in records(out) for name in record.source_episode_id.split()]
        assert sorted(names) == [f"{number:09d}" for number in range(6)]
        assert Note("passed-over", ".tsv files, such as captions.tsv") in summary.manifest.account

    def test_a_table_beside_its_images_and_archives(self, tmp_path: Path) -> None:
        folder = make_tsv(tmp_path / "cc")
        expected = shown(folder)
        for path in (folder / "images").iterdir():
            path.rename(folder / path.name)
        make_tar(folder / "00000.tar", six_samples())
        assert shown(folder, {"images": ""}) == expected
        assert noted(folder, {"images": ""}) == [".tar files, such as 00000.tar"]

    def test_webdataset_archives_instead(self, tmp_path: Path, out: Path) -> None:
        make_tar(tmp_path / "cc" / "00000.tar", six_samples())
        ingest("conceptual-captions", tmp_path / "cc", out)
        assert sum(record.sequence.num_images for record in records(out)) == 6


class TestWebdataset:
    @pytest.mark.parametrize("source", ["align", "ltip"])
    def test_an_archive_is_a_part(self, tmp_path: Path, out: Path, source: str) -> None:
        make_tar(tmp_path / "tars" / "00000.tar", six_samples())
        make_tar(tmp_path / "tars" / "00001.tar", sample("000010000", "cat"))
        (tmp_path / "tars" / "00000.parquet").write_bytes(b"a sidecar of img2dataset")
        summary = ingest(source, tmp_path / "tars", out)
        assert summary.manifest.family == source
        assert [record.sequence.num_images for record in records(out)] == [5, 1, 1]
        shown = {
            name: text
            for record in records(out)
            for name, text in zip(record.source_episode_id.split(), texts(record), strict=True)
        }
        assert shown == {f"{n:09d}": CAPTIONS[name][0] for n, name in enumerate(NAMES)} | {
            "000010000": CAPTIONS["cat"][0]
        }

    def test_pairs_are_shuffled_within_an_archive(self, tmp_path: Path, out: Path) -> None:
        names = [f"{n:03d}" for n in range(30)]
        make_tar(tmp_path / "a.tar", {k: v for n in names for k, v in sample(n, "rocket").items()})
        ingest("align", tmp_path / "a.tar", out)
        order = [name for record in records(out) for name in record.source_episode_id.split()]
        assert sorted(order) == names
        assert order != names

    def test_members_in_any_order_and_captions_in_json(self, tmp_path: Path, out: Path) -> None:
        members = {
            "a/1.json": json.dumps({"caption": "from json", "alt": "from alt"}).encode(),
            "a/1.PNG": photo("cat"),
            "a/2.x.jpg": photo("cat"),  # the key ends at the first dot
            "b/1.txt": b"first text",
            "b/1.jpg": photo("coins"),
            "b/1.cls": b"3",
            "b/1.jpeg": b"a second image is not looked at",
        }
        make_tar(tmp_path / "a.tar", members)
        ingest("align", tmp_path / "a.tar", out, max_bad=1)
        assert sorted(texts(records(out)[0])) == ["first text", "from json"]
        ingest("align", tmp_path / "a.tar", out, {"caption_key": "alt"}, max_bad=1, overwrite=True)
        assert sorted(texts(records(out)[0])) == ["first text", "from alt"]

    def test_bad_members(self, tmp_path: Path, out: Path) -> None:
        members = {
            **sample("good", "cat"),
            "../up.jpg": photo("cat"),
            "/etc/up.jpg": photo("cat"),
            "noimage.txt": b"text",
            "notext.jpg": photo("cat"),
            "empty.jpg": photo("cat"),
            "empty.txt": b" ",
            "latin.jpg": photo("cat"),
            "latin.txt": b"gr\xfcn",
            "json.jpg": photo("cat"),
            "json.json": b"{",
            "cut.jpg": photo("cat")[:2000],
            "cut.txt": b"text",
        }
        make_tar(tmp_path / "a.tar", members, {"link.jpg": "good.jpg"})
        ingest("ltip", tmp_path / "a.tar", out, max_bad=20)
        assert dead_letters(out) == {
            "the name leads out of the archive": 2,
            "a link in the archive is not followed": 1,
            "the image is missing": 1,
            "the text is empty": 2,
            "the text is not valid UTF-8": 1,
            "the .json member is not a JSON object": 1,
            "the image is cut off": 1,
        }
        assert [texts(record) for record in records(out)] == [[CAPTIONS["cat"][0]]]

    def test_a_cut_off_archive_gives_what_comes_before(self, tmp_path: Path, out: Path) -> None:
        path = make_tar(tmp_path / "a.tar", six_samples())
        path.write_bytes(path.read_bytes()[:-30_000])
        ingest("align", path, out, max_bad=2)
        assert [reason for reason in dead_letters(out) if reason.startswith("the rest of the archive")]
        assert 3 <= sum(record.sequence.num_images for record in records(out)) < 6

    def test_what_is_no_archive(self, tmp_path: Path, out: Path) -> None:
        (tmp_path / "a.tar").write_bytes(b"x" * 3000)
        with pytest.raises(OutputError, match=r"no episode could be used .*the rest of the archive cannot be read"):
            ingest("align", tmp_path / "a.tar", out, max_bad=9)
