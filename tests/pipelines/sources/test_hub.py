"""The Hub's layouts: every format against plain numpy, what was recognised, and what holds for all of them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from sentencepiece import SentencePieceProcessor

from gato_pipelines.documents.formats import ranges
from gato_pipelines.registry.find import make_source
from gato_schemas.account import Note
from gato_schemas.dataset import TaskInfo, read_manifest
from tests.cli.command import run
from tests.document_inputs import dead_letters, ingest, records, texts
from tests.pipelines.sources.hub_reference import HUB, REFERENCES, assert_same, column, file, member, pairs, reference
from tests.pipelines.sources.reference import IMAGE, MODEL, TEXT, Tokens
from tests.rlds_inputs import digests

FOLDERS = ("hf_caption", "hf_conversations", "hf_images_texts", "imagefolder", "llava", "energon_interleaved")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.mark.parametrize("folder", REFERENCES)
def test_tokens_are_those_of_plain_numpy(folder: str, out: Path) -> None:
    ingest("hub", HUB / folder, out)
    found, wanted = records(out), REFERENCES[folder]()
    assert dead_letters(out) == {}
    assert len(found) == len(wanted)
    for record, parts in zip(found, wanted, strict=True):
        if folder in ("hf_caption", "imagefolder"):  # whose pairs are shuffled within a part
            names = [text for pair in pairs(parts) for text in [pair[1][1]]]
            order = [names.index(text) for text in texts(record)]
            assert sorted(order) == list(range(len(names)))
            parts = [part for number in order for part in pairs(parts)[number]]
        assert_same(record, reference(parts))


@pytest.mark.parametrize("source", ["hub", "m3w"])
def test_interleaved_archives_are_those_of_plain_numpy(source: str, out: Path) -> None:
    ingest(source, HUB / "energon_interleaved", out)
    model = SentencePieceProcessor(model_file=str(MODEL))
    wanted: list[list[bytes | str]] = [
        ["A cat lives in the house.", member("sample_000001.2345ew.jpg"), "It sleeps most of the day."],
        [
            member("sample_000002.as23ds.jpg"),
            "First a cup of coffee.",
            member("sample_000002.gd1dtg.jpg"),
            "Then the rocket starts.",
        ],
        ["A page without a picture."],
        ["An astronaut:", member("sample_000004.asf234.jpg")],
    ]
    for record, parts in zip(records(out), wanted, strict=True):
        tokens = Tokens()
        for part in parts:
            piece = reference([part])
            tokens.add(piece.ids, IMAGE if isinstance(part, bytes) else TEXT, int(isinstance(part, str)))
            tokens.patches += piece.patches
        tokens.add([model.eos_id()], TEXT, 1)
        assert_same(record, tokens)
    notes = [note.text for note in read_manifest(out).account if note.kind == "read"]
    assert "all archives are read, whatever split .nv-meta/split.yaml puts them into" in notes


def test_compressed_lines_of_several_streams(out: Path) -> None:
    ingest("massivetext", HUB / "jsonl_compressed", out)
    found = [text for record in records(out) for text in texts(record)]
    assert [text[:11] for text in found] == [f"Document {number}." for number in range(5)]
    assert found[1] == "Document 1. Grüße aus Zürich: «Æther» und 東京."


@pytest.mark.parametrize("folder", FOLDERS)
def test_inspect_and_verify_pass(folder: str, out: Path) -> None:
    ingest("hub", HUB / folder, out)
    for command in (("verify",), ("inspect", "dataset")):
        assert run(*command, out).exit_code == 0


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("hf_caption", "recognised as captions in 'caption', pictures in 'image' (parquet)"),
        ("hf_conversations", "recognised as conversations in 'conversations', pictures in 'image' (parquet)"),
        ("hf_images_texts", "recognised as conversations in 'texts', pictures in 'images' (parquet)"),
        ("imagefolder", "recognised as captions in 'text', pictures in 'file_name' (JSON lines)"),
        ("llava", "recognised as conversations in 'conversations', pictures in 'image' (JSON lists)"),
        ("energon_interleaved", "recognised as archives of interleaved pages"),
        ("jsonl_compressed", "recognised as texts in 'text'"),
    ],
)
def test_a_dry_run_says_what_was_recognised(folder: str, said: str, out: Path) -> None:
    shown = run("ingest", "hub", HUB / folder, "--out", out, "--dry-run").stdout.splitlines()
    assert [line for line in shown if "recognised" in line] == [f"read: {said}"]
    assert not out.exists()


def test_a_dry_run_to_the_letter(out: Path) -> None:
    shown = run("ingest", "hub", HUB / "llava", "--out", out, "--dry-run")
    assert shown.stdout.splitlines() == [
        "task llava: 4 documents",
        "read: recognised as conversations in 'conversations', pictures in 'image' (JSON lists)",
        "left out: columns that are no tokens: model (1)",
        f"1 part would be written to {out}; nothing was written",
    ]


def test_other_layouts_of_documents_are_handed_on(tmp_path: Path) -> None:
    for folder, source, settings in (
        ("webdataset", "align", {}),
        ("obelics", "m3w", {}),
        ("mmc4", "m3w", {"images": str(HUB.parents[1] / "photos")}),
        ("text/paragraphs.jsonl", "massivetext", {}),
    ):
        given, task = HUB.parent / folder, {"task": "same"}
        ingest(source, given, tmp_path / source / folder, {**settings, **task})
        ingest("hub", given, tmp_path / "hub" / folder, {**settings, **task})
        found = [records(tmp_path / each / folder) for each in (source, "hub")]
        assert len(found[0]) == len(found[1]) > 0
        assert all((a.sequence.tokens == b.sequence.tokens).all() for a, b in zip(*found, strict=True))


def test_a_moved_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for number, folder in enumerate(("hf_caption", "llava")):
        shutil.copytree(HUB / folder, tmp_path / "moved" / folder)
        for place, given in (("a", HUB / folder), ("b", tmp_path / "moved" / folder)):
            ingest("hub", given, tmp_path / place / str(number))
        assert digests(tmp_path / "a" / str(number)) == digests(tmp_path / "b" / str(number))
        assert str(tmp_path).encode() not in (tmp_path / "b" / str(number) / "dataset.json").read_bytes()


def save_to_disk(table: pa.Table, folder: Path) -> None:
    """What `datasets.Dataset.save_to_disk` writes: Arrow's stream format, and which files are the data."""
    folder.mkdir(parents=True)
    path = str(folder / "data-00000-of-00001.arrow")
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    (folder / "dataset_info.json").write_text("{}")


def test_arrow_of_save_to_disk_is_what_parquet_is(tmp_path: Path) -> None:
    for name in ("hf_conversations", "hf_images_texts"):
        (path,) = (HUB / name / "data").iterdir()
        folder = tmp_path / "disk" / name
        for split in ("train", "test"):
            save_to_disk(pq.read_table(path), folder / split)
        (folder / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
        (folder / "train" / "cache-1234.arrow").write_bytes(b"left over")
        ingest("hub", folder, tmp_path / f"{name}-disk")
        ingest("hub", HUB / name, tmp_path / name)
        for one, other in zip(records(tmp_path / name), records(tmp_path / f"{name}-disk"), strict=True):
            assert (one.sequence.tokens == other.sequence.tokens).all()
            assert (one.sequence.patches == other.sequence.patches).all()
        account = read_manifest(tmp_path / f"{name}-disk").account
        assert Note("passed-over", "tables of the split test") in account


def test_parts_are_many_and_their_rows_are_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of row groups, ranges of lines and of the entries of a list give every row once."""
    monkeypatch.setattr(ranges, "PART_BYTES", 600)
    rows = column("hf_conversations", "conversations")
    folder = tmp_path / "in"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "0.png").write_bytes(file("imagefolder/train/0002.png"))
    listed = [{"id": n, "image": "0.png", "conversations": rows[n % 4]} for n in range(12)]
    table = pa.Table.from_pylist([{**row, "image": {"bytes": None, "path": "0.png"}} for row in listed])
    pq.write_table(table, folder / "a.parquet", row_group_size=3)
    (folder / "b.jsonl").write_text("".join(json.dumps(row) + "\n" for row in listed))
    (folder / "c.json").write_text(json.dumps(listed, indent=1))
    source = make_source("hub", {})
    parts = source.parts(folder)
    for name in ("a.parquet", "b.jsonl", "c.json"):
        mine = [source.scan(folder, part).part for part in parts if part.file == name]
        items = [list(source.read(folder, part, TaskInfo(observations=[], actions=[]))) for part in mine]
        assert len(mine) > 2
        assert [len(found) for found in items] == [part.count for part in mine]
        read = [item.content.source_episode_id for found in items for item in found if item.content is not None]
        assert read == [str(n) for n in range(12)]


def test_settings_and_the_shares_of_the_loss(tmp_path: Path) -> None:
    ingest("hub", HUB / "llava", tmp_path / "all", {"loss_on": "all"})
    ingest("hub", HUB / "llava", tmp_path / "answers", {"turn": "<{role}>{text}</s>"})
    whole, answers = records(tmp_path / "all")[2], records(tmp_path / "answers")[2]
    assert texts(whole, trained=True) == texts(whole)
    assert texts(answers) == [
        "<user>Answer with one word. What lifts off?</s> <assistant>Rocket</s> "
        "<user>Is it day or night?\nAnswer with one word.</s> <assistant>Night</s>"
    ]
    assert texts(answers, trained=True) == ["Rocket</s>", "Night</s>"]


def test_names_of_columns(tmp_path: Path, out: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    names = {"front": "0001.jpg", "back": "0002.png"}
    for name in names.values():
        (folder / name).write_bytes(file(f"imagefolder/train/{name}"))
    rows = [{"ask": "What is it?", "say": ["A cat.", "Coins.", "Coins."], "note": "nothing", **names}]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings: dict[str, Any] = {"image_key": ("front", "back"), "question_key": "ask", "answer_key": "say"}
    ingest("hub", folder, out, settings)
    (record,) = records(out)
    assert record.sequence.num_images == 2
    assert texts(record) == ["Q: What is it? A: Coins."]
    assert texts(record, trained=True) == ["Coins."]
    assert [note.text for note in read_manifest(out).account] == [
        "recognised as questions in 'ask', answers in 'say', pictures in 'front' and 'back' (JSON lines)",
        "columns that are no tokens: note",
    ]


@pytest.mark.parametrize("suffix", ["txt", "json"])
def test_texts_beside_pictures(tmp_path: Path, out: Path, suffix: str) -> None:
    """What img2dataset writes into folders, and what people write by hand."""
    folder = tmp_path / "in" / "00000"
    folder.mkdir(parents=True)
    for number in range(7):
        (folder / f"{number:09d}.jpg").write_bytes(file("imagefolder/train/0001.jpg"))
        said = json.dumps({"caption": f"Cat {number}.", "url": "x"}) if suffix == "json" else f"Cat {number}.\n"
        (folder / f"{number:09d}.{suffix}").write_text(said)
    (folder / "alone.jpg").touch()
    pq.write_table(pa.table({"url": ["http://x"], "caption": ["Cat 0."]}), tmp_path / "in" / "00000.parquet")
    (tmp_path / "in" / "00000_stats.json").write_text('{"count": 7}')
    ingest("hub", tmp_path / "in", out)
    found = sorted(text for record in records(out) for text in texts(record))
    assert found == [f"Cat {number}." for number in range(7)]
    assert [record.sequence.num_images for record in records(out)] == [5, 2]
    assert [note.text for note in read_manifest(out).account] == [
        "recognised as captions: pictures with a text beside each",
        "pictures without a text of their own beside them",
        ".parquet files, such as 00000.parquet",
        ".json files, such as 00000_stats.json",
    ]


def test_csv_of_an_image_folder(tmp_path: Path, out: Path) -> None:
    shutil.copytree(HUB / "imagefolder" / "train", tmp_path / "in")
    (tmp_path / "in" / "metadata.jsonl").unlink()
    (tmp_path / "in" / "metadata.csv").write_text(
        'file_name,text\n0001.jpg,"A cat, green-eyed."\nmore/0003.jpg,\n0002.png,"Two\nlines."\nonly one\n'
    )
    ingest("hub", tmp_path / "in", out, max_bad=2)
    assert sorted(text for record in records(out) for text in texts(record)) == ["A cat, green-eyed.", "Two\nlines."]
    assert dead_letters(out) == {"the text is empty": 1, "the row has 1 fields, the first line 2": 1}
