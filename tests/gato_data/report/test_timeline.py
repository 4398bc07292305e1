from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gato_data import detokenize
from gato_data.errors import FormatError, InputError
from gato_data.report.decoder import load_decoder
from gato_data.report.record import OpenRecord, open_record
from gato_data.report.timeline import TokenView, images, span, timeline
from gato_data.shards.index import index_of
from gato_data.tokenize import TokenizeSettings
from gato_data.tokenizers.text import TextTokenizer
from gato_data.vocabulary import Vocabulary
from gato_schemas.sequence import Modality
from tests.gato_data.report.folders import SILENT, Folder, robot_episode, robot_folder, write_folder

TRAIN = "arm-train.tfrecord-00000-of-00002"


def look(folder: Path, number: int, shard: str = TRAIN) -> tuple[OpenRecord, list[TokenView]]:
    found = index_of(folder / shard)
    opened = open_record(folder / shard, found, number)
    decoder, notes = load_decoder(folder, found)
    assert notes == []
    return opened, list(timeline(opened, decoder, 0, opened.record.sequence.num_tokens))


def test_every_token_of_a_timestep(arm: Path) -> None:
    _, views = look(arm, 1)
    step = [(v.position, v.modality.name, v.name, v.loss) for v in views if v.timestep == 2]
    assert step == [
        (0, "PATCH", "observation/camera", False),
        (1, "PATCH", "observation/camera", False),
        (2, "PATCH", "observation/camera", False),
        (3, "PATCH", "observation/camera", False),
        (4, "DISCRETE", "observation/gripper", False),
        (5, "CONTINUOUS", "observation/pose[0]", False),
        (6, "CONTINUOUS", "observation/pose[1]", False),
        ("separator", "SEPARATOR", "separator", False),
        ("action", "CONTINUOUS", "action/arm[0]", True),
        ("action", "CONTINUOUS", "action/arm[1]", True),
        ("action", "DISCRETE", "action/button", True),
    ]


def test_values_are_those_of_the_tokenizer(arm: Path) -> None:
    opened, views = look(arm, 1)
    sequence, vocabulary = opened.record.sequence, Vocabulary(TextTokenizer.default().size)
    actions = detokenize.actions(sequence, SILENT, vocabulary)
    poses = detokenize.tensors(sequence, SILENT, vocabulary, TokenizeSettings())["pose"]
    assert [v.value for v in views if v.name == "action/arm[1]"] == actions["arm"][:, 1].tolist()
    assert [v.value for v in views if v.name == "observation/pose[0]"] == poses[:, 0].tolist()
    assert np.abs(actions["arm"] - robot_episode(1, 4).actions["arm"]).max() <= 2 / 1024
    assert [v.value for v in views if v.name == "action/button"] == [3, 4, 3, 4]


def test_patches_have_their_place_and_colour(arm: Path) -> None:
    _, views = look(arm, 0)
    patches = [v.patch for v in views if v.timestep == 1 and v.patch is not None]
    assert [(p.row, p.column, p.mean) for p in patches] == [
        (0, 0, (255, 0, 0)),
        (0, 1, (0, 128, 0)),
        (1, 0, (0, 0, 64)),
        (1, 1, (10, 10, 10)),
    ]
    assert {p.image for p in patches} == {1}


def test_text_is_shown_piece_by_piece(told: Path) -> None:
    _, views = look(told, 0)
    model = TextTokenizer.default()
    texts = [v.value for v in views if v.timestep == 0 and v.modality is Modality.TEXT]
    assert texts == [model.piece(int(token)) for token in model.encode(["pick up the cube"])[0]]
    assert {v.name for v in views if v.modality is Modality.TEXT} == {"observation/instruction"}


def test_documents_have_neither_timesteps_nor_positions(captions: Path) -> None:
    shard = "captions-train.tfrecord-00000-of-00001"
    opened, views = look(captions, 0, shard)
    assert {(v.timestep, v.position) for v in views} == {(None, None)}
    assert [(v.patch.row, v.patch.column) for v in views if v.patch] == [(0, 0), (1, 0)]
    pieces = "".join(str(v.value) for v in views if v.modality is Modality.TEXT)
    assert pieces.replace("\u2581", " ").strip() == "two photos of a cat</s>"
    (picture,) = images(opened, 0, len(views), 4)
    assert picture.shape == (30, 16, 3)
    _, views = look(captions, 1, shard)
    assert [v.loss for v in views] == sorted(v.loss for v in views)
    assert not views[0].loss
    assert views[-1].loss


def test_zlib_and_raw_patches_look_the_same(arm: Path, tmp_path: Path) -> None:
    raw = write_folder(tmp_path / "raw", robot_folder(encoding="raw"))
    assert look(raw, 0)[1] == look(arm, 0)[1]


def test_images_are_put_back_together(arm: Path) -> None:
    opened, _ = look(arm, 0)
    found = images(opened, 11, 33, limit=10)
    assert (np.stack(found) == np.asarray(robot_episode(0).observations["camera"])[1:]).all()
    assert len(images(opened, 0, 33, limit=2)) == 2


def test_the_index_is_not_needed(arm: Path) -> None:
    with_index = open_record(arm / TRAIN, index_of(arm / TRAIN), 1)
    without = open_record(arm / TRAIN, None, 1)
    assert without.record.episode_id == with_index.record.episode_id == "robot/00000/000001"
    assert (without.patches(3, 5) == with_index.patches(3, 5)).all()


def test_windows(arm: Path) -> None:
    opened, _ = look(arm, 1)
    assert span(opened) == (0, 22)
    assert span(opened, timestep=3) == (33, 44)
    assert span(opened, tokens=(40, 10**12)) == (40, 44)
    with pytest.raises(InputError, match="record 1 has no timestep 4: a number from 0 to 3 is wanted"):
        span(opened, timestep=4)
    with pytest.raises(InputError, match="no token of 44:50"):
        span(opened, tokens=(44, 50))


def test_a_million_timesteps_are_not_all_shown(tmp_path: Path) -> None:
    folder = Folder(
        name="long",
        specs={"robot": SILENT},
        splits={"train": [[robot_episode(0, 20_000)]]},
    )
    path = write_folder(tmp_path / "long", folder)
    shard = path / "long-train.tfrecord-00000-of-00001"
    found = index_of(shard)
    assert found is not None
    assert len(found) > 1
    opened = open_record(shard, found, 1)
    assert opened.first_timestep == found.num_timesteps[0]
    assert span(opened) == (0, 22)


def test_unknown_names_without_a_manifest(arm: Path, tmp_path: Path) -> None:
    (tmp_path / TRAIN).write_bytes((arm / TRAIN).read_bytes())
    opened = open_record(tmp_path / TRAIN, None, 0)
    decoder, notes = load_decoder(tmp_path, None)
    assert notes == ["no dataset.json beside the shard: fields have no names and ids no values"]
    views = list(timeline(opened, decoder, 0, 11))
    assert [v.name for v in views] == ["observation"] * 7 + ["separator"] + ["action"] * 3
    assert {v.value for v in views} == {None}
    assert views[0].patch is not None
    assert views[0].patch.mean == (255, 0, 0)


def test_a_foreign_text_model_is_not_believed(told: Path, tmp_path: Path) -> None:
    for file in told.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "text.model").write_bytes((tmp_path / "text.model").read_bytes() + b"\x00")
    with pytest.raises(FormatError, match="neither a SentencePiece model nor"):
        load_decoder(tmp_path, None)
    (tmp_path / "text.model").unlink()
    decoder, notes = load_decoder(tmp_path, None)
    assert decoder.pieces is None
    assert notes == ["no text.model beside the shard: text tokens have no text"]


def test_damage_is_found_where_it_is(arm: Path, tmp_path: Path) -> None:
    data = bytearray((arm / TRAIN).read_bytes())
    found = index_of(arm / TRAIN)
    assert found is not None
    data[int(found.offset[1]) + 40] ^= 1
    (tmp_path / TRAIN).write_bytes(data)
    assert open_record(tmp_path / TRAIN, found, 0).record.chunk == 0
    for index in (found, None):
        with pytest.raises(FormatError, match=r"record 1 of .* does not match its checksum"):
            open_record(tmp_path / TRAIN, index, 1)


def test_patches_that_cannot_be_read_are_named_with_their_record(arm: Path) -> None:
    opened = replace(open_record(arm / TRAIN, None, 1), payloads=[memoryview(b"abc")])
    with pytest.raises(
        FormatError, match=rf"record 1 of {TRAIN}: column patches: a stream of 3 bytes does not inflate"
    ):
        opened.patches(0, 1)
