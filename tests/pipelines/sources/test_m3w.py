"""Interleaved pages of MMC4 and OBELICS: everything in its place, and pages that lost their images."""

import bz2
import json
import lzma
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gato_data.errors import InputError, OutputError
from gato_data.image_fit import ImageFit
from gato_data.tokenizers import image
from gato_pipelines.documents import pages
from gato_pipelines.documents.formats import ranges
from gato_pipelines.images.document import decode_image
from gato_schemas.account import Note
from gato_schemas.dataset import read_manifest
from gato_schemas.record import Record
from tests.document_inputs import address_name, dead_letters, ingest, mmc4_page, photo, records, texts

SENTENCES = ("We came at noon.", "There was a cat.", "It drank coffee.", "We left.")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("cat", "coffee", "coins"):
        (folder / f"{name}.jpg").write_bytes(photo(name))
        (folder / address_name(f"http://example.org/{name}.jpg")).write_bytes(photo(name))
    return folder


def layout(record: Record) -> list[str]:
    """Texts and the names of images, as they stand."""
    sequence, found = record.sequence, []
    seen = {name: decode_image(photo(name), ImageFit(192, 192)).pixels.tobytes() for name in ("cat", "coffee", "coins")}
    written, shown = iter(texts(record)), iter(sequence.image_grid)
    before, left = -1, 0
    for modality in sequence.modality:
        if modality == 1 and not left:
            pixels = image.from_patches(sequence.patches, next(shown)).tobytes()
            found.append(next(name for name, value in seen.items() if value == pixels))
            left = 144
        elif modality == 0 and before != 0:
            found.append(next(written))
        left -= modality == 1
        before = modality
    return found


class TestMmc4:
    @pytest.mark.parametrize("kind", ["jsonl", "jsonl.zip"])
    def test_images_stand_before_their_sentences(self, tmp_path: Path, images: Path, out: Path, kind: str) -> None:
        data = mmc4_page(SENTENCES, [("coffee.jpg", 2), ("cat.jpg", 1)]) + mmc4_page(["Only this."], [("coins.jpg", 0)])
        path = tmp_path / f"docs_no_face_shard_0_v3.{kind}"
        if kind == "jsonl":
            path.write_bytes(data)
        else:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("docs_no_face_shard_0_v3.jsonl", data)
        ingest("m3w", path, out, {"images": "images"})
        first, second = records(out)
        assert layout(first) == ["We came at noon.", "cat", "There was a cat.", "coffee", "It drank coffee. We left."]
        assert layout(second) == ["coins", "Only this."]
        assert first.source_episode_id == "http://example.org"

    def test_nan_and_other_compressions(self, tmp_path: Path, images: Path, out: Path) -> None:
        line = mmc4_page(["A cat."], [("cat.jpg", 0)]).replace(b"0.3", b"NaN")
        (tmp_path / "pages").mkdir()
        (tmp_path / "pages" / "a.jsonl.xz").write_bytes(lzma.compress(line))
        (tmp_path / "pages" / "b.jsonl.bz2").write_bytes(bz2.compress(line * 2)[:-9])
        (tmp_path / "pages" / "notes.md").touch()
        ingest("m3w", tmp_path / "pages", out, {"images": str(images)}, max_bad=1)
        assert [layout(record) for record in records(out)] == [["cat", "A cat."]] * len(records(out))
        assert dead_letters(out) == {"the rest of the file cannot be read (it is cut off)": 1}
        assert read_manifest(out).account == [Note("passed-over", ".md files, such as notes.md")]

    def test_a_page_ends_once(self, tmp_path: Path, images: Path, out: Path) -> None:
        (tmp_path / "a.jsonl").write_bytes(mmc4_page(SENTENCES, [("cat.jpg", 1)]))
        ingest("m3w", tmp_path / "a.jsonl", out, {"images": "images"})
        sequence = records(out)[0].sequence
        ends = [at for at, token in enumerate(sequence.tokens) if token == 2 and sequence.modality[at] == 0]
        assert ends == [sequence.num_tokens - 1]

    def test_a_page_goes_on_without_a_missing_image(self, tmp_path: Path, images: Path, out: Path) -> None:
        (images / "cut.jpg").write_bytes(photo("cat")[:3000])
        shown = [("absent.jpg", 0), ("cut.jpg", 1), ("cat.jpg", 1), ("../images/cat.jpg", 2), ("coins.jpg", 9)]
        (tmp_path / "a.jsonl").write_bytes(mmc4_page(SENTENCES, shown))
        ingest("m3w", tmp_path / "a.jsonl", out, {"images": "images"}, max_bad=4)
        assert dead_letters(out) == {
            "the image is missing": 1,
            "the image is cut off": 1,
            "the image's name leads out of the images": 1,
            "the image belongs to no sentence of its page": 1,
        }
        assert layout(records(out)[0]) == [
            "We came at noon.",
            "cat",
            "There was a cat. It drank coffee. We left.",
        ]

    def test_bad_pages(self, tmp_path: Path, images: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pages, "MAX_IMAGES", 3)
        bad: list[bytes] = [
            mmc4_page(SENTENCES, []),
            mmc4_page([" ", ""], [("cat.jpg", 0)]),
            mmc4_page(SENTENCES, [("cat.jpg", 0)] * 4),
            b'{"image_info": []}\n',
            b'{"text_list": ["a", null]}\n',
            b"no json\n",
        ]
        (tmp_path / "a.jsonl").write_bytes(b"".join(bad) + mmc4_page(["Good."], [("cat.jpg", 0)]))
        ingest("m3w", tmp_path / "a.jsonl", out, {"images": "images"}, max_bad=6)
        assert dead_letters(out) == {
            "the page has no image": 1,
            "the text is empty": 1,
            "the page has more than 3 images": 1,
            "the line is no page of MMC4 (Object missing required field `text_list`)": 1,
            "the line is no page of MMC4 (Expected `str`, got `null` - at `$.text_list[...]`)": 1,
            "the line is not JSON (invalid character)": 1,
        }
        assert [layout(record) for record in records(out)] == [["cat", "Good."]]

    def test_a_bad_image_costs_itself_alone(self, tmp_path: Path, images: Path, out: Path) -> None:
        good = {"image_name": "cat.jpg", "matched_text_index": 1.0}
        bad = [
            None,
            7,
            {"image_name": None, "matched_text_index": 0},
            {"matched_text_index": 2},
            {"image_name": "coins.jpg"},
            {"image_name": "coins.jpg", "matched_text_index": None},
            {"image_name": "coins.jpg", "matched_text_index": 1.5},
        ]
        pages_ = [
            {"text_list": SENTENCES, "image_info": [*bad, good], "url": None},
            {"text_list": SENTENCES, "image_info": None},
        ]
        (tmp_path / "a.jsonl").write_text("".join(json.dumps(page) + "\n" for page in pages_))
        ingest("m3w", tmp_path / "a.jsonl", out, {"images": "images"}, max_bad=8)
        assert dead_letters(out) == {
            "the image has no name": 2,
            "the image belongs to no sentence of its page": 5,
            "the page has no image": 1,
        }
        assert layout(records(out)[0]) == [
            "We came at noon.",
            "cat",
            "There was a cat. It drank coffee. We left.",
        ]

    def test_files_about_the_others_and_pointers(self, tmp_path: Path, images: Path, out: Path) -> None:
        folder = tmp_path / "pages"
        folder.mkdir()
        (folder / "a.jsonl").write_bytes(mmc4_page(SENTENCES, [("cat.jpg", 1)]))
        (folder / "dataset_info.json").write_text("{}")
        (folder / "b.jsonl").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
        with pytest.raises(InputError, match=r"1 file of .* is a Git LFS pointer \(b\.jsonl\).*--allow-missing-shards"):
            ingest("m3w", folder, out, {"images": str(images)})
        summary = ingest("m3w", folder, out, {"images": str(images), "allow_missing_shards": True})
        assert [layout(record)[1] for record in records(out)] == ["cat"]
        assert [note for note in summary.manifest.account if note.kind != "unknown"] == [
            Note("passed-over", "files about the others, such as dataset_info.json"),
            Note("missing", "files are Git LFS pointers, whose content was not fetched"),
        ]

    def test_byte_ranges(self, tmp_path: Path, images: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ranges, "PART_BYTES", 300)
        (tmp_path / "a.jsonl").write_bytes(b"".join(mmc4_page([f"Page {n}."], [("cat.jpg", 0)]) for n in range(6)))
        summary = ingest("m3w", tmp_path / "a.jsonl", out, {"images": "images"})
        assert [texts(record)[0] for record in records(out)] == [f"Page {n}." for n in range(6)]
        assert len(summary.manifest.splits["train"].shards) > 2


class TestObelics:
    def rows(self, *pages_: tuple[list[Any], list[str | None]]) -> pa.Table:
        meta = json.dumps({"url": "http://example.org"})
        return pa.table(
            {
                "images": [images for images, _ in pages_],
                "texts": [texts_ for _, texts_ in pages_],
                "metadata": [meta] * len(pages_),
            }
        )

    def test_addresses_lead_to_files_by_hash(self, tmp_path: Path, images: Path, out: Path) -> None:
        address = "http://example.org/{}.jpg".format
        table = self.rows(
            ([address("cat"), None, address("coins"), None], [None, "A cat.", None, "Coins."]),
            ([None, address("coffee")], ["Coffee follows.", None]),
        )
        pq.write_table(table, tmp_path / "a.parquet", row_group_size=1)
        ingest("m3w", tmp_path / "a.parquet", out, {"images": str(images)})
        first, second = records(out)
        assert layout(first) == ["cat", "A cat.", "coins", "Coins."]
        assert layout(second) == ["Coffee follows.", "coffee", ""]
        assert second.sequence.tokens[-1] == 2  # the page ends behind its last image

    def test_embedded_images(self, tmp_path: Path, out: Path) -> None:
        embedded = {"bytes": photo("coins"), "path": None}
        pq.write_table(self.rows(([embedded, None], [None, "Coins."])), tmp_path / "a.parquet")
        ingest("m3w", tmp_path / "a.parquet", out)
        assert layout(records(out)[0]) == ["coins", "Coins."]

    @pytest.mark.parametrize("kind", ["address", "embedded"])
    def test_an_image_beside_a_text_at_one_place(self, tmp_path: Path, images: Path, out: Path, kind: str) -> None:
        def shown(name: str) -> Any:
            address = f"http://example.org/{name}.jpg"
            return address if kind == "address" else {"bytes": photo(name), "path": None}

        nothing = "" if kind == "address" else {"bytes": None, "path": None}
        table = self.rows(
            ([shown("cat"), shown("coins")], ["A cat.", "Coins."]),
            ([shown("cat"), nothing, None], ["", "One cat.", "And more."]),
        )
        pq.write_table(table, tmp_path / "a.parquet")
        summary = ingest("m3w", tmp_path / "a.parquet", out, {"images": "images"})
        assert [layout(record) for record in records(out)] == [
            ["cat", "A cat.", "coins", "Coins."],
            ["cat", "One cat. And more."],
        ]
        text = "a place of a page holds an image and a text: the image is put before the text"
        assert Note("read", text, 2) in summary.manifest.account

    @pytest.mark.parametrize("listed", [pa.list_view, pa.large_list_view, pa.large_list])
    def test_view_types(self, tmp_path: Path, out: Path, listed: Any) -> None:
        embedded = {"bytes": photo("coins"), "path": None}
        image = pa.struct([("bytes", pa.binary_view()), ("path", pa.string_view())])
        pages_ = [[embedded, None]]
        table = pa.table(
            {
                "images": pa.array(pages_, listed(image)),
                "texts": pa.array([[None, "Coins."]], listed(pa.string_view())),
            }
        )
        pq.write_table(table, tmp_path / "a.parquet")
        ingest("m3w", tmp_path / "a.parquet", out)
        assert layout(records(out)[0]) == ["coins", "Coins."]

    def test_bad_rows(self, tmp_path: Path, images: Path, out: Path) -> None:
        address = "http://example.org/cat.jpg"
        table = self.rows(
            ([None], ["No image."]),
            ([address, None], [None]),
            (["http://example.org/gone.jpg", None], [None, "Its image is gone."]),
            ([address, None], [None, None]),
            ([address, None], [None, "Good."]),
        )
        pq.write_table(table, tmp_path / "a.parquet")
        ingest("m3w", tmp_path / "a.parquet", out, {"images": "images"}, max_bad=5)
        assert dead_letters(out) == {
            "the page has no image": 1,
            "the page's images and texts are not lists of one length": 1,
            "the image is missing": 1,
            "none of the page's images can be used": 1,
            "the text is empty": 1,
        }
        assert [layout(record) for record in records(out)] == [["cat", "Good."]]

    def test_no_image_at_all_is_a_failure(self, tmp_path: Path, out: Path) -> None:
        pq.write_table(self.rows((["http://example.org/x.jpg", None], [None, "A."])), tmp_path / "a.parquet")
        with pytest.raises(OutputError, match=r"no episode could be used .*the image is missing"):
            ingest("m3w", tmp_path / "a.parquet", out, max_bad=9)
