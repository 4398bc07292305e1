"""Wrong and damaged input: one clear sentence, and whatever can be read is kept."""

import json
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gato_schemas.dataset import read_manifest
from gato_schemas.record import decode_record
from gato_schemas.tfrecord import read_records
from tests.cli.command import error_of, ingest
from tests.rlds_inputs import DISCRETE, IMAGE, edit_json, episode, flip, moving, png, shards, truncate, write


def no_features(folder: Path) -> None:
    (folder / "features.json").unlink()


def no_steps(folder: Path) -> None:
    features = json.loads((folder / "features.json").read_text())
    del features["featuresDict"]["features"]["steps"]
    (folder / "features.json").write_text(json.dumps(features))


def riegeli(folder: Path) -> None:
    for path in shards(folder):
        path.rename(path.with_name(path.name.replace("tfrecord", "riegeli")))
    edit_json(folder / "dataset_info.json", fileFormat="riegeli")


def unknown_format(folder: Path) -> None:
    edit_json(folder / "dataset_info.json", fileFormat="zarr")


def cut_json(folder: Path) -> None:
    (folder / "dataset_info.json").write_text('{"name": "rlu_')


def no_splits(folder: Path) -> None:
    edit_json(folder / "dataset_info.json", splits=[])


def missing_shard(folder: Path) -> None:
    shards(folder)[1].unlink()


def lfs_pointer(folder: Path) -> None:
    shards(folder)[1].write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 14282\n")


def compressed(folder: Path) -> None:
    shards(folder)[1].write_bytes(b"\x1f\x8b\x08\x00 and so on")


def nothing_there(folder: Path) -> None:
    shutil.rmtree(folder)


def empty_folder(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def other_files(folder: Path) -> None:
    empty_folder(folder)
    (folder / "notes.txt").write_text("no episodes here")


def a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("no folder")


FILES = r"dataset_info\.json and features\.json"
SHARD = r"rlu_atari-train\.tfrecord-00001-of-00003"
LOST = r"1 of 3 files of rlu_atari/Breakout_run_1/1\.3\.0 is missing, with 2 episodes"
ALLOW = "restore it, or go on without it with --allow-missing-shards"


class TestWrongInput:
    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (nothing_there, r"{folder} does not exist: give the folder .*"),
            (empty_folder, r"{folder} is empty: .*RLDS.*"),
            (a_file, r"{folder} is .*file.*: .*RLDS.*"),
            (other_files, rf"{{folder}} holds (no|nothing) .*RLDS.*{FILES}.*"),
            (no_features, r"{folder} has no features\.json: it is not a complete TFDS dataset"),
            (no_steps, r"{folder}/features\.json: not an RLDS dataset: the feature `steps` is missing .*"),
            (no_splits, r"{folder} has no splits in dataset_info\.json: it holds no data .*"),
            (cut_json, r"{folder}/dataset_info\.json is not the description of a TFDS dataset: .*"),
            (unknown_format, r"{folder} is stored as zarr, which cannot be read here: convert it with `tfds .*`"),
            (riegeli, r".*\.riegeli-.* is stored as riegeli, for which TFDS needs riegeli: install it, or convert .*"),
            (missing_shard, rf"{LOST} \({SHARD}: No such file or directory\): {ALLOW}"),
            (
                lfs_pointer,
                rf"1 file of {{folder}} is a Git LFS pointer \({SHARD}\): run git lfs pull there, or go on without it "
                "with --allow-missing-shards",
            ),
            (compressed, rf"{SHARD} is gzip-compressed: an uncompressed TFRecord file is wanted"),
        ],
    )
    def test_it_is_one_sentence_and_leaves_nothing(
        self, damaged: Path, out: Path, damage: Callable[[Path], None], message: str
    ) -> None:
        damage(damaged)
        assert re.fullmatch(
            message.format(folder=re.escape(str(damaged))), error_of(ingest("atari", damaged, "--out", out))
        )
        assert not out.exists()

    def test_episodes_without_observation(self, tmp_path: Path, out: Path) -> None:
        folder = write(tmp_path / "rlds", [moving(0)])
        found = error_of(ingest("rlds", folder, "--out", out, "--drop-keys", "state"))
        assert "has no observation to tokenize" in found
        assert "state" in found


def lengths_of(path: Path) -> list[int]:
    """Bytes of every record with its frame."""
    data, sizes = path.read_bytes(), []
    while sum(sizes) < len(data):
        sizes.append(struct.unpack_from("<Q", data, sum(sizes))[0] + 16)
    return sizes


class TestDamagedShards:
    """What can be read is kept; how much cannot be read is said."""

    def bad(self, folder: Path, out: Path, lost: int, why: str) -> None:
        found = error_of(ingest("atari", folder, "--out", out))
        assert found == (
            f"{lost} of 6 episodes could not be used, --max-bad allows 0 (first: {why}); all are in "
            f"{out}/dead_letters.jsonl: run the same command with --max-bad {lost} to go without them (finished "
            "shards are kept), or mend the input and run it with --retry-dead-letters"
        )
        assert not (out / "dataset.json").exists()
        before = {path.name: path.stat().st_ino for path in shards(out)}
        result = ingest("atari", folder, "--out", out, "--max-bad", str(lost))
        assert result.exit_code == 0
        assert {path.name: path.stat().st_ino for path in shards(out)} == before, "a commit writes no shard"
        left_out = "1 episode was" if lost == 1 else f"{lost} episodes were"
        assert result.stderr.splitlines() == [
            "6 episodes in 3 parts, 3 of them finished already",
            f"{out} is complete: {(6 - lost) * 660:,} tokens",
            f"Warning: {left_out} left out: see dead_letters.jsonl",
        ]
        manifest = read_manifest(out)
        assert manifest.dead_letters == lost
        assert manifest.splits["train"].totals.episodes == 6 - lost

    name = "rlu_atari-train.tfrecord-00001-of-00003"

    def test_truncated_inside_a_record(self, damaged: Path, out: Path) -> None:
        path = damaged / self.name
        truncate(path, path.stat().st_size - 1000)
        start = lengths_of(path)[0]
        why = f"{self.name} is truncated inside record 1 (byte {start}); 1 episode from there on cannot be read"
        self.bad(damaged, out, 1, why)

    def test_truncated_between_two_records(self, damaged: Path, out: Path) -> None:
        """Only the number in dataset_info.json tells."""
        path = damaged / self.name
        truncate(path, lengths_of(path)[0])
        found = error_of(ingest("atari", damaged, "--out", out))
        assert re.match(rf"1 of 6 episodes could not be used.*{SHARD} ends after 1 of 2 records; 1 episode from", found)

    def test_an_empty_file(self, damaged: Path, out: Path) -> None:
        (damaged / self.name).write_bytes(b"")
        found = error_of(ingest("atari", damaged, "--out", out))
        assert re.fullmatch(rf"{LOST} \({SHARD}: it is empty\): {ALLOW}", found)

    def test_a_flipped_bit_in_the_data_costs_one_episode(self, damaged: Path, out: Path) -> None:
        flip(damaged / self.name, 3000)
        self.bad(damaged, out, 1, f"record 0 of {self.name} (byte 12) does not match its checksum")
        assert [record_ids(path) for path in shards(out)] == [
            ["breakout/00000/000000", "breakout/00000/000001"],
            ["breakout/00001/000001"],
            ["breakout/00002/000000", "breakout/00002/000001"],
        ]
        letters = [json.loads(line) for line in (out / "dead_letters.jsonl").read_text().splitlines()]
        assert [(Path(one["source"]).name, one["key"], one["stage"], one["count"]) for one in letters] == [
            (self.name, "record 0", "read", 1)
        ]

    def test_a_flipped_bit_in_the_first_length_ends_the_shard(self, damaged: Path, out: Path) -> None:
        flip(damaged / self.name, 2)
        why = f"{self.name} is not a TFRecord file (byte 0); 2 episodes from there on cannot be read"
        self.bad(damaged, out, 2, why)

    def test_a_flipped_bit_in_a_later_length(self, damaged: Path, out: Path) -> None:
        start = lengths_of(damaged / self.name)[0]
        flip(damaged / self.name, start + 1)
        why = f"{self.name} has a damaged length at record 1 (byte {start}); 1 episode from there on cannot be read"
        self.bad(damaged, out, 1, why)

    def test_without_numbers_of_episodes_the_damaged_rest_counts_once(self, damaged: Path, out: Path) -> None:
        info = json.loads((damaged / "dataset_info.json").read_text())
        split = info["splits"][0]
        del split["shardLengths"]
        edit_json(damaged / "dataset_info.json", splits=[{**split, "numShards": "3"}])
        truncate(damaged / self.name, (damaged / self.name).stat().st_size - 10)
        found = error_of(ingest("atari", damaged, "--out", out))
        assert found.startswith("1 of 6 episodes could not be used")


def record_ids(path: Path) -> list[str]:
    return [decode_record(raw.data, "zlib").episode_id for raw in read_records(path)]


class TestBadEpisodes:
    def letters(self, out: Path) -> list[tuple[str, str, str]]:
        lines = (out / "dead_letters.jsonl").read_text().splitlines()
        return [(one["key"], one["stage"], one["reason"]) for one in map(json.loads, lines)]

    def test_not_a_number(self, tmp_path: Path, out: Path) -> None:
        actions = np.zeros((4, 2), np.float32)
        actions[2, 1] = np.nan
        folder = write(tmp_path / "rlds", [moving(0), moving(1), episode(actions), moving(3)])
        assert error_of(ingest("rlds", folder, "--out", out)).startswith("1 of 4 episodes could not be used")
        ((key, stage, reason),) = self.letters(out)
        assert (key, stage) == ("record 2", "tokenize")
        assert re.fullmatch(r"action is nan at timestep 2, element \[?1\]?: a finite number is wanted", reason)
        assert ingest("rlds", folder, "--out", out, "--max-bad", "1").exit_code == 0
        assert record_ids(shards(out)[0]) == ["arm/00000/000000", "arm/00000/000001", "arm/00000/000003"]
        (row,) = [row for row in read_manifest(out).statistics if row.role == "action"]
        assert (row.nan, row.count) == (1, 15)

    def test_numbers_that_have_no_discrete_id(self, tmp_path: Path, out: Path) -> None:
        episodes = [episode(np.array(actions)) for actions in ([0, 1023, 5], [3, 1024, 0], [-1, 0, 2])]
        folder = write(tmp_path / "rlds", episodes, action=DISCRETE)
        assert error_of(ingest("rlds", folder, "--out", out)).startswith("2 of 3 episodes could not be used")
        assert self.letters(out) == [
            ("record 1", "tokenize", "action is 1024 at timestep 1: an integer in [0, 1024) is wanted"),
            ("record 2", "tokenize", "action is -1 at timestep 0: an integer in [0, 1024) is wanted"),
        ]

    def test_an_image_that_cannot_be_decoded(self, tmp_path: Path, out: Path) -> None:
        def filmed(images: list[bytes]) -> object:
            return episode(np.zeros((3, 2), np.float32), images=images)

        bad = [[png(1), png(2)[:60], png(3)], [png(1), b"nonsense", png(3)], [png(1), png(2), b""]]
        episodes = [filmed([png(1), png(2), png(3)]), *map(filmed, bad)]
        folder = write(tmp_path / "rlds", episodes, observation=IMAGE)  # type: ignore[arg-type]
        options = ("--final-step", "keep", "--image-size", "32x64")
        assert error_of(ingest("rlds", folder, "--out", out, *options)).startswith("3 of 4 episodes could not be used")
        found = self.letters(out)
        assert [(key, stage) for key, stage, _ in found] == [(f"record {n}", "decode") for n in (1, 2, 3)]
        for (_, _, reason), timestep in zip(found, (1, 1, 2), strict=True):
            assert reason.startswith(f"image: the image of timestep {timestep} cannot be decoded")

    def test_no_good_episode_makes_no_dataset(self, tmp_path: Path, out: Path) -> None:
        bad = episode(np.full((4, 2), np.inf, np.float32))
        folder = write(tmp_path / "rlds", [bad, bad])
        found = error_of(ingest("rlds", folder, "--out", out, "--max-bad", "9"))
        assert re.fullmatch(
            r"no episode could be used \(the first of 2: .*arm-train.tfrecord-00000-of-00001, record 0: "
            r"action is inf at timestep 0.*\): no dataset was made",
            found,
        )
        assert not (out / "dataset.json").exists()
