"""Episodes of pairs, and COCO captions: from the public formats to records, good and bad input."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gato_data.errors import InputError, OutputError, SettingError
from gato_data.image_fit import ImageFit
from gato_data.tokenizers import image
from gato_pipelines.documents.pairs import tables
from gato_pipelines.images.document import decode_image
from gato_pipelines.registry.find import make_source
from gato_schemas.dataset import read_manifest
from gato_schemas.sequence import Modality
from tests.document_inputs import (
    CAPTIONS,
    NAMES,
    coco_name,
    dead_letters,
    ingest,
    make_coco,
    make_tar,
    photo,
    records,
    texts,
)
from tests.rlds_inputs import digests


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    return make_coco(tmp_path / "coco")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def moved(coco: Path, tmp_path: Path, place: str, prefix: str) -> Path:
    """The pictures in another place, all of whose names begin with the prefix."""
    files = {f"{prefix}{path.name}": path.read_bytes() for path in sorted((coco / "train2014").iterdir())}
    shutil.rmtree(coco / "train2014")
    images = tmp_path / ("images" if place == "folder" else f"images.{place}")
    if place == "tar":
        make_tar(images, files)
    elif place == "zip":
        with zipfile.ZipFile(images, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    else:
        (images / prefix).mkdir(parents=True)
        for name, data in files.items():
            (images / name).write_bytes(data)
    return images


class TestEpisodes:
    def test_five_pairs_image_before_text(self, coco: Path, out: Path) -> None:
        summary = ingest("coco-captions", coco, out)
        first, second, rest = records(out)
        assert [record.sequence.num_images for record in (first, second, rest)] == [5, 5, 2]
        sequence = first.sequence
        runs = np.flatnonzero(np.diff(sequence.modality, prepend=255))
        assert [sequence.modality[at] for at in runs] == [Modality.PATCH, Modality.TEXT] * 5
        assert sequence.num_patches == 5 * 144
        assert sequence.num_tokens < 1024
        assert sequence.num_timesteps == 0
        assert set(np.unique(sequence.position)) == {65533}
        assert (sequence.loss_mask == (sequence.modality == Modality.TEXT)).all()
        assert summary.manifest.family == "coco-captions"
        assert summary.manifest.splits["train"].totals.images == 12

    def test_every_pair_once_and_each_with_its_own_image(self, coco: Path, out: Path) -> None:
        ingest("coco-captions", coco, out)
        shown = {}
        for record in records(out):
            ids = record.source_episode_id.split()
            for name, text, grid in zip(ids, texts(record), record.sequence.image_grid, strict=True):
                shown[name] = (text, image.from_patches(record.sequence.patches, grid))
        assert len(shown) == 12
        for name, (text, pixels) in shown.items():
            picture = NAMES[int(name) // 100]
            assert text == CAPTIONS[picture][int(name) % 100]
            assert (pixels == decode_image(photo(picture), ImageFit(192, 192)).pixels).all()

    def test_one_pictures_captions_stand_apart(self, tmp_path: Path, out: Path) -> None:
        ingest("coco-captions", make_coco(tmp_path / "coco", captions=5), out)
        for record in records(out):
            pictures = [int(name) // 100 for name in record.source_episode_id.split()]
            assert len(set(pictures)) == len(pictures) == 5

    def test_a_text_ends_with_its_piece_unless_not_wanted(self, coco: Path, tmp_path: Path) -> None:
        ingest("coco-captions", coco, tmp_path / "a")
        ingest("coco-captions", coco, tmp_path / "b", {"end_of_text": False})
        with_end, without = records(tmp_path / "a")[0].sequence, records(tmp_path / "b")[0].sequence
        assert with_end.num_tokens == without.num_tokens + 5
        assert np.count_nonzero((with_end.tokens == 2) & (with_end.modality == 0)) == 5
        assert not np.any((without.tokens == 2) & (without.modality == 0))
        assert read_manifest(tmp_path / "b").tokenization["end_of_text_documents"] is False

    def test_settings_of_size_and_number(self, coco: Path, out: Path) -> None:
        settings = {"pairs_per_episode": 4, "image_size": (64, 80), "image_fit": "pad"}
        ingest("coco-captions", coco, out, settings)
        found = records(out)
        assert [record.sequence.num_images for record in found] == [4, 4, 4]
        grid = found[0].sequence.image_grid
        assert (grid[:, 1:3] == (4, 5)).all()
        assert (grid[:, 3] * 80 >= grid[:, 4] * 53).all()
        assert grid[:, 3:].min() < 64

    @pytest.mark.parametrize("encoding", ["zlib", "raw"])
    def test_the_same_bytes_whatever_the_workers_and_parts_do(
        self, coco: Path, tmp_path: Path, encoding: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tables, "PAIRS_PER_PART", 5)
        for name, workers in (("one", 1), ("two", 2)):
            ingest("coco-captions", coco, tmp_path / name / "data", workers=workers, patch_encoding=encoding)
        assert digests(tmp_path / "one" / "data") == digests(tmp_path / "two" / "data")
        assert len(read_manifest(tmp_path / "one" / "data").splits["train"].shards) == 3

    def test_parts_do_not_change_the_episodes(
        self, coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ingest("coco-captions", coco, tmp_path / "one")
        monkeypatch.setattr(tables, "PAIRS_PER_PART", 5)
        ingest("coco-captions", coco, tmp_path / "three")
        one, three = records(tmp_path / "one"), records(tmp_path / "three")
        assert [record.source_episode_id for record in one] == [record.source_episode_id for record in three]
        assert all((a.sequence.patches == b.sequence.patches).all() for a, b in zip(one, three, strict=True))

    def test_only_the_first_episodes(self, coco: Path, tmp_path: Path) -> None:
        ingest("coco-captions", coco, tmp_path / "all")
        ingest("coco-captions", coco, tmp_path / "one", max_episodes=1)
        assert [r.source_episode_id for r in records(tmp_path / "one")] == [
            records(tmp_path / "all")[0].source_episode_id
        ]

    def test_another_seed_is_another_order(self, coco: Path, tmp_path: Path) -> None:
        for seed in (0, 1):
            ingest("coco-captions", coco, tmp_path / str(seed), {"seed": seed})
        first, second = ([record.source_episode_id for record in records(tmp_path / name)] for name in ("0", "1"))
        assert first != second
        assert sorted(" ".join(first).split()) == sorted(" ".join(second).split())

    @pytest.mark.parametrize(("setting", "value"), [("pairs_per_episode", 0), ("image_size", (100, 100))])
    def test_impossible_settings(self, setting: str, value: object) -> None:
        with pytest.raises(SettingError):
            make_source("coco-captions", {setting: value})


class TestCoco:
    def test_karpathys_annotations(self, coco: Path, out: Path) -> None:
        listed = [
            {
                "filepath": "train2014",
                "filename": coco_name(number),
                "imgid": number,
                "split": "train" if number < 5 else "val",
                "sentids": [number],
                "sentences": [{"raw": CAPTIONS[name][0], "sentid": number, "tokens": []}],
            }
            for number, name in enumerate(NAMES)
        ]
        shutil.rmtree(coco / "annotations")
        (coco / "dataset_coco.json").write_text(json.dumps({"images": listed, "dataset": "coco"}))
        ingest("coco-captions", coco, out)
        assert sorted(texts(records(out)[0])) == sorted(CAPTIONS[name][0] for name in NAMES[:5])
        ingest("coco-captions", coco, out, {"split": "train,val"}, overwrite=True)
        assert sum(record.sequence.num_images for record in records(out)) == 6
        with pytest.raises(InputError, match=r"no picture of split 'test': it has train, val"):
            ingest("coco-captions", coco, out, {"split": "test"}, overwrite=True)

    @pytest.mark.parametrize("place", ["folder", "tar", "zip"])
    def test_images_elsewhere(self, coco: Path, tmp_path: Path, out: Path, place: str) -> None:
        images = tmp_path / "elsewhere" / "images"
        images.parent.mkdir()
        (coco / "train2014").rename(images)
        if place == "tar":
            make_tar(images.with_suffix(".tar"), {path.name: path.read_bytes() for path in images.iterdir()})
        if place == "zip":
            with zipfile.ZipFile(images.with_suffix(".zip"), "w") as archive:
                for path in images.iterdir():
                    archive.write(path, f"train2014/{path.name}")
        name = images if place == "folder" else images.with_suffix(f".{place}")
        ingest("coco-captions", coco, out, {"images": str(name)})
        assert sum(record.sequence.num_images for record in records(out)) == 12
        assert read_manifest(out).source.settings["images"] == name.name  # and not where it lies

    def test_the_annotation_file_as_input(self, coco: Path, out: Path) -> None:
        ingest("coco-captions", coco / "annotations" / "captions_train2014.json", out)
        assert sum(record.sequence.num_images for record in records(out)) == 12

    def test_the_layout_of_2017(self, coco: Path, out: Path) -> None:
        old = coco / "annotations" / "captions_train2014.json"
        old.with_name("captions_train2017.json").write_text(old.read_text().replace("COCO_train2014_", ""))
        old.unlink()
        (coco / "train2014").rename(coco / "train2017")
        for path in (coco / "train2017").iterdir():
            path.rename(path.with_name(path.name.removeprefix("COCO_train2014_")))
        ingest("coco-captions", coco, out)
        assert sum(record.sequence.num_images for record in records(out)) == 12

    def test_several_candidates_are_named(self, coco: Path, out: Path) -> None:
        shutil.copy(coco / "annotations/captions_train2014.json", coco / "annotations/captions_train2017.json")
        with pytest.raises(InputError, match=r"captions_train2014\.json, .*captions_train2017\.json\): name one with"):
            ingest("coco-captions", coco, out)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is not annotations of COCO captions"),
            (b"[1, 2]", "Expected `object`, got `array`"),
            (b'{"annotations": []}', "missing required field `images`"),
            (b'{"images": [], "annotations": [', "Input data was truncated"),
            (b'{"images": [{"id": 1, "file_name": "\xff"}]}', "utf-8"),
        ],
    )
    def test_annotations_that_are_none(self, coco: Path, out: Path, content: bytes, message: str) -> None:
        (coco / "annotations" / "captions_train2014.json").write_bytes(content)
        with pytest.raises(InputError, match=message):
            ingest("coco-captions", coco, out)

    def test_what_is_bad_is_counted_and_the_rest_is_used(self, tmp_path: Path, out: Path) -> None:
        bad = [
            {"id": 1000, "image_id": 99, "caption": "Of no picture."},
            {"id": 1001, "image_id": 0, "caption": "  "},
            {"id": 1002, "image_id": 1, "caption": None},
            {"id": 1003, "image_id": 6, "caption": "A missing image."},
            {"id": 1004, "image_id": 7, "caption": "A name that leads elsewhere."},
        ]
        images = [{"id": n, "file_name": coco_name(n)} for n in range(7)] + [{"id": 7, "file_name": "../../secret.jpg"}]
        good = [{"id": n, "image_id": n, "caption": CAPTIONS[name][0]} for n, name in enumerate(NAMES)]
        folder = make_coco(tmp_path / "coco", images=images, annotations=[*good, *bad])
        (folder / "train2014" / coco_name(2)).write_bytes(photo("cat")[:4000])
        (folder / "train2014" / coco_name(3)).write_bytes(b"<html>not found</html>")
        with pytest.raises(OutputError, match="--max-bad"):
            ingest("coco-captions", folder, out)
        ingest("coco-captions", folder, out, max_bad=7)
        assert dead_letters(out) == {
            "the caption's picture is not in the list of images": 1,
            "the text is empty": 2,
            "the image is missing": 1,
            "the image's name leads out of the images": 1,
            "the image is cut off": 1,
            "the file is no image (JPEG, PNG, WEBP, GIF, BMP can be read)": 1,
        }
        found = records(out)
        assert sum(record.sequence.num_images for record in found) == 4
        assert {name for record in found for name in record.source_episode_id.split()} == {"0", "1", "4", "5"}

    @pytest.mark.parametrize("place", ["folder", "tar", "zip"])
    def test_where_nothing_is_found_both_sides_are_shown(
        self, coco: Path, tmp_path: Path, out: Path, place: str
    ) -> None:
        images = moved(coco, tmp_path, place, "pics/")
        wanted = r"looked for \(caption \d+ of COCO_train2014_00000000000\d\.jpg\)"
        there = r"there is pics/COCO_train2014_000000000000\.jpg, for instance: no dataset was made"
        with pytest.raises(OutputError, match=f"the image is missing.*{wanted}: {there}"):
            ingest("coco-captions", coco, out, {"images": str(images)}, max_bad=100)

    @pytest.mark.parametrize("prefix", ["./", ".\\", ".//", "train2014\\"])
    @pytest.mark.parametrize("place", ["tar", "zip"])
    def test_names_that_differ_in_nothing(self, coco: Path, tmp_path: Path, prefix: str, place: str) -> None:
        source = make_source("coco-captions", {"images": str(moved(coco, tmp_path, place, prefix))})
        pairs = [pair for part in source.parts(coco) for pair in source.pairs(coco, part)]
        assert len([pair.load() for pair in pairs]) == 12
        assert source.notes(coco) == []

    def test_nothing_to_use_is_a_failure(self, coco: Path, out: Path) -> None:
        shutil.rmtree(coco / "train2014")
        with pytest.raises(OutputError, match=r"no episode could be used \(the first of 12: .*the image is missing\)"):
            ingest("coco-captions", coco, out, max_bad=100)
