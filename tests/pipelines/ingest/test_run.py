"""Ingest as a whole: the same bytes whatever happens, what its settings do, and what it needs."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gato_data.detokenize import frames
from gato_data.distinct_patches import distinct_patches
from gato_data.errors import MissingPackageError, OutputError, SettingError
from gato_data.image_decoding import decode_images
from gato_data.image_fit import import_cv2
from gato_pipelines.ingest import commit, shards
from gato_pipelines.ingest.run import DryRun, IngestSettings, plan_only
from gato_pipelines.rlds.decode import EpisodeDecoder
from gato_pipelines.rlds.directory import open_directory
from gato_schemas import patches as patches_module
from gato_schemas.dataset import read_manifest
from gato_schemas.record import Record, decode_record
from gato_schemas.tfrecord import read_records
from tests import rlds_inputs
from tests.rlds_inputs import digests, ingest


def records(folder: Path, encoding: str = "zlib") -> list[Record]:
    return [decode_record(raw.data, encoding) for path in rlds_inputs.shards(folder) for raw in read_records(path)]


def test_two_processes_another_place_and_a_moved_input_give_the_same_bytes(
    recording: Path, breakout: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved" / "input"
    shutil.copytree(recording, moved)
    ingest(moved, tmp_path / "elsewhere" / "breakout", holdout=0.55, workers=2)
    assert digests(tmp_path / "elsewhere" / "breakout") == digests(breakout)


def test_a_folder_of_another_name_can_hold_the_same_dataset(recording: Path, breakout: Path, tmp_path: Path) -> None:
    ingest(recording, tmp_path / "other", holdout=0.55, name="breakout")
    assert digests(tmp_path / "other") == digests(breakout)


def test_a_complete_dataset_is_left_alone(recording: Path, breakout: Path, tmp_path: Path) -> None:
    out = tmp_path / "breakout"
    shutil.copytree(breakout, out)
    times = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    summary = ingest(recording, out, holdout=0.55)
    assert summary.was_complete
    assert summary.manifest == read_manifest(breakout)
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == times


def test_overwrite_makes_it_again_and_leaves_what_is_not_ours(recording: Path, breakout: Path, tmp_path: Path) -> None:
    out = tmp_path / "breakout"
    ingest(recording, out, settings={"image_size": (32, 32)})
    (out / "notes.md").write_text("mine")
    (out / "breakout-test.tfrecord-00000-of-00001").write_text("not of an ingest")
    ingest(recording, out, holdout=0.55, overwrite=True)
    assert (out / "notes.md").read_text() == "mine"
    found = digests(out)
    assert found.keys() - digests(breakout).keys() == {"notes.md", "breakout-test.tfrecord-00000-of-00001"}
    assert {name: found[name] for name in digests(breakout)} == digests(breakout)


def test_holdout_depends_on_the_id_of_an_episode_alone(recording: Path, breakout: Path, tmp_path: Path) -> None:
    ingest(recording, tmp_path / "some", holdout=0.55, max_episodes=5)
    for split in ("train", "validation"):
        some, every = ids(tmp_path / "some", split), ids(breakout, split)
        assert some == [name for name in every if name != "breakout/00002/000001"]
    assert sorted(ids(breakout, "train") + ids(breakout, "validation")) == [
        f"breakout/{part:05d}/{ordinal:06d}" for part in range(3) for ordinal in range(2)
    ]


def ids(folder: Path, split: str) -> list[str]:
    paths = [path for path in rlds_inputs.shards(folder) if f"-{split}." in path.name]
    return [decode_record(raw.data, "zlib").episode_id for path in paths for raw in read_records(path)]


def test_more_holdout_takes_more_and_gives_none_back(recording: Path, breakout: Path, tmp_path: Path) -> None:
    ingest(recording, tmp_path / "more", holdout=0.6)
    assert set(ids(breakout, "validation")) < set(ids(tmp_path / "more", "validation"))


@pytest.mark.parametrize(
    ("final_step", "timesteps", "policy", "reason"),
    [
        ("keep", 31, "keep", "asked for"),
        ("drop", 30, "drop", "asked for"),
    ],
)
def test_final_step_as_asked_for(
    recording: Path, tmp_path: Path, final_step: str, timesteps: int, policy: str, reason: str
) -> None:
    made = ingest(recording, tmp_path / "out", settings={"final_step": final_step}, max_episodes=1).manifest
    assert made.splits["train"].totals.timesteps == timesteps
    decided = made.tasks["breakout"].final_step
    assert decided is not None
    assert (decided.policy, decided.reason) == (policy, reason)


def test_max_episodes_are_the_first_ones(recording: Path, breakout: Path, tmp_path: Path) -> None:
    made = ingest(recording, tmp_path / "out", max_episodes=3).manifest
    assert [shard.totals.episodes for shard in made.splits["train"].shards] == [2, 1]
    assert ids(tmp_path / "out", "train") == [
        "breakout/00000/000000",
        "breakout/00000/000001",
        "breakout/00001/000000",
    ]


def test_shards_in_folders_of_their_own_are_found(recording: Path, breakout: Path, tmp_path: Path) -> None:
    """A TFDS folder may name its shards by a template with a folder in it."""
    folder = tmp_path / "rlds"
    shutil.copytree(recording, folder)
    (folder / "train").mkdir()
    for path in rlds_inputs.shards(folder):
        path.rename(folder / "train" / path.name)
    info = json.loads((folder / "dataset_info.json").read_text())
    template = "{SPLIT}/{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    rlds_inputs.edit_json(folder / "dataset_info.json", splits=[{**info["splits"][0], "filepathTemplate": template}])
    ingest(folder, tmp_path / "breakout", holdout=0.55)
    for path in rlds_inputs.shards(breakout):
        assert (tmp_path / "breakout" / path.name).read_bytes() == path.read_bytes()


def raw_frames(recording: Path) -> np.ndarray[Any, Any]:
    """The frames of the first episode, gray (T, 84, 84)."""
    directory = open_directory(recording)
    raw = next(iter(read_records(directory.split("train").shards[0].path)))
    images = EpisodeDecoder(directory.features.leaves).decode(raw.data).images["steps/observation"]
    return decode_images(images, (84, 84, 1))[..., 0]


def test_padded_frames_put_back_together_are_the_source(recording: Path, tmp_path: Path) -> None:
    settings = {"image_size": (96, 112), "image_fit": "pad"}
    ingest(recording, tmp_path / "out", settings=settings, max_episodes=1)
    sequence = records(tmp_path / "out")[0].sequence
    assert sequence.image_grid[1].tolist() == [42, 6, 7, 84, 84]
    source = np.repeat(raw_frames(recording)[:30, ..., None], 3, axis=-1)
    np.testing.assert_array_equal(np.stack(frames(sequence)), source)
    tiles = sequence.patches.reshape(30, 6, 7, 16, 16, 3).transpose(0, 1, 3, 2, 4, 5).reshape(30, 96, 112, 3)
    padded = np.zeros((30, 96, 112, 3), np.uint8)
    padded[:, :84, :84] = source
    np.testing.assert_array_equal(tiles, padded)


def test_image_size_decides_the_tokens_of_a_timestep(recording: Path, tmp_path: Path) -> None:
    made = ingest(recording, tmp_path / "out", settings={"image_size": (32, 48)}, max_episodes=1).manifest
    assert made.splits["train"].totals.tokens == 30 * (2 * 3 + 2)
    assert records(tmp_path / "out")[0].sequence.image_grid[0].tolist() == [0, 2, 3, 32, 48]


def test_raw_patches_are_the_patches(recording: Path, breakout: Path, tmp_path: Path) -> None:
    made = ingest(recording, tmp_path / "out", patch_encoding="raw", max_episodes=1).manifest
    assert made.patch_encoding.name == "raw"
    raw, blocks = records(tmp_path / "out", "raw")[0], records(breakout)[0]
    assert raw.episode_id == blocks.episode_id
    np.testing.assert_array_equal(raw.sequence.patches, blocks.sequence.patches)


def test_an_episode_of_more_distinct_patches_than_a_record_holds_is_a_dead_letter(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ingest(recording, tmp_path / "whole").manifest
    found = {record.episode_id: distinct_patches(record.sequence.patches) for record in records(tmp_path / "whole")}
    count = {name: len(patches.patches) for name, patches in found.items()}
    most = max(count.values())
    monkeypatch.setattr(patches_module, "MOST_DISTINCT", most - 1)
    made = ingest(recording, tmp_path / "less", max_bad=1.0).manifest
    bad = [name for name, distinct in count.items() if distinct == most]
    assert made.dead_letters == len(bad)
    letters = [json.loads(line) for line in (tmp_path / "less" / "dead_letters.jsonl").read_text().splitlines()]
    assert {letter["stage"] for letter in letters} == {"write"}
    assert f"{most:,} distinct patches in one timestep or image, a record holds at most {most - 1:,}" in str(letters)
    assert [record.episode_id for record in records(tmp_path / "less")] == [name for name in count if name not in bad]
    assert made.totals.tokens == sum(row.count for row in made.statistics if row.role == "action") * 22
    assert made.totals.distinct_patches == whole.totals.distinct_patches - most * len(bad)


def test_separate_discrete_ids_stand_after_the_separator(recording: Path, breakout: Path, tmp_path: Path) -> None:
    made = ingest(recording, tmp_path / "out", discrete_ids="separate", max_episodes=1).manifest
    assert (made.vocabulary.discrete_offset, made.vocabulary.size) == (33025, 34049)
    ours, papers = records(tmp_path / "out")[0].sequence.tokens, records(breakout)[0].sequence.tokens
    np.testing.assert_array_equal(ours.reshape(-1, 22)[:, :21], papers.reshape(-1, 22)[:, :21])
    np.testing.assert_array_equal(ours.reshape(-1, 22)[:, 21], papers.reshape(-1, 22)[:, 21] + 33025)


def test_a_plan_writes_nothing(recording: Path, tmp_path: Path) -> None:
    dry = plan_only("atari", {}, recording, tmp_path / "a" / "b", IngestSettings(holdout=0.55))
    assert isinstance(dry, DryRun)
    assert list(tmp_path.iterdir()) == []
    assert [part.count for part in dry.plan.parts] == [2, 2, 2]
    made = ingest(recording, tmp_path / "out", holdout=0.55).manifest
    assert made.fingerprint == dry.recipe.fingerprint


@pytest.mark.parametrize(
    ("asked", "changes"),
    [
        ({"holdout": 0.3}, True),
        ({"patch_encoding": "raw"}, True),
        ({"discrete_ids": "separate"}, True),
        ({"max_bad": 3, "overwrite": True, "workers": 2, "runner": "flink", "name": "other"}, False),
    ],
)
def test_the_fingerprint_covers_what_decides_the_bytes(
    recording: Path, tmp_path: Path, asked: dict[str, Any], changes: bool
) -> None:
    usual = plan_only("atari", {}, recording, tmp_path / "out", IngestSettings()).recipe.fingerprint
    other = plan_only("atari", {}, recording, tmp_path / "out", IngestSettings(**asked)).recipe.fingerprint
    assert (other != usual) is changes


def test_the_fingerprint_does_not_depend_on_how_many_episodes_there_are(tmp_path: Path) -> None:
    few = rlds_inputs.write(tmp_path / "few", [rlds_inputs.moving(n) for n in range(2)])
    more = rlds_inputs.write(tmp_path / "more", [rlds_inputs.moving(n) for n in range(3)])
    plans = [plan_only("rlds", {}, folder, tmp_path / "out", IngestSettings()) for folder in (few, more)]
    assert plans[0].recipe.fingerprint == plans[1].recipe.fingerprint
    reasons = [plan.plan.tasks["arm"].final_step for plan in plans]
    assert reasons[0] != reasons[1]


@pytest.mark.parametrize("name", ["../evil", "a/b", "Breakout", "1st", "a-b", "", "x" * 101])
def test_a_name_cannot_leave_the_folder(name: str) -> None:
    if not name:
        assert IngestSettings(name=name).name == ""
        return
    with pytest.raises(SettingError, match="lower-case letters, digits and underscores"):
        IngestSettings(name=name)


@pytest.mark.parametrize("asked", [{"holdout": 1.0}, {"holdout": -0.1}, {"holdout": float("nan")}, {"max_episodes": 0}])
def test_impossible_settings(asked: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=r"is wanted$"):
        IngestSettings(**asked)


def no_space(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("place", [(shards.ShardWriter, "add"), (shards, "write_durably"), (commit, "write_durably")])
def test_a_full_disk_is_one_clear_sentence_and_loses_nothing(
    recording: Path, breakout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: tuple[Any, str]
) -> None:
    out = tmp_path / "breakout"
    with monkeypatch.context() as patch:
        patch.setattr(*place, no_space)
        with pytest.raises(OutputError) as raised:
            ingest(recording, out, holdout=0.55)
    assert str(raised.value) == (
        f"{out} cannot be written (No space left on device): free space or mend its permissions, then run the same "
        "command again; finished shards are kept"
    )
    ingest(recording, out, holdout=0.55)
    assert digests(out) == digests(breakout)


@pytest.mark.parametrize(
    ("package", "message"),
    [
        ("apache_beam", "ingest needs Apache Beam: pip install 'gato-data[ingest]'"),
        ("cv2", 'images need OpenCV: pip install "gato-data[ingest]", or opencv-python-headless alone'),
    ],
)
def test_a_package_that_is_not_installed_is_named(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, message: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    import_cv2.cache_clear()
    with pytest.raises(MissingPackageError) as raised:
        ingest(recording, tmp_path / "out")
    assert str(raised.value) == message
    assert not (tmp_path / "out").exists()
