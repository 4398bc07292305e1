import json
import shutil
from pathlib import Path

import pytest

from gato_data.errors import InputError
from gato_pipelines.rlds.directory import open_directory
from gato_schemas.errors import FormatError


@pytest.fixture
def copy(rlds_data, tmp_path) -> Path:
    """A copy of the sokoban dataset (three folders deep) that a test may damage."""
    shutil.copytree(rlds_data / "sokoban", tmp_path / "sokoban")
    return tmp_path / "sokoban" / "rooms_10x10" / "1.0.0"


def _edit(folder: Path, **changes) -> None:
    path = folder / "dataset_info.json"
    info = json.loads(path.read_text())
    info.update(changes)
    path.write_text(json.dumps(info))


def _edit_split(folder: Path, **changes) -> None:
    split = json.loads((folder / "dataset_info.json").read_text())["splits"][0]
    _edit(folder, splits=[{key: value for key, value in {**split, **changes}.items() if value is not None}])


def test_what_a_dataset_says_of_itself(rlds_data):
    directory = open_directory(rlds_data / "rlu_atari")
    assert directory.path == rlds_data / "rlu_atari" / "Breakout_run_1" / "1.3.0"
    assert (directory.name, directory.config, directory.version) == ("rlu_atari", "Breakout_run_1", "1.3.0")
    assert directory.licence.startswith("Recording: CC0.")
    assert directory.description.startswith("Breakout in ale-py")
    split = directory.split("train")
    assert [(shard.path.name, shard.num_episodes) for shard in split.shards] == [
        ("rlu_atari-train.tfrecord-00000-of-00002", 2),
        ("rlu_atari-train.tfrecord-00001-of-00002", 2),
    ]
    assert split.num_episodes == 4


def test_shards_without_their_number(rlds_data):
    shards = open_directory(rlds_data / "sokoban").split("train").shards
    assert [shard.path.name for shard in shards] == ["sokoban-train.tfrecord-00000", "sokoban-train.tfrecord-00001"]


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_a_folder_above_the_version_will_do(copy, levels):
    folder = copy if levels == 0 else copy.parents[levels - 1]
    assert open_directory(folder).path == copy


def test_several_versions_are_listed(copy):
    shutil.copytree(copy, copy.parent / "1.1.0")
    with pytest.raises(InputError, match=r"several datasets \(rooms_10x10/1\.0\.0, rooms_10x10/1\.1\.0\): give"):
        open_directory(copy.parents[1])


def test_many_versions_are_cut_short(copy):
    for minor in range(1, 12):
        shutil.copytree(copy, copy.parent / f"1.{minor:02}.0")
    with pytest.raises(InputError, match=r"and 2 more\)"):
        open_directory(copy.parent)


def test_a_folder_of_too_much_is_refused(copy, monkeypatch):
    monkeypatch.setattr("gato_pipelines.rlds.versions.MAX_ENTRIES", 1)
    with pytest.raises(InputError, match="more than 1 entries"):
        open_directory(copy.parents[1])


def test_a_file(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(InputError, match=r"x is no folder: give th.* of an RLDS dataset"):
        open_directory(tmp_path / "x")


def test_empty_folder(tmp_path):
    with pytest.raises(InputError, match="is empty"):
        open_directory(tmp_path)


def test_a_folder_of_something_else(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="holds no RLDS dataset"):
        open_directory(tmp_path)


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
def test_half_a_dataset(copy, name):
    (copy / name).unlink()
    with pytest.raises(InputError, match=f"has no {name}"):
        open_directory(copy)


@pytest.mark.parametrize("content", ["", "[]", '{"splits": 3}', '{"version": {}}', '{"a":' * 100_000])
def test_damaged_dataset_info(copy, content):
    (copy / "dataset_info.json").write_text(content)
    with pytest.raises(FormatError, match=r"dataset_info\.json is not the description of a TFDS dataset"):
        open_directory(copy)


def test_oversized_dataset_info(copy, monkeypatch):
    monkeypatch.setattr("gato_pipelines.rlds.directory.MAX_JSON_BYTES", 100)
    with pytest.raises(FormatError, match="larger than"):
        open_directory(copy)


@pytest.mark.parametrize("name", ["array_record", "riegeli", "parquet"])
def test_other_file_formats(copy, name):
    _edit(copy, fileFormat=name)
    with pytest.raises(InputError, match=rf"stored as {name}.*tfds convert_format .*--out_file_format=tfrecord"):
        open_directory(copy)


def test_tfrecord_beside_another_format(copy):
    _edit(copy, fileFormat="array_record", alternativeFileFormats=["tfrecord"])
    assert open_directory(copy).split("train").num_episodes == 6


def test_no_splits(copy):
    _edit(copy, splits=[])
    with pytest.raises(InputError, match="has no splits"):
        open_directory(copy)


def test_unknown_split(rlds_data):
    directory = open_directory(rlds_data / "sokoban")
    with pytest.raises(InputError, match="no split 'trian': did you mean 'train'"):
        directory.split("trian")
    with pytest.raises(InputError, match="no split 'zzz': it has train"):
        directory.split("zzz")


def test_missing_shard(copy):
    (copy / "sokoban-train.tfrecord-00001").unlink()
    absences = [shard.absence() for shard in open_directory(copy).split("train").shards]
    assert absences == ["", "No such file or directory"]


@pytest.mark.parametrize("ending", [".incomplete", "_.gstmp", ".part"])
def test_partial_shard(copy, ending):
    shard = copy / "sokoban-train.tfrecord-00001"
    shard.rename(shard.with_name(shard.name + ending))
    assert open_directory(copy).split("train").shards[1].absence() == "only a partial download is there"


def test_empty_shard(copy):
    (copy / "sokoban-train.tfrecord-00001").write_bytes(b"")
    assert open_directory(copy).split("train").shards[1].absence() == "it is empty"


def test_compressed_shard(copy):
    (copy / "sokoban-train.tfrecord-00001").write_bytes(b"\x1f\x8b" + bytes(100))
    with pytest.raises(FormatError, match="gzip-compressed"):
        open_directory(copy).split("train").shards[1].absence()


def test_git_lfs_pointer(copy):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 329959\n"
    (copy / "sokoban-train.tfrecord-00000").write_text(pointer)
    assert "git lfs pull" in open_directory(copy).split("train").shards[0].absence()
    (copy / "features.json").write_text(pointer)
    with pytest.raises(FormatError, match="git lfs pull"):
        open_directory(copy)


def test_default_template_and_name(copy):
    """Datasets of before 2022 have no template; the folders say the name where the file does not."""
    _edit_split(copy, filepathTemplate=None)
    _edit(copy, name="", configName="rooms_10x10")
    shards = open_directory(copy).splits["train"].shards
    assert [shard.path.name for shard in shards] == [f"sokoban-train.tfrecord-0000{i}-of-00002" for i in range(2)]


def test_shards_of_unknown_length(copy):
    _edit_split(copy, shardLengths=None, numShards="2")
    split = open_directory(copy).split("train")
    assert [shard.num_episodes for shard in split.shards] == [None, None]
    assert split.num_episodes is None


def test_a_template_with_folders(copy):
    _edit_split(copy, filepathTemplate="{SPLIT}/part.{FILEFORMAT}-{SHARD_INDEX}-{NUM_SHARDS}")
    shards = open_directory(copy).splits["train"].shards
    assert shards[1].path == copy / "train" / "part.tfrecord-00001-00002"


@pytest.mark.parametrize(
    "template", ["../{SHARD_INDEX}", "/etc/passwd", "a/../../b", "{SPLIT}/..", "a\\b", "a\x00b", ".", "{SPLIT}\n"]
)
def test_shards_stay_in_the_folder(copy, template):
    _edit_split(copy, filepathTemplate=template)
    with pytest.raises(FormatError, match="outside the dataset's folder"):
        open_directory(copy)


@pytest.mark.parametrize("name", ["../../etc", "/etc/passwd"])
def test_names_stay_in_the_folder(copy, name):
    _edit(copy, name=name)
    with pytest.raises(FormatError, match="outside the dataset's folder"):
        open_directory(copy)


@pytest.mark.parametrize("template", ["{HOME}", "{__class__}"])
def test_unknown_variables(copy, template):
    _edit_split(copy, filepathTemplate=template)
    with pytest.raises(FormatError, match="is unknown"):
        open_directory(copy)


@pytest.mark.parametrize(
    "changes",
    [{"shardLengths": ["-1"]}, {"shardLengths": [], "numShards": "99999999999"}, {"numShards": -1, "shardLengths": []}],
)
def test_impossible_counts(copy, changes):
    _edit_split(copy, **changes)
    with pytest.raises(FormatError, match="impossible number"):
        open_directory(copy)
