"""Git LFS pointers instead of files: told before anything is planned, whatever the files would have been."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from gato_cli.main import cli
from gato_data.errors import EpisodeError, InputError
from gato_data.image_fit import ImageFit
from gato_pipelines.files.git_lfs import fetched_parts, is_pointer
from gato_pipelines.images.document import decode_image
from gato_pipelines.registry.find import make_source
from gato_schemas.account import Note
from tests.document_inputs import coco_name, ingest, make_coco, make_tar, make_tsv, records, six_samples

DATA = Path(__file__).parents[2] / "data"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"6" * 64 + b"\nsize 146946961\n"


@pytest.fixture
def tars(tmp_path: Path) -> Path:
    make_tar(tmp_path / "tars" / "00000.tar", six_samples())
    for number in range(1, 5):
        (tmp_path / "tars" / f"{number:05d}.tar").write_bytes(POINTER)
    return tmp_path / "tars"


def test_what_is_a_pointer() -> None:
    assert is_pointer(POINTER)
    assert is_pointer(POINTER.replace(b"\n", b"\r\n"))
    assert not is_pointer(b"a text about version https://git-lfs.github.com/spec/v1")
    assert not is_pointer(POINTER + b"x" * 1024)


def test_archives_are_named_and_nothing_is_written(tars: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["ingest", "align", str(tars), "--out", str(tmp_path / "out"), "--max-bad", "10"])
    assert result.exit_code == 1
    assert (
        f"4 files of {tars} are Git LFS pointers (00001.tar, 00002.tar, 00003.tar, ...): run git lfs pull there, "
        "or go on without them with --allow-missing-shards"
    ) in " ".join(result.output.split())
    assert not (tmp_path / "out" / "dataset.json").exists()


def test_it_can_go_on_and_says_without_what(tars: Path, tmp_path: Path) -> None:
    summary = ingest("align", tars, tmp_path / "out", {"allow_missing_shards": True})
    assert sum(record.sequence.num_images for record in records(tmp_path / "out")) == 6
    assert summary.manifest.dead_letters == 0
    note = Note("missing", "files are Git LFS pointers, whose content was not fetched", 4)
    assert [other for other in summary.manifest.account if other.kind == "missing"] == [note]
    (tars / "00000.tar").unlink()
    with pytest.raises(InputError, match=r"4 files of .* are Git LFS pointers"):
        ingest("align", tars, tmp_path / "nothing", {"allow_missing_shards": True})


@pytest.mark.parametrize(
    ("source", "folder", "file"),
    [
        ("atari", "rlds/rlu_atari", "*.tfrecord*-00000-*"),
        ("atari", "rlds/rlu_atari", "features.json"),
        ("atari", "rlu_raw/Breakout", "run_1-00000-of-00001"),
        ("atari", "jat/atari-breakout", "*.parquet"),
        ("modular-rl", "minari/mujoco/hopper/sample-v0", "main_data.hdf5"),
        ("massivetext", "documents/text", "paragraphs.jsonl"),
        ("massivetext", "documents/text", "paragraphs.txt"),
        ("m3w", "documents/obelics", "*.parquet"),
        ("m3w", "documents/mmc4", "*.jsonl"),
        ("coco-captions", "documents/coco", "captions_train2014.json"),
        ("vqav2", "documents/vqav2", "*questions.json"),
        ("conceptual-captions", "documents/conceptual-captions", "*.tsv"),
    ],
)
def test_every_kind_of_file(tmp_path: Path, source: str, folder: str, file: str) -> None:
    made = Path(shutil.copytree(DATA / folder, tmp_path / "input"))
    (lost,) = made.rglob(file)
    lost.write_bytes(POINTER)
    with pytest.raises(InputError, match=f"Git LFS pointer.*{lost.name}|{lost.name} is a Git LFS pointer"):
        fetched_parts(make_source(source, {}), made)


def test_a_table_whose_columns_are_given(tmp_path: Path) -> None:
    folder = make_tsv(tmp_path / "cc")
    (folder / "captions.tsv").write_bytes(POINTER)
    with pytest.raises(InputError, match=r"captions\.tsv is a Git LFS pointer, not the file itself: run git lfs pull"):
        make_source("conceptual-captions", {"columns": "caption-url"}).parts(folder)


class TestImages:
    def test_all_of_them(self, tmp_path: Path) -> None:
        coco = make_coco(tmp_path / "coco")
        for image in (coco / "train2014").iterdir():
            image.write_bytes(POINTER)
        with pytest.raises(InputError, match="the images of coco are Git LFS pointers, not themselves: run git"):
            make_source("coco-captions", {}).parts(coco)

    @pytest.mark.parametrize("suffix", ["tar", "zip"])
    def test_the_archive_of_them(self, tmp_path: Path, suffix: str) -> None:
        coco = make_coco(tmp_path / "coco")
        (tmp_path / f"images.{suffix}").write_bytes(POINTER)
        with pytest.raises(InputError, match=f"images.{suffix} is a Git LFS pointer, not the file itself"):
            make_source("coco-captions", {"images": str(tmp_path / f"images.{suffix}")}).parts(coco)

    def test_one_of_them(self, tmp_path: Path) -> None:
        coco = make_coco(tmp_path / "coco")
        (coco / "train2014" / coco_name(3)).write_bytes(POINTER)
        assert make_source("coco-captions", {}).parts(coco)
        with pytest.raises(EpisodeError, match="the image is a Git LFS pointer, not the file itself: run git lfs pull"):
            decode_image(POINTER, ImageFit(16, 16))
