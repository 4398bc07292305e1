"""Text corpora in every container: the same documents, whatever the file, the ranges and the workers."""

import bz2
import csv
import gzip
import json
import lzma
import random
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from gato_data.errors import InputError, OutputError, SettingError
from gato_data.tokenizers.text import TextTokenizer
from gato_pipelines.documents.formats import ranges
from gato_pipelines.documents.texts import passages as lines
from gato_pipelines.registry.find import make_source
from gato_schemas.account import Note
from gato_schemas.dataset import read_manifest
from gato_schemas.tfrecord import frame
from gato_schemas.wire import binary, encode_example
from tests.cli.command import error_of, run
from tests.document_inputs import dead_letters, ingest, json_lines, records, texts
from tests.rlds_inputs import digests

REPOSITORY = Path(__file__).parents[3]
DOCUMENTS = [text for text in (REPOSITORY / "LICENSE").read_text().split("\n\n") if text.strip()] + ["東京, Größe 🚀"]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture(
    params=[
        "jsonl",
        "json.gz",
        "jsonl.zst",
        "jsonl.xz",
        "jsonl.bz2",
        "jsonl.zip",
        "tar.gz",
        "csv",
        "parquet",
        "tfrecord",
        "txt",
        "txts",
    ]
)
def corpus(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The same documents in one kind of file."""
    path = tmp_path / f"corpus.{request.param}"
    plain = json_lines(tmp_path / "plain", ({"text": text, "url": "x"} for text in DOCUMENTS)).read_bytes()
    (tmp_path / "plain").unlink()
    if request.param == "jsonl":
        path.write_bytes(plain)
    elif request.param == "json.gz":
        path.write_bytes(gzip.compress(plain))
    elif request.param in ("jsonl.xz", "jsonl.bz2"):
        path.write_bytes((lzma if request.param == "jsonl.xz" else bz2).compress(plain))
    elif request.param == "tar.gz":
        (tmp_path / "0.txt").write_text(DOCUMENTS[0])
        (tmp_path / "1.jsonl").write_bytes(plain.split(b"\n", 1)[1])
        with tarfile.open(path, "w:gz") as archive:
            for name in ("0.txt", "1.jsonl"):
                archive.add(tmp_path / name, f"docs/{name}")
    elif request.param == "csv":
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([("n", "text"), *enumerate(DOCUMENTS)])
    elif request.param == "jsonl.zst":
        with pa.CompressedOutputStream(pa.OSFile(str(path), "wb"), "zstd") as stream:
            stream.write(plain)
    elif request.param == "jsonl.zip":
        import zipfile

        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("docs.jsonl", plain)
    elif request.param == "parquet":
        pq.write_table(pa.table({"text": DOCUMENTS, "n": range(len(DOCUMENTS))}), path, row_group_size=7)
    elif request.param == "tfrecord":
        path.mkdir()
        for split in ("train", "test"):
            with (path / f"c4-{split}.tfrecord-00000-of-00001").open("wb") as file:
                for text in DOCUMENTS if split == "train" else ["another split"]:
                    data = encode_example({"text": binary([text.encode()])})[0]
                    header, footer = frame(data)
                    file.write(header + data + footer)
    elif request.param == "txt":
        path.write_bytes("\n<|end|>".join(DOCUMENTS).encode())
    else:
        path.mkdir()
        for number, text in enumerate(DOCUMENTS):
            (path / f"{number:03d}.txt").write_text(text)
    return path


def settings_of(path: Path) -> dict[str, str]:
    return {"separator": r"\n<|end|>"} if path.suffix == ".txt" else {}


def test_every_container_gives_the_same_tokens(corpus: Path, out: Path) -> None:
    summary = ingest("massivetext", corpus, out, settings_of(corpus))
    model = TextTokenizer.default()
    found = records(out)
    assert [texts(record) for record in found] == [[text] for text in DOCUMENTS]
    for record, text in zip(found, DOCUMENTS, strict=True):
        sequence = record.sequence
        assert sequence.tokens.tolist() == [*model.encode([text])[0].tolist(), model.eos_id]
        assert sequence.loss_mask.all()
        assert sequence.num_images == sequence.num_timesteps == 0
    assert summary.manifest.family == "massivetext"
    assert summary.manifest.splits["train"].totals.episodes == len(DOCUMENTS)


def test_ranges_do_not_change_the_documents(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest("massivetext", corpus, tmp_path / "whole", settings_of(corpus))
    monkeypatch.setattr(ranges, "PART_BYTES", 1500)
    ingest("massivetext", corpus, tmp_path / "shared", settings_of(corpus))
    whole, shared = records(tmp_path / "whole"), records(tmp_path / "shared")
    assert [texts(record) for record in whole] == [texts(record) for record in shared]
    shards = len(read_manifest(tmp_path / "shared").splits["train"].shards)
    assert shards == 1 if corpus.suffix in (".gz", ".zst", ".xz", ".bz2", ".zip", ".csv", ".tfrecord") else shards > 3


@pytest.mark.parametrize("corpus", ["jsonl"], indirect=True)
def test_workers_do_not_change_a_byte(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "PART_BYTES", 1500)
    for name, workers in (("one", 1), ("two", 2)):
        ingest("massivetext", corpus, tmp_path / name / "data", {"dedupe": "exact"}, workers=workers)
    assert digests(tmp_path / "one" / "data") == digests(tmp_path / "two" / "data")


def test_only_the_first_documents(corpus: Path, out: Path) -> None:
    ingest("massivetext", corpus, out, settings_of(corpus), max_episodes=3)
    assert [texts(record) for record in records(out)] == [[text] for text in DOCUMENTS[:3]]


def test_a_folder_of_all_kinds(tmp_path: Path, out: Path) -> None:
    folder = tmp_path / "corpus"
    (folder / "books").mkdir(parents=True)
    (folder / "books" / "a.txt").write_text("a book")
    (folder / "books" / "b.txt").write_text("another book")
    json_lines(folder / "web.jsonl", [{"text": "a page", "id": "page/1"}])
    pq.write_table(pa.table({"text": ["a row"]}), folder / "rows.parquet")
    (folder / "README.md").write_text("not read")
    ingest("massivetext", folder, out)
    found = records(out)
    assert [texts(record)[0] for record in found] == ["a row", "a page", "a book", "another book"]
    assert [record.source_episode_id for record in found] == ["", "page/1", "", ""]
    assert [record.episode_id for record in found] == [f"massivetext/{n}" for n in ("00000/000000", "00001/000000")] + [
        "massivetext/00002/000000",
        "massivetext/00002/000001",
    ]


def test_another_task_and_key(tmp_path: Path, out: Path) -> None:
    path = json_lines(tmp_path / "a.jsonl", [{"page": {"body": "nested"}}])
    ingest("massivetext", path, out, {"text_key": "page.body", "task": "wiki", "end_of_text": False})
    record = records(out)[0]
    assert (record.task, texts(record)) == ("wiki", ["nested"])
    assert record.sequence.tokens[-1] != TextTokenizer.default().eos_id


class TestLongTexts:
    def test_a_long_text_is_one_episode_in_chunks(
        self, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from gato_data.shards import chunks

        monkeypatch.setattr(chunks, "CHUNK_BYTES", 2000)
        text = "\n\n".join(DOCUMENTS)
        (tmp_path / "book.txt").write_text(text)
        summary = ingest("massivetext", tmp_path / "book.txt", out)
        found = records(out)
        assert len(found) == found[0].num_chunks > 2
        assert {record.episode_id for record in found} == {"massivetext/00000/000000"}
        assert [record.sequence.num_tokens for record in found[:-1]] == [1000] * (len(found) - 1)
        tokens = np.concatenate([record.sequence.tokens for record in found])
        assert TextTokenizer.default().decode(tokens[:-1]) == text
        assert summary.manifest.splits["train"].totals.episodes == 1

    def test_a_text_that_is_too_long_is_left_out(
        self, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from gato_pipelines.documents.texts import records as module

        monkeypatch.setattr(lines, "MAX_PASSAGE_BYTES", 5000)
        monkeypatch.setattr(module, "MAX_PASSAGE_BYTES", 5000)
        path = json_lines(tmp_path / "a.jsonl", [{"text": "x"}, {"text": "x" * 6000}, {"text": "y"}])
        ingest("massivetext", path, out, max_bad=1)
        assert dead_letters(out) == {"the document is longer than 64 MiB": 1}
        assert len(records(out)) == 2


class TestDuplicates:
    ROWS = ("one", "two", "one", "", "three", "two", "Two")

    @pytest.mark.parametrize("part_bytes", [1 << 26, 20])
    @pytest.mark.parametrize("kind", ["jsonl", "txt", "parquet"])
    def test_the_first_stays(
        self, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch, kind: str, part_bytes: int
    ) -> None:
        monkeypatch.setattr(ranges, "PART_BYTES", part_bytes)
        path = tmp_path / f"a.{kind}"
        if kind == "jsonl":
            json_lines(path, [{"text": text} for text in self.ROWS])
        elif kind == "txt":
            path.write_text("|".join(self.ROWS[:3] + self.ROWS[4:]))
        else:
            pq.write_table(pa.table({"text": self.ROWS}), path, row_group_size=2)
        said: list[str] = []
        settings = {"dedupe": "exact", **({"separator": "|"} if kind == "txt" else {})}
        from gato_pipelines.ingest.run import IngestSettings, run

        run("massivetext", settings, path, out, IngestSettings(workers=1, max_bad=1), report=said.append)
        assert [texts(record)[0] for record in records(out)] == ["one", "two", "three", "Two"]
        assert "2 documents occurred before and are left out" in said
        assert read_manifest(out).account == [Note("left-out", "documents that occurred before, to the letter", 2)]
        assert sum(dead_letters(out).values()) == (0 if kind == "txt" else 1)
        assert read_manifest(out).source.settings["dedupe"] == "exact"

    def test_without_the_option_all_stay(self, tmp_path: Path, out: Path) -> None:
        ingest("massivetext", json_lines(tmp_path / "a.jsonl", [{"text": "x"}, {"text": "x"}]), out)
        assert len(records(out)) == 2

    def test_across_inputs(self, tmp_path: Path, out: Path) -> None:
        from gato_pipelines.ingest.run import IngestSettings, run

        paths = [json_lines(tmp_path / f"{n}.jsonl", [{"text": "same"}, {"text": str(n)}]) for n in range(3)]
        run("massivetext", {"dedupe": "exact"}, paths, out, IngestSettings(workers=1))
        assert [texts(record)[0] for record in records(out)] == ["same", "0", "1", "2"]


class TestBad:
    def test_bad_documents_by_reason(self, tmp_path: Path, out: Path) -> None:
        path = tmp_path / "a.jsonl"
        path.write_bytes(
            b'{"text": "good"}\n{"text": ""}\n{"text": "  "}\n{"text": "gr\xfcn"}\n'
            b'no json\n{"title": "x"}\n{"text": "end"}'
        )
        with pytest.raises(OutputError, match="5 of 7 episodes could not be used"):
            ingest("massivetext", path, out)
        ingest("massivetext", path, out, max_bad=5)
        assert dead_letters(out) == {
            "the text is empty": 2,
            "the text is not valid UTF-8": 1,
            "the line is not JSON (invalid character)": 1,
            "there is no text under 'text': the object has 'title'": 1,
        }
        assert [texts(record)[0] for record in records(out)] == ["good", "end"]

    def test_a_compressed_file_that_is_cut_off_gives_what_comes_before(self, tmp_path: Path, out: Path) -> None:
        rng = np.random.default_rng(0)
        rows = [{"text": " ".join(map(str, rng.integers(0, 10**9, 2000)))} for _ in range(200)]
        path = tmp_path / "a.jsonl.gz"
        data = gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())
        path.write_bytes(data[: len(data) * 3 // 4])
        ingest("massivetext", path, out, max_bad=1)
        assert list(dead_letters(out)) == ["the rest of the file cannot be read (it is cut off)"]
        assert 50 < len(records(out)) < 200

    def test_everything_bad_is_a_failure(self, tmp_path: Path, out: Path) -> None:
        path = json_lines(tmp_path / "a.jsonl", [{"body": "x"}] * 3)
        with pytest.raises(OutputError, match=r"no episode could be used .*there is no text under 'text'"):
            ingest("massivetext", path, out, max_bad=100)

    def test_an_empty_file_is_no_corpus(self, tmp_path: Path, out: Path) -> None:
        (tmp_path / "a.jsonl").touch()
        with pytest.raises(InputError, match="the input has no episode"):
            ingest("massivetext", tmp_path / "a.jsonl", out)

    @pytest.mark.parametrize("key", ["", "a..b", ".a"])
    def test_a_key_that_is_none(self, key: str) -> None:
        with pytest.raises(SettingError, match="is no key"):
            make_source("massivetext", {"text_key": key})


def test_a_large_compressed_file_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gato_pipelines.sources import massivetext

    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "x"}\n'))
    source = make_source("massivetext", {})
    part = source.parts(path)[0]
    assert source.scan(path, part).notes == []
    monkeypatch.setattr(massivetext, "NOTED_BYTES", 1)
    assert source.scan(path, part).notes == [
        Note("read", "large compressed files are one part each, which one worker reads")
    ]


def test_very_many_small_files_share_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(25):
        (tmp_path / f"{number:02d}.txt").write_text("x")
    monkeypatch.setattr(ranges, "MAX_FILES_OF_PART", 10)
    parts = make_source("massivetext", {}).parts(tmp_path)
    assert [(part.first, part.count) for part in parts] == [(0, 10), (10, 10), (20, 5)]


def test_very_large_inputs_make_larger_parts(tmp_path: Path) -> None:
    with (tmp_path / "a.jsonl").open("wb") as file:
        file.truncate(1 << 40)
    parts = make_source("massivetext", {}).parts(tmp_path / "a.jsonl")
    assert len(parts) == ranges.MAX_PARTS
    assert sum(part.size for part in parts) == 1 << 40
    assert [part.first for part in parts[:2]] == [0, 1 << 28]


class TestFolders:
    """What a folder holds is read, or passed over aloud; through the command."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "corpus"
        (folder / "deep").mkdir(parents=True)
        lines = b"".join(json.dumps({"text": text}).encode() + b"\n" for text in ("one", "two"))
        (folder / "a.jsonl.xz").write_bytes(lzma.compress(lines))
        (folder / "deep" / "b.jsonl.bz2").write_bytes(bz2.compress(lines))
        (folder / "c.csv").write_text('text\n"three, four"\n')
        (folder / "labels.csv").write_text("file,label\nx,1\n")
        (folder / "d.txt").write_text("five")
        (folder / "e.arrow").write_bytes(b"ARROW1")
        for name in ("LICENSE.txt", "robots.txt", ".gitattributes", "README.md"):
            (folder / name).write_text("not a document")
        with tarfile.open(folder / "f.tgz", "w:gz") as archive:
            for name in ("d.txt", "LICENSE.txt", "e.arrow"):
                archive.add(folder / name, name)
        return folder

    def test_everything_is_read_or_named(self, folder: Path, out: Path) -> None:
        done = run("ingest", "massivetext", folder, "--out", out)
        assert done.exit_code == 0, done.stderr
        found = sorted(text for record in records(out) for text in texts(record))
        assert found == ["five", "five", "one", "one", "three, four", "two", "two"]
        assert [(note.kind, note.text, note.count) for note in read_manifest(out).account] == [
            ("passed-over", "files about the others, such as LICENSE.txt", 3),
            ("passed-over", ".arrow files, such as e.arrow", 1),
            ("passed-over", "files about the others in archives, such as LICENSE.txt", 1),
            ("passed-over", ".arrow files in archives, such as e.arrow", 1),
            ("passed-over", "the first line of labels.csv names no column 'text': it has 'file', 'label'", 1),
        ]
        assert "passed over" in done.stdout
        assert (
            "passed over: .arrow files, such as e.arrow"
            in run("ingest", "massivetext", folder, "--out", out.with_name("dry"), "--dry-run").stdout
        )

    def test_a_file_that_is_named_is_read(self, folder: Path, out: Path) -> None:
        ingest("massivetext", folder / "LICENSE.txt", out)
        assert [texts(record) for record in records(out)] == [["not a document"]]

    @pytest.mark.parametrize("name", ["labels.csv", "labels"])
    def test_tables_alone_have_to_have_the_column(self, folder: Path, out: Path, name: str) -> None:
        (folder / "labels").mkdir()
        (folder / "labels" / "x.tsv").write_text("body\tn\nx\t1\n")
        assert "names no column 'text': it has" in error_of(run("ingest", "massivetext", folder / name, "--out", out))


class TestDamage:
    """Everything before the damage, whatever the file; scan and read agree."""

    ROWS = tuple(f"{number} {random.Random(number).getrandbits(900)}" for number in range(900))

    @pytest.mark.parametrize(
        ("kind", "dedupe"),
        [
            *((kind, "off") for kind in ("jsonl.gz", "jsonl.zst", "jsonl.xz", "jsonl.bz2", "txt.gz", "tar.gz")),
            ("csv.gz", "exact"),
        ],
    )
    def test_the_rest_is_one_dead_letter(self, tmp_path: Path, out: Path, kind: str, dedupe: str) -> None:
        lines = "".join(json.dumps({"text": row}) + "\n" for row in self.ROWS)
        plain = {
            "csv.gz": "text\n" + "\n".join(self.ROWS),
            "txt.gz": "|".join(self.ROWS),
        }.get(kind, lines).encode()
        if kind == "tar.gz":
            (tmp_path / "docs.jsonl").write_bytes(plain)
            with tarfile.open(tmp_path / "a.tar", "w") as archive:
                archive.add(tmp_path / "docs.jsonl", "docs.jsonl")
            plain = (tmp_path / "a.tar").read_bytes()
        pack = {"zst": zstandard.compress, "xz": lzma.compress, "bz2": lambda data: bz2.compress(data, 1)}
        packed = pack.get(kind.rpartition(".")[2], gzip.compress)(plain)
        path = tmp_path / f"a.{kind}"
        path.write_bytes(packed[: len(packed) * 4 // 5])
        settings = {"dedupe": dedupe, **({"separator": "|"} if kind == "txt.gz" else {})}
        ingest("massivetext", path, out, settings, max_bad=1)
        model = TextTokenizer.default()
        found = [model.decode(record.sequence.tokens) for record in records(out)]
        assert found == list(self.ROWS[: len(found)])
        assert 200 < len(found) < len(self.ROWS) - 1
        assert dead_letters(out) == {"the rest of the file cannot be read (it is cut off)": 1}

    def test_a_parquet_file_says_how_many_rows_it_costs(self, tmp_path: Path, out: Path) -> None:
        path = tmp_path / "a.parquet"
        pq.write_table(pa.table({"text": self.ROWS[:20]}), path, row_group_size=5)
        data = bytearray(path.read_bytes())
        column = pq.ParquetFile(path).metadata.row_group(2).column(0)
        start = column.dictionary_page_offset or column.data_page_offset
        data[start : start + 20] = bytes(20)
        path.write_bytes(data)
        ingest("massivetext", path, out, max_bad=10)
        assert [texts(record)[0] for record in records(out)] == list(self.ROWS[:10])
        assert list(dead_letters(out).values()) == [10]

    def test_a_window_that_is_too_long_is_refused_with_advice(self, tmp_path: Path, out: Path) -> None:
        parameters = zstandard.ZstdCompressionParameters(window_log=28, hash_log=10, chain_log=10)
        compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        path = tmp_path / "a.jsonl.zst"
        path.write_bytes(compressor.compress(b'{"text": "one"}\n') + compressor.flush())
        said = error_of(run("ingest", "massivetext", path, "--out", out))
        assert "give a larger --max-window, in MiB" in said
        ingest("massivetext", path, out, {"max_window": 256})
        assert len(records(out)) == 1
        with pytest.raises(SettingError, match="--max-window 0 cannot be"):
            make_source("massivetext", {"max_window": 0})


def test_markdown_is_text_and_the_card_of_a_dataset_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "README.md").write_text("A card.")
    (folder / "page.md").write_text("# A page\n\nWith *text*.")
    ingest("massivetext", folder, tmp_path / "out")
    assert [text for record in records(tmp_path / "out") for text in texts(record)] == ["# A page\n\nWith *text*."]
    assert Note("passed-over", "files about the others, such as README.md") in read_manifest(tmp_path / "out").account
