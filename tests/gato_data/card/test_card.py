"""The card, its picture and the metadata of datasets that ingest made, as the libraries of hubs read them."""

import io
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from huggingface_hub import DatasetCard
from PIL import Image

from gato_data.card.croissant import MAX_SHARDS, croissant
from gato_data.card.files import card_files, files_of_manifest
from gato_data.card.picture import picture
from gato_data.card.readme import readme
from gato_data.card.samples import read_samples
from gato_data.files import digest_of
from gato_data.verify.dataset import verify_dataset
from gato_data.verify.repair import repair_dataset
from gato_schemas.dataset import Manifest, SplitInfo, read_manifest
from tests.document_inputs import ingest as ingest_documents
from tests.gato_data.verify import planted
from tests.rlds_inputs import digests

HUB = Path(__file__).parents[2] / "data" / "documents" / "hub"
HOSTILE = 'x"\n---\nviewer: true\n# `<img src=x onerror=alert(1)>` | [a](javascript:b) \u202e'


def loaded(folder: Path) -> "object":
    import mlcroissant

    return mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))


def test_what_the_hub_reads_of_a_card(breakout: Path) -> None:
    card = DatasetCard.load(breakout / "README.md")
    assert card.data.to_dict() == {
        "pretty_name": "breakout",
        "license": ["other"],
        "task_categories": ["reinforcement-learning"],
        "size_categories": ["n<1K"],
        "tags": ["gato", "gato-data", "tokenized", "tfrecord", "imitation-learning", "image"],
        "viewer": False,
    }
    manifest = read_manifest(breakout)
    for wanted in (
        f"{manifest.totals.episodes} episodes, {manifest.totals.timesteps:,} timesteps, ",
        "| `observation` | image | 64 x 80 x 3 | 20 | ",
        "| `action` | discrete | one value | 1 | ",
        f"`{manifest.content_id}`",
        "![Some images of the dataset, as they were tokenized](frames.png)",
        "gato_data.open(",
        "observation: 20 patches\nseparator: id 33024\naction: ",
    ):
        assert wanted in card.text, wanted


def test_the_picture_shows_images_of_the_dataset(breakout: Path) -> None:
    frames = read_samples(breakout, read_manifest(breakout)).frames
    sheet = np.asarray(Image.open(breakout / "frames.png"))
    assert sheet.shape == (64, 6 * 80 + 5 * 4, 3)
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(sheet[:, number * 84 : number * 84 + 80], frame)
    assert len({frame.tobytes() for frame in frames}) > 1


def test_small_and_large_images_side_by_side() -> None:
    frames = [np.full((16, 32, 3), 9, np.uint8), np.zeros((512, 256, 3), np.uint8), np.zeros((1, 2000, 3), np.uint8)]
    assert Image.open(io.BytesIO(picture(frames))).size == (128 + 4 + 64 + 4 + 128, 128)


def test_what_mlcroissant_reads(breakout: Path) -> None:
    metadata = loaded(breakout).metadata
    manifest = read_manifest(breakout)
    assert not metadata.ctx.issues.errors
    assert metadata.version == "3.0.0"
    files = {file.content_url: file.sha256 for file in metadata.file_objects}
    assert files == {name: digest_of(breakout / name) for name in files}
    assert set(files) == {"dataset.json"} | {s.name for split in manifest.splits.values() for s in split.shards}
    for part in metadata.file_sets:
        matched = [path.name for path in breakout.glob(part.includes[0]) if not path.match(part.excludes[0])]
        assert sorted(matched) == [shard.name for shard in manifest.splits[part.id.removesuffix("-shards")].shards]
    features = json.loads((breakout / "features.json").read_bytes())["featuresDict"]["features"]
    for records in metadata.record_sets:
        assert sorted(field.name for field in records.fields) == sorted(features)


def test_documents_have_a_card(tmp_path: Path) -> None:
    ingest_documents("hub", HUB / "hf_caption", tmp_path / "captions")
    card = DatasetCard.load(tmp_path / "captions" / "README.md")
    assert card.data.task_categories == ["image-text-to-text"]
    assert "[image of 12 x 12 patches]\nA rocket lifts off at night, lighting the clouds.\n" in card.text
    assert "2 documents, " in card.text
    assert "text.model" in {file.content_url for file in loaded(tmp_path / "captions").metadata.file_objects}


def hostile(manifest: Manifest) -> Manifest:
    tasks = {HOSTILE + str(number): task for number, task in enumerate(manifest.tasks.values())}
    source = msgspec.structs.replace(
        manifest.source, name=HOSTILE, inputs=[HOSTILE], licence=HOSTILE, settings={"a": HOSTILE}
    )
    return msgspec.structs.replace(
        manifest,
        name=HOSTILE,
        family=HOSTILE,
        tasks=tasks,
        source=source,
        agents=[HOSTILE],
        libraries={HOSTILE: HOSTILE},
    )


def test_texts_of_strangers_stay_texts(breakout: Path, tmp_path: Path) -> None:
    manifest = hostile(read_manifest(breakout))
    text = readme(manifest, [HOSTILE], has_picture=False).decode()
    (tmp_path / "README.md").write_text(text)
    card = DatasetCard.load(tmp_path / "README.md")
    assert (card.data.viewer, card.data.license) == (False, ["other"])
    assert text.count("\n---\n") == 1
    for line in text.splitlines():
        outside = "".join(line.split("`")[::2])
        if not line.startswith(("pretty_name", 'x"')):
            assert "onerror" not in outside, line
    (tmp_path / "croissant.json").write_bytes(croissant(manifest, "0" * 64))
    assert "\u202e" not in (tmp_path / "croissant.json").read_text()
    assert not loaded(tmp_path).metadata.ctx.issues.errors


def test_many_tasks_and_shards_are_bounded(breakout: Path) -> None:
    manifest = read_manifest(breakout)
    [(_, task)] = manifest.tasks.items()
    shard = manifest.splits["train"].shards[0]
    shards = [msgspec.structs.replace(shard, name=f"breakout-train.tfrecord-{n:05d}-of-20000") for n in range(20000)]
    many = msgspec.structs.replace(
        manifest, tasks={f"task-{n:05d}": task for n in range(5000)}, splits={"train": SplitInfo.of(shards)}
    )
    assert len(readme(many, [], has_picture=False)) < 20_000
    assert len(croissant(many, "0" * 64)) < 20_000
    few = msgspec.structs.replace(many, splits={"train": SplitInfo.of(shards[:MAX_SHARDS])})
    assert croissant(few, "0" * 64).count(b'"sha256"') == 1 + MAX_SHARDS


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return planted.dataset(tmp_path / "set", "pong", (9, 40, 30, 6, 5), "zlib", None, False)


def test_a_card_that_is_missing_or_old_is_noted_and_written_anew(whole: Path) -> None:
    before = digests(whole)
    (whole / "README.md").unlink()
    metadata = (whole / "croissant.json").read_bytes()
    (whole / "croissant.json").write_bytes(metadata.replace(read_manifest(whole).content_id.encode(), b"0" * 64))
    verdict = verify_dataset(whole)
    assert verdict.whole
    assert verdict.findings.notes == [
        "README.md is missing: gato-data verify --repair writes it",
        "croissant.json is of another content than the dataset: gato-data verify --repair writes it anew",
    ]
    assert repair_dataset(whole).done == ("croissant.json was written anew", "README.md was written anew")
    assert {n: d for n, d in digests(whole).items() if not n.startswith("quarantine")} == before
    assert verify_dataset(whole).findings.notes == ["quarantine/ holds what a repair set aside"]


def test_a_card_of_somebody_else_stays(whole: Path) -> None:
    (whole / "README.md").write_text("# My own words\n")
    assert "README.md" not in files_of_manifest(whole, read_manifest(whole))
    assert verify_dataset(whole).findings.notes == []
    assert repair_dataset(whole).done == ()


def test_damaged_records_are_not_shown(whole: Path) -> None:
    manifest = read_manifest(whole)
    for shard in (shard for split in manifest.splits.values() for shard in split.shards):
        data = bytearray((whole / shard.name).read_bytes())
        for at in range(20, len(data), 50):
            data[at] ^= 1
        (whole / shard.name).write_bytes(data)
    files = card_files(whole, manifest, b"")
    assert sorted(files) == ["README.md", "croissant.json"]
    assert b"begins with" not in files["README.md"]
