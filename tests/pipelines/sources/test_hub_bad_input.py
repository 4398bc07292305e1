"""Rows that cannot be used: a dead letter each, or one sentence before anything is read."""

import base64
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from gato_data.errors import InputError, SettingError
from gato_pipelines.documents import pages
from gato_pipelines.documents.rows import json_rows, writing
from gato_pipelines.ingest.run import IngestSettings, plan_only
from gato_pipelines.registry.find import make_source
from gato_schemas.account import Note
from gato_schemas.dataset import read_manifest
from tests.document_inputs import dead_letters, ingest, json_lines, make_tar, photo, records, texts

GOOD = {"image": "cat.jpg", "text": "A cat."}
ASKED = [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "A cat."}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures; a third lies outside."""
    (tmp_path / "outside.jpg").write_bytes(photo("coffee"))
    made = tmp_path / "in"
    made.mkdir()
    for name in ("cat", "coins"):
        (made / f"{name}.jpg").write_bytes(photo(name))
    return made


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def refused(folder: Path, settings: dict[str, Any] | None = None) -> str:
    with pytest.raises(InputError) as caught:
        plan_only("hub", settings or {}, folder, folder.parent / "out", IngestSettings(workers=1))
    return str(caught.value)


def test_pictures_that_are_not_read(folder: Path, out: Path) -> None:
    (folder / "cut.jpg").write_bytes(photo("cat")[:3000])
    (folder / "text.jpg").write_text("no picture " * 100)
    inline = f"data:image/jpeg;base64,{base64.b64encode(photo('cat')).decode()}"
    named = [
        "../outside.jpg",
        str(folder.parent / "outside.jpg"),
        "more/../../outside.jpg",
        "http://example.org/cat.jpg",
        "s3://bucket/cat.jpg",
        inline,
        "absent.jpg",
        "cut.jpg",
        "text.jpg",
        "x" * 5000,
        None,
        "",
        7,
    ]
    json_lines(folder / "a.jsonl", [GOOD, *({"image": name, "text": "A cat."} for name in named)])
    ingest("hub", folder, out, max_bad=len(named))
    assert dead_letters(out) == {
        "the image's name leads out of the images": 3,
        "the picture is an address, and nothing is ever fetched": 3,
        "the image is missing": 1,
        "the image is cut off": 1,
        "the file is no image (JPEG, PNG, WEBP, GIF, BMP can be read)": 1,
        "the picture's name is longer than 4096 characters": 1,
        "the row has no picture": 2,
        "the picture is neither bytes nor the name of a file": 1,
    }
    assert [texts(record) for record in records(out)] == [["A cat."]]


def test_conversations_that_are_none(folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MAX_IMAGES", 3)
    say = [{"from": "gpt", "value": "A cat."}]
    rows: list[tuple[Any, Any]] = [
        (None, ASKED),
        ("cat.jpg", [{"from": "human", "value": "<image> and <image>?"}, *say]),
        (["cat.jpg", "coins.jpg"], ASKED),
        ("cat.jpg", ASKED[:1]),
        ("cat.jpg", [*ASKED, {"from": "observation", "value": "42"}]),
        ("cat.jpg", [*ASKED, {"from": "gpt", "value": " "}]),
        ("cat.jpg", [*ASKED, {"from": "gpt", "value": None}]),
        ("cat.jpg", [*ASKED, {"from": "gpt", "value": 7}]),
        ("cat.jpg", []),
        ("cat.jpg", None),
        ("cat.jpg", ["What is it?"]),
        ("cat.jpg", [{"role": "user", "content": [{"type": "video"}]}, *say]),
        ("cat.jpg", [{"role": "user", "content": [{"type": "image", "url": "http://x/y.jpg"}]}, *say]),
        (["cat.jpg"] * 4, [{"from": "human", "value": "What are they?"}, *say]),
    ]
    given = [{"image": image, "conversations": turns} for image, turns in rows]
    json_lines(folder / "a.jsonl", [{"image": "cat.jpg", "conversations": ASKED}, *given])
    ingest("hub", folder, out, max_bad=len(given))
    assert dead_letters(out) == {
        "the conversation has more <image> than pictures": 2,
        "the conversation has more pictures than <image>": 1,
        "nobody answers in the conversation": 1,
        "'observation' speaks: user, assistant and system are known": 1,
        "a turn of the conversation is empty": 2,
        "the text is no text": 1,
        "the conversation is empty": 2,
        "a turn says neither who speaks nor what is asked and answered": 1,
        "a turn holds 'video': text and image are known": 1,
        "the picture is an address, and nothing is ever fetched": 1,
        "the conversation has more than 3 pictures": 1,
    }
    assert len(records(out)) == 1


def test_rows_of_a_table_that_are_damaged(folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "MAX_ROW_BYTES", 1000)
    lines = [
        json.dumps(GOOD).encode(),
        b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
        b"",
        b"no json",
        b"[1]",
        json.dumps({**GOOD, "text": "x" * 1000}).encode(),
        b'{"image": "cat.jpg", "text": "\xff"}',
        json.dumps({**GOOD, "text": None}).encode(),
        json.dumps({**GOOD, "text": {"en": "A cat."}}).encode(),
    ]
    (folder / "a.jsonl").write_bytes(b"\n".join(lines))
    ingest("hub", folder, out, max_bad=6)
    assert dead_letters(out) == {
        "the line is not JSON (invalid character)": 1,
        "the row is no JSON object (Expected `object`, got `array`)": 1,
        "the row is longer than 0 MiB": 1,
        "the text is not valid UTF-8": 1,
        "the text is empty": 1,
        "the caption is no text": 1,
    }
    assert [texts(record) for record in records(out)] == [["A cat.", "A cat."]]


@pytest.mark.parametrize(
    ("end", "reason", "read"),
    [
        ("", "the rest of the file cannot be read (the list does not end)", 2),
        (', {"image": "cat', "the rest of the file cannot be read (the list does not end)", 2),
        (", 7, null]", "the row is no JSON object", 2),
        (', "a", {}]', "the row is no JSON object (Expected `object`, got `str`)", 2),
        ("]\n[]", "the rest of the file cannot be read (something follows the list)", 2),
    ],
)
def test_a_list_that_is_damaged(folder: Path, out: Path, end: str, reason: str, read: int) -> None:
    (folder / "a.json").write_text(json.dumps([GOOD, GOOD])[:-1] + end)
    ingest("hub", folder, out, max_bad=2)
    assert reason in dead_letters(out)
    assert [len(texts(record)) for record in records(out)] == [read]


def table(rows: int) -> pa.Table:
    picture = {"bytes": photo("cat"), "path": "cat.jpg"}
    return pa.Table.from_pylist([{"image": picture, "text": f"Cat {number}."} for number in range(rows)])


def test_files_that_are_cut_off(tmp_path: Path, out: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with pa.OSFile(str(folder / "a.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table(1).schema) as writer:
        writer.write_table(table(4), max_chunksize=2)
    (folder / "a.arrow").write_bytes((folder / "a.arrow").read_bytes()[:-3000])
    pq.write_table(table(3), folder / "b.parquet")
    ingest("hub", folder, out, max_bad=1)
    assert [reason[:34] for reason in dead_letters(out)] == ["the rest of the file cannot be rea"]
    assert sorted(text for record in records(out) for text in texts(record)) == sorted(
        [*(f"Cat {n}." for n in range(2)), *(f"Cat {n}." for n in range(3))]
    )


def test_a_compressed_arrow_file_is_refused(tmp_path: Path, out: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    path = str(folder / "a.arrow")
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_stream(sink, table(1).schema, options=options) as writer:
        writer.write_table(table(4))
    assert refused(folder) == (
        f"a.arrow of {folder} cannot be read, and nothing else is recognised: the batches of the file are compressed, "
        "which has no bounds: write it without, or as parquet"
    )
    pq.write_table(table(3), folder / "b.parquet")
    ingest("hub", folder, out, max_bad=1)
    assert [reason[:27] for reason in dead_letters(out)] == ["the batches of the file are"]
    assert len(records(out)) == 1


def test_one_picture_that_every_row_repeats_is_an_attack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gato_pipelines.files import streams

    folder = tmp_path / "in"
    folder.mkdir()
    pq.write_table(table(2000), folder / "a.parquet")
    monkeypatch.setattr(streams, "FREE_EXPANSION", 1 << 20)
    monkeypatch.setattr(streams, "MAX_EXPANSION", 20)
    source = make_source("hub", {"pairs_per_episode": 1})
    (part,) = source.parts(folder)
    items = list(source.read(folder, part, plan_task()))
    bad = [item for item in items if item.error is not None]
    assert [str(item.error) for item in bad] == ["the rest of the file is not read: it expands more than 20 times"]
    assert len(items) - 1 + bad[0].count == 2000


def plan_task() -> Any:
    from gato_schemas.dataset import TaskInfo

    return TaskInfo(observations=[], actions=[])


def test_columns_that_cannot_be_told(tmp_path: Path) -> None:
    def given(**columns: Any) -> Path:
        folder = tmp_path / "in"
        folder.mkdir(exist_ok=True)
        pq.write_table(pa.table({name: [value] for name, value in columns.items()}), folder / "a.parquet")
        return folder

    picture = {"bytes": photo("cat"), "path": "cat.jpg"}
    folder = given(url="http://x", caption="A cat.")
    assert refused(folder) == (
        f"a.parquet of {folder} has addresses of pictures (url), and nothing is ever fetched: download them with "
        "img2dataset and give what it writes"
    )
    assert refused(given(left=picture, right=picture, text="Cats.")) == (
        "a.parquet has several columns of pictures (left, right): name those wanted with --image-key"
    )
    assert refused(given(image=picture, label=3)) == (
        f"a.parquet of {folder} is not recognised as captions, questions or conversations: it has image (picture), "
        "label (other); name columns with --image-key and --text-key, --question-key and --answer-key, or "
        "--conversations-key"
    )
    given(image=picture, txet="A cat.")
    assert refused(folder, {"text_key": "text"}) == (
        "a.parquet has no column 'text': it has image (picture), txet (text) ('txet' may be meant)"
    )
    given(image=picture, question="What?", answer=3)
    assert "answer (other)" in refused(folder, {"question_key": "question"})


def test_splits(folder: Path) -> None:
    for name in ("validation", "test"):
        json_lines(folder / f"{name}.jsonl", [GOOD])
    assert refused(folder) == f"{folder} has no split 'train': it has test, validation; name one with --split"
    plan = plan_only("hub", {"split": "val"}, folder, folder.parent / "out", IngestSettings(workers=1)).plan
    assert [part.file for part in plan.parts] == ["validation.jsonl"]
    assert Note("passed-over", "tables of the split test") in plan.notes
    json_lines(folder / "train.jsonl", [{"text": "Only a text."}])
    for name in ("cat.jpg", "coins.jpg"):
        (folder / name).unlink()
    assert "holds texts of several splits" in refused(folder)


def test_pictures_that_are_looked_for_in_a_wrong_place(folder: Path, out: Path) -> None:
    json_lines(folder / "a.jsonl", [{"image": "train2017/cat.jpg", "text": "A cat."}, GOOD])
    ingest("hub", folder, out, max_bad=1)
    assert not [note for note in read_manifest(out).account if note.kind == "missing"]
    json_lines(folder / "a.jsonl", [{"image": "train2017/cat.jpg", "text": "A cat."}])
    notes = plan_notes(folder)
    text = "none of the first images is where it is looked for (train2017/cat.jpg): there is cat.jpg, for instance"
    assert Note("missing", text) in notes


def plan_notes(folder: Path) -> list[Note]:
    return make_source("hub", {}).notes(folder)


def test_settings_that_do_not_go_together() -> None:
    with pytest.raises(SettingError, match="a row cannot be both of captions and of conversations"):
        make_source("hub", {"text_key": "a", "conversations_key": "b"})
    with pytest.raises(SettingError, match=r"needs \{text\} once"):
        make_source("hub", {"turn": "{ROLE}"})
    with pytest.raises(SettingError, match=r"needs \{question\}, and \{answer\} once"):
        make_source("hub", {"template": "{question}"})
    with pytest.raises(SettingError, match="family 'captoins' is no row"):
        make_source("hub", {"family": "captoins"})


def test_interleaved_archives(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images before and behind their list, named twice, in folders with dots; and what is wrong."""

    def page(images: list[Any], said: list[Any]) -> bytes:
        return json.dumps({"images": images, "texts": said}).encode()

    members = {
        "v1.0/a.b.jpg": photo("cat"),
        "v1.0/a.json": page(["b.jpg", None, "b.jpg"], [None, "Twice the same.", None]),
        "b.json": page(["absent.jpg", None, "c.png"], [None, "Only one.", None]),
        "b.c.png": photo("coins"),
        "c.json": page(["x.jpg"], []),
        "d.json": b'{"images": "x.jpg", "texts": []}',
        "e.json": page(["../a.jpg", None], [None, "No image at all."]),
        "f.json": page([None], ["A text alone."]),
    }
    make_tar(tmp_path / "in" / "a.tar", members, links={"g.json": "f.json"})
    ingest("m3w", tmp_path / "in", out, max_bad=6)
    assert [(record.source_episode_id, record.sequence.num_images) for record in records(out)] == [
        ("v1.0/a", 2),
        ("b", 1),
        ("f", 0),
    ]
    assert dead_letters(out) == {
        "the image is missing": 2,
        "the page's images and texts are not lists of one length": 1,
        "the .json member lists no images and texts (Expected `array`, got `str` - at `$.images`)": 1,
        "none of the page's images can be used": 1,
        "a link in the archive is not followed": 1,
    }
    assert pages.MAX_IMAGES == 512


def test_pictures_alone(folder: Path) -> None:
    assert refused(folder).startswith(f"{folder} has 2 pictures and nothing that says what is on them: tables (")
