"""LIBERO's demonstrations: images upright, pairs as its trainers take them, instructions of every file."""

import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from gato_data.errors import InputError
from gato_pipelines.containers.container import Conventions
from gato_pipelines.containers.detect import open_container
from gato_schemas.dataset import read_manifest
from tests.pipelines.sources.records import read_dataset
from tests.pipelines.sources.reference import Expected, tokenize
from tests.pipelines.sources.test_parity import assert_same
from tests.rlds_inputs import ingest

SUITE = Path(__file__).parents[2] / "data" / "libero" / "libero_spatial"
STACK, PICK = "pick_up_the_red_block_and_place_it_on_the_green_block", "STUDY_SCENE1_pick_up_the_red_block"
IMAGES = ("agentview_rgb", "eye_in_hand_rgb")
EXPECTED = Expected(
    texts=("text",), images=IMAGES, tensors=("ee_ori", "ee_pos", "gripper_states", "joint_states"), drop_last=False
)
TEXTS = {STACK: "pick up the red block and place it on the green block", PICK: "pick up the red block"}


def steps_of(task: str, name: str, shift: int = 0) -> list[dict[str, Any]]:
    """Timesteps as plain h5py reads them, images with their rows in reverse; actions `shift` rows later."""
    with h5py.File(SUITE / f"{task}_demo.hdf5") as file:
        demo = file["data"][name]
        columns = {key: demo["obs"][key][:] for key in demo["obs"]}
        actions = demo["actions"][shift:]
    columns |= {key: np.stack([np.flipud(image) for image in columns[key]]) for key in IMAGES}
    return [
        {key: values[at] for key, values in columns.items()} | {"action": action, "text": TEXTS[task]}
        for at, action in enumerate(actions)
    ]


def frames(path: Path, **answers: Any) -> np.ndarray:
    """The first camera of the first demonstration."""
    open_container.cache_clear()
    container = open_container(path, Conventions(**answers))
    [file, *_] = container.files("train")
    [item, *_] = container.episodes(file.name, container.features.leaves)
    assert item.episode is not None
    return item.episode.tensors["steps/observation/agentview_rgb"]


@pytest.mark.parametrize("source", ["libero", "rlds"])
def test_the_tokens_of_a_suite_are_those_of_plain_numpy(source: str, tmp_path: Path) -> None:
    ingest(SUITE, tmp_path / "out", source=source)
    found = read_dataset(tmp_path / "out")
    names = [(PICK, "demo_1"), (STACK, "demo_0"), (STACK, "demo_1")]
    assert [(one.task, one.source_id) for one in found] == [(task, name[-1]) for task, name in names]
    for mine, (task, name) in zip(found, names, strict=True):
        assert_same(mine, tokenize(steps_of(task, name), EXPECTED))
    manifest = read_manifest(tmp_path / "out")
    assert manifest.source.inputs == ["libero/libero_spatial"]
    said = " ".join(note.text for note in manifest.account if note.kind == "read")
    for words in ("bottom row first, and are flipped", "after the action of their row", "no proof of", "ee_states"):
        assert words in said


def test_the_table_is_at_the_bottom() -> None:
    """The wall behind it is dark, the table is bright."""
    upright, stored = frames(SUITE), frames(SUITE, image_rows="as-stored")
    top, bottom = upright[:, :16].mean(), upright[:, 16:].mean()
    assert bottom > top + 20
    np.testing.assert_array_equal(stored, upright[:, ::-1])
    np.testing.assert_array_equal(frames(SUITE, image_rows="rotate"), np.rot90(stored, 2, axes=(1, 2)))


def test_a_file_that_says_that_its_images_are_upright_is_not_flipped(tmp_path: Path) -> None:
    path = Path(shutil.copy(SUITE / f"{STACK}_demo.hdf5", tmp_path))
    with h5py.File(path, "r+") as file:
        file["data"].attrs["macros_image_convention"] = "opencv"
        stored = file["data/demo_0/obs/agentview_rgb"][:]
    np.testing.assert_array_equal(frames(path), stored)
    np.testing.assert_array_equal(frames(path, image_rows="flip"), stored[:, ::-1])


def test_pairs_with_the_next_action(tmp_path: Path) -> None:
    ingest(SUITE, tmp_path / "out", source="libero", settings={"pairing": "next-action"})
    found = read_dataset(tmp_path / "out")
    assert_same(found[1], tokenize(steps_of(STACK, "demo_0", shift=1), EXPECTED))
    assert found[1].reward.tolist() == [0, 0, 0, 1]
    assert "the first action had no observation" in read_manifest(tmp_path / "out").tasks[STACK].final_step.reason


@pytest.mark.parametrize(
    ("problem", "wanted"),
    [
        ({"language_instruction": "open it"}, "open it"),
        ({"language_instruction": ["open", "it"]}, "open it"),
        ({"language_instruction": '"open it"'}, "open it"),
        ({}, "pick up the red block"),
        (None, "pick up the red block"),
    ],
)
def test_the_instruction_is_a_text_or_words_or_the_name_of_the_file(problem: Any, wanted: str, tmp_path: Path) -> None:
    path = Path(shutil.copy(SUITE / f"{PICK}_demo.hdf5", tmp_path))
    with h5py.File(path, "r+") as file:
        file["data"].attrs["problem_info"] = "{" if problem is None else json.dumps(problem)
    open_container.cache_clear()
    container = open_container(path)
    [item, *_] = container.episodes(path.name, container.features.leaves)
    assert item.episode is not None
    assert item.episode.texts["steps/language_instruction"] == [wanted] * 3
    assert any("have their name for one" in note.text for note in container.notes) == (wanted == TEXTS[PICK])


def test_without_its_attributes_it_is_told_by_its_cameras(tmp_path: Path) -> None:
    """As OpenVLA's script regenerates the files: images are not turned there either."""
    path = Path(shutil.copy(SUITE / f"{STACK}_demo.hdf5", tmp_path))
    with h5py.File(path, "r+") as file:
        for name in list(file["data"].attrs):
            del file["data"].attrs[name]
    np.testing.assert_array_equal(frames(path), frames(SUITE / path.name))


def test_one_truncated_file_of_a_suite_is_missed(tmp_path: Path) -> None:
    shutil.copytree(SUITE, tmp_path / "suite")
    file = tmp_path / "suite" / f"{STACK}_demo.hdf5"
    file.write_bytes(file.read_bytes()[:20_000])
    message = rf"1 of 2 files of .* is missing, .*{STACK}_demo.hdf5 is no HDF5 file, or damaged \(.*truncated"
    with pytest.raises(InputError, match=message):
        ingest(tmp_path / "suite", tmp_path / "out", source="libero")
    ingest(tmp_path / "suite", tmp_path / "out", source="libero", settings={"allow_missing_shards": True})
    assert [one.task for one in read_dataset(tmp_path / "out")] == [PICK]
