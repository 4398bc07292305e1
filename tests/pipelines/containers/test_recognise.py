"""What an input looks like that is not read, or not by the source that it was given to."""

import json
import os
import re
import shutil
from pathlib import Path

import h5py
import pytest

from gato_data.errors import InputError
from gato_data.remote.fetch import FetchError
from gato_pipelines.containers import recognise as recognition
from gato_pipelines.containers.detect import open_container
from gato_pipelines.containers.formats import ALONE, FORMATS, MAGIC, SUFFIXES
from gato_pipelines.containers.recognise import documents_lack, recognise
from tests.document_inputs import make_tar
from tests.pipelines.containers.foreign import FOREIGN, lerobot
from tests.pipelines.sources.cases import DATA
from tests.rlds_inputs import moving, write


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_format_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make, said = FOREIGN[name]
    given = make(tmp_path / "input")
    with pytest.raises(InputError) as raised:
        open_container(given)
    assert re.match(rf"{re.escape(str(tmp_path))}/input\S* looks like {said}", str(raised.value)), str(raised.value)
    assert not Path("unpickled").exists()


def test_every_format_is_listed_once_and_can_be_told() -> None:
    told = {*SUFFIXES.values(), *ALONE.values(), *(name for _, _, name in MAGIC)} - {"hdf5", "parquet"}
    assert told <= FORMATS.keys()
    assert all(entry.name == name for name, entry in FORMATS.items())


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("rlds/sokoban/rooms_10x10/1.0.0", "rlds"),
        ("minari/mujoco/hopper/sample-v0", "minari"),
        ("minari/mujoco/hopper/sample-v0/data/main_data.hdf5", "minari"),
        ("jat/babyai-go-to-local/train-00000-of-00001.parquet", "jat"),
        ("rlu_raw/Breakout/run_1-00000-of-00001", "rlu-raw"),
        ("robomimic/lift/image_v15.hdf5", "robomimic"),
        ("libero/libero_spatial/STUDY_SCENE1_pick_up_the_red_block_demo.hdf5", "libero"),
        ("aloha/real_compressed/episode_9.hdf5", "aloha"),
        ("maniskill/PickCube-v1/scripted/trajectory.state.pd_ee_delta_pose.physx_cpu.h5", "maniskill"),
        ("documents/text/paragraphs.txt", "texts"),
        ("documents/text/paragraphs.jsonl.gz", "texts"),
    ],
)
def test_what_is_read_has_a_name_as_well(path: str, name: str) -> None:
    sight = recognise(DATA / path)
    assert sight is not None
    assert sight.format.name == name


def test_a_hostile_description_names_nothing(tmp_path: Path) -> None:
    lerobot(tmp_path / "a", "v2.1")
    (tmp_path / "a" / "meta" / "info.json").write_text('{"a":' * 100_000)
    os.mkfifo(tmp_path / "pipe.hdf5")
    assert str(recognise(tmp_path / "a")) == "a LeRobot dataset (meta)"


def test_the_pattern_for_several_files_fits_them(tmp_path: Path) -> None:
    for path in (DATA / "maniskill" / "PickCube-v1" / "scripted").iterdir():
        for name in ("a", "b"):
            (tmp_path / f"{name}{path.suffix}").write_bytes(path.read_bytes())
    with pytest.raises(InputError, match=r"holds 2 HDF5 files: .* a pattern such as .*/\*\.h5$"):
        open_container(tmp_path)


class TestSeveralDatasets:
    """A folder of which one cannot tell which dataset is meant."""

    def error(self, folder: Path) -> str:
        open_container.cache_clear()
        with pytest.raises(InputError) as raised:
            open_container(folder)
        return str(raised.value)

    def test_every_container_and_depth_is_listed(self, tmp_path: Path) -> None:
        write(tmp_path / "rlds" / "arm" / "left" / "1.0.0", [moving(0)])
        write(tmp_path / "arm" / "1.0.0", [moving(0)])
        shutil.copytree(DATA / "jat" / "atari-breakout", tmp_path / "atari-breakout")
        shutil.copytree(DATA / "minari" / "mujoco", tmp_path / "mujoco")
        shutil.copytree(DATA / "rlu_raw" / "Breakout", tmp_path / "Breakout")
        lerobot(tmp_path / "so100", "v2.1")
        h5py.File(tmp_path / "walker.hdf5", "w").close()
        assert self.error(tmp_path) == (
            f"{tmp_path} holds several datasets (Breakout, arm/1.0.0, atari-breakout, mujoco/hopper/sample-v0, "
            "rlds/arm/left/1.0.0, so100, walker.hdf5): give the folder of one of them, or several folders"
        )

    def test_the_only_one_is_read_however_deep_it_lies(self, tmp_path: Path) -> None:
        """As deep as <data_dir>/<name>/<config>/<version>, and a level more."""
        folder = write(tmp_path / "data" / "arm" / "left" / "1.0.0", [moving(0)])
        assert [open_container(place).path for place in [folder, *folder.parents[:4]]] == [folder] * 5

    def test_what_lies_beside_it_and_is_no_dataset_does_not_matter(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "arm" / "1.0.0", [moving(0)])
        (tmp_path / "README.md").write_text("An arm.")
        (tmp_path / "arm" / "latest").symlink_to("1.0.0")
        shutil.copytree(folder, tmp_path / "arm" / "2.0.0.incompleteABC123")
        shutil.copytree(folder, tmp_path / ".cache" / "1.0.0")
        (tmp_path / "downloads").mkdir()
        h5py.File(tmp_path / "downloads" / "walker.hdf5", "w").close()
        assert open_container(tmp_path).path == folder

    def test_another_dataset_beside_it_does(self, tmp_path: Path) -> None:
        write(tmp_path / "arm" / "1.0.0", [moving(0)])
        shutil.copytree(DATA / "jat" / "atari-breakout", tmp_path / "jat")
        assert "several datasets (arm/1.0.0, jat): give" in self.error(tmp_path)

    def test_the_newest_of_several_versions_is_named(self, tmp_path: Path) -> None:
        for version in ("1.9.0", "1.10.0", "0.1.0"):
            write(tmp_path / "arm" / version, [moving(0)])
        assert self.error(tmp_path / "arm") == (
            f"{tmp_path}/arm holds several datasets (0.1.0, 1.10.0, 1.9.0): give the folder of one of them, or several "
            "folders; 1.10.0 is the newest version"
        )

    def test_a_long_list_is_cut_short(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "0", [moving(0)])
        for number in range(1, 14):
            shutil.copytree(folder, tmp_path / str(number))
        assert "7, 8, 9" not in self.error(tmp_path)
        assert "and 4 more): give" in self.error(tmp_path)

    def test_a_circle_of_links_ends(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "arm" / "1.0.0", [moving(0)])
        (tmp_path / "arm" / "again").symlink_to(tmp_path)
        assert open_container(tmp_path).path == folder


class TestDocuments:
    """What is given to a source of documents and holds none."""

    @pytest.mark.parametrize("levels", [0, 1, 2, 3])
    def test_episodes_at_any_depth(self, levels: int, tmp_path: Path) -> None:
        folder = write(tmp_path / "data" / "arm" / "left" / "1.0.0", [moving(0)])
        sight = documents_lack([folder, *folder.parents][levels])
        assert str(sight) == "an RLDS dataset (features.json)"

    def test_texts_of_tfds_and_texts_beside_episodes_are_documents(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "wikipedia" / "1.0.0", [moving(0)])
        assert documents_lack(tmp_path) is not None
        features = {"featuresDict": {"features": {"text": {"text": {}}}}}
        (folder / "features.json").write_text(json.dumps(features))
        assert documents_lack(tmp_path) is None
        (write(tmp_path / "mixed" / "arm", [moving(0)]).parent / "a.txt").write_text("a text")
        assert documents_lack(tmp_path / "mixed") is None

    def test_corpora_are_documents(self, tmp_path: Path) -> None:
        make_tar(tmp_path / "0.tar", {"a.txt": b"a"})
        assert [
            path for path in [tmp_path, *(DATA / "documents").iterdir(), DATA / "photos"] if documents_lack(path)
        ] == []


def test_what_does_not_come_is_no_format(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fails(path: Path) -> None:
        raise FetchError("bytes 0 to 512 of s3://bucket/a.hdf5 could not be read")

    (tmp_path / "a.hdf5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(600))
    monkeypatch.setitem(recognition._INSIDE, "hdf5", fails)
    with pytest.raises(FetchError, match="s3://bucket"):
        recognise(tmp_path / "a.hdf5")
