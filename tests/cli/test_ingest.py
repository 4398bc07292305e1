"""`gato-data ingest` as a user types it: what it prints, its exit codes, and one clear sentence for wrong input."""

import fcntl
import json
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from gato_cli.main import cli
from gato_schemas.dataset import read_manifest
from tests.rlds_inputs import (
    DISCRETE,
    IMAGE,
    digests,
    edit_json,
    episode,
    flip,
    moving,
    shards,
    write,
)


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(cli, ["ingest", *map(str, arguments)], env={"COLUMNS": "160"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def error_of(result: Result, code: int = 1) -> str:
    """The one sentence that a failed command ends with."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: ")
    return last.removeprefix("Error: ")


@pytest.fixture
def damaged(recording: Path, tmp_path: Path) -> Path:
    """A copy of the recording, to be damaged."""
    copy = tmp_path / "rlds"
    shutil.copytree(recording, copy)
    return copy


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


class TestWhatItPrints:
    def test_a_table_on_stdout_and_the_rest_on_stderr(self, recording: Path, out: Path) -> None:
        result = run("atari", recording, "--out", out, "--holdout", "0.55")
        assert result.exit_code == 0
        assert [line.split() for line in result.stdout.splitlines()[:3]] == [
            ["split", "shards", "episodes", "timesteps", "tokens", "trained", "on", "MB"],
            ["train", "3", "3", "90", "1,980", "4.5%", "0.05"],
            ["validation", "3", "3", "90", "1,980", "4.5%", "0.05"],
        ]
        assert "task breakout: 22 tokens a timestep; final timestep: drop (6 of 6 episodes end " in result.stdout
        first, last = result.stderr.splitlines()
        assert first == "6 episodes in 3 parts"
        assert re.fullmatch(rf"{re.escape(str(out))} is complete: 3,960 tokens in \d+\.\d s \([\d,]+ a second\)", last)

    def test_json_is_one_object_with_stable_keys(self, recording: Path, out: Path) -> None:
        result = run("atari", recording, "--out", out, "--json", "--max-episodes", "2")
        found = json.loads(result.stdout)
        assert len(result.stdout.splitlines()) == 1
        assert sorted(found) == [
            "bytes",
            "dead_letters",
            "family",
            "fingerprint",
            "name",
            "out",
            "splits",
            "tasks",
            "totals",
            "warnings",
        ]
        assert found["totals"] == {
            "episodes": 2,
            "images": 60,
            "loss_share": 1 / 22,
            "loss_tokens": 60,
            "patches": 1200,
            "records": 2,
            "timesteps": 60,
            "tokens": 1320,
            "tokens_by_modality": {"continuous": 0, "discrete": 60, "patch": 1200, "separator": 60, "text": 0},
        }
        assert found["splits"] == {"train": found["totals"]}
        assert (found["family"], found["name"], found["out"]) == ("atari", "out", str(out))
        assert found["bytes"] == sum(path.stat().st_size for path in shards(out))
        assert (found["dead_letters"], found["warnings"]) == (0, [])

    def test_a_dry_run_says_what_would_be_done_and_makes_no_folder(self, recording: Path, out: Path) -> None:
        result = run("atari", recording, "--out", out / "deep", "--dry-run")
        assert result.exit_code == 0
        assert not out.exists()
        assert result.stderr == ""
        assert result.stdout.splitlines()[0] == "task breakout: 6 episodes, 22 tokens a timestep"
        assert result.stdout.splitlines()[-1] == f"3 parts would be written to {out / 'deep'}; nothing was written"
        rows = [line.split() for line in result.stdout.splitlines()]
        assert ["observation", "observation", "image", "64x80x3", "uint8"] in rows
        assert ["action", "action", "discrete", "-", "int64"] in rows

    def test_a_dry_run_as_json(self, recording: Path, out: Path) -> None:
        found = json.loads(run("atari", recording, "--out", out, "--dry-run", "--json").stdout)
        assert not out.exists()
        assert {"dry_run", "fingerprint", "out", "parts", "tasks", "vocabulary"} <= found.keys()
        assert found["dry_run"] is True
        made = json.loads(run("atari", recording, "--out", out, "--json").stdout)
        assert made["fingerprint"] == found["fingerprint"]

    def test_a_complete_dataset_says_so(self, recording: Path, breakout: Path, tmp_path: Path) -> None:
        copy = tmp_path / "breakout"
        shutil.copytree(breakout, copy)
        result = run("atari", recording, "--out", copy, "--holdout", "0.55")
        assert result.exit_code == 0
        assert result.stderr == f"{copy} was complete already\n"
        assert result.stdout.splitlines()[1].split()[:5] == ["train", "3", "3", "90", "1,980"]
        assert digests(copy) == digests(breakout)

    @pytest.mark.parametrize(("holdout", "empty"), [("0.01", "validation"), ("0.99", "train")])
    def test_an_empty_split_is_told(self, recording: Path, out: Path, holdout: str, empty: str) -> None:
        result = run("atari", recording, "--out", out, "--holdout", holdout)
        assert result.exit_code == 0
        assert result.stderr.splitlines()[-1] == (
            f"Warning: the {empty} split is empty: --holdout draws every episode on its own, and none of these fell "
            "to it; give more episodes or another share"
        )

    def test_clipped_actions_are_told(self, tmp_path: Path, out: Path) -> None:
        beyond = np.array([[0, 5], [-3, 2], [0, 0.5]], np.float32)
        folder = write(tmp_path / "rlds", [episode(beyond), moving(1)])
        result = run("atari", folder, "--out", out)
        assert result.exit_code == 0
        assert "clipped" in result.stderr
        assert "they reach from -3 to 5" in result.stderr
        assert "--action-range" in result.stderr
        within = run("atari", folder, "--out", out, "--overwrite", "--action-range=-3:5")
        assert within.exit_code == 0
        assert "Warning" not in within.stderr


class TestWrongUsage:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["atarri", "x"], r"no source named 'atarri'\. Did you mean 'atari'\?"),
            (["zzz", "x"], r"no source named 'zzz'\. There are: .*\batari\b.*"),
            (["atari", "x", "--holdot", "0.1"], r"No such option '?--holdot'?.*--holdout.*"),
            (["atari", "x", "--runner", "dusk"], r"Invalid value for '--runner': 'dusk' is not one of 'local', .*"),
            (["atari", "x", "--holdout", "1"], r"Invalid value for '--holdout': 1\.0 is not in the range 0<=x<1\."),
            (["atari", "x", "--max-bad", "-1"], r"Invalid value for '--max-bad': -1 is not in the range x>=0\."),
            (
                ["atari", "x", "--max-episodes", "0"],
                r"Invalid value for '--max-episodes': 0 is not in the range x>=1\.",
            ),
            (["atari", "x", "--workers", "0"], r"Invalid value for '--workers': 0 is not in the range x>=1\."),
            (
                ["atari", "x", "--patch-encoding", "zip"],
                r"Invalid value for '--patch-encoding': 'zip' is not one of .*",
            ),
            (
                ["atari", "x", "--image-size", "big"],
                r"Invalid value for '--image-size': 'big' is not a size: give height and width in pixels, .*64x80",
            ),
            (["atari", "x", "--image-fit", "crop"], r"Invalid value for '--image-fit': 'crop' is not one of .*"),
            (["atari", "x", "--final-step", "no"], r"Invalid value for '--final-step': 'no' is not one of .*"),
            (["atari"], r"give .*INPUT.* or --tfds-name"),
            (["atari", "x", "--tfds-name", "rlu_atari"], r"give .*INPUT.* or --tfds-name"),
        ],
    )
    def test_it_is_exit_2(self, arguments: list[str], message: str, out: Path) -> None:
        assert re.fullmatch(message, error_of(run(*arguments, "--out", out), 2))
        assert not out.exists()

    def test_out_is_wanted(self) -> None:
        assert error_of(run("atari", "x"), 2) == "Missing option '--out'."

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--split", "trian"], r"{recording} has no split 'trian': did you mean 'train'\?"),
            (["--image-size", "60x80"], r"an image side of 60 pixels is not a positive multiple of 16"),
            (["--image-size", "0x80"], r"an image side of 0 pixels is not a positive multiple of 16"),
            (
                ["--image-size", "512x512"],
                r"a timestep of task 'breakout' has 1024 observation tokens \(field 'observation': 1024\), at most 512 "
                r"were expected: raise --max-observation-tokens, make images smaller with --image-size, or leave "
                r"fields out with --drop-keys",
            ),
            (["--drop-keys", "obs"], r"--drop-keys names 'obs', which rlu_atari.* lacks: .*observation.*"),
            (["--action-keys", "act"], r"--action-keys names 'act', which rlu_atari.* lacks: .*action.*"),
            (
                ["--name", "../evil"],
                r"name is '\.\./evil': lower-case letters, digits and underscores after a letter .*",
            ),
            (["--beam-option", "nonsense=1"], r"Beam has no pipeline option 'nonsense': its documentation lists them"),
            (["--beam-option", "nonsense"], r"--beam-option 'nonsense' is not of the form NAME=VALUE"),
            (["--text-model", "nope.model"], r"cannot read the text model nope\.model: No such file or directory; .*"),
        ],
    )
    def test_a_setting_that_does_not_fit_the_data(
        self, arguments: list[str], message: str, recording: Path, out: Path
    ) -> None:
        found = error_of(run("atari", recording, "--out", out, *arguments))
        assert re.fullmatch(message.format(recording=re.escape(str(recording))), found)
        assert not out.exists(), "nothing is left behind"
        assert list(out.parent.iterdir()) == []


def no_features(folder: Path) -> None:
    (folder / "features.json").unlink()


def no_steps(folder: Path) -> None:
    features = json.loads((folder / "features.json").read_text())
    del features["featuresDict"]["features"]["steps"]
    (folder / "features.json").write_text(json.dumps(features))


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
            (missing_shard, rf"shard {SHARD} of split 'train' cannot be read in {{folder}} \(No such file or .*"),
            (lfs_pointer, rf"{SHARD} is a Git-LFS pointer, not the shard itself: run `git lfs pull` in its repository"),
            (compressed, rf"{SHARD} is gzip-compressed: an uncompressed TFRecord file is wanted"),
        ],
    )
    def test_it_is_one_sentence_and_leaves_nothing(
        self, damaged: Path, out: Path, damage: Callable[[Path], None], message: str
    ) -> None:
        damage(damaged)
        assert re.fullmatch(
            message.format(folder=re.escape(str(damaged))), error_of(run("atari", damaged, "--out", out))
        )
        assert not out.exists()

    def test_episodes_without_observation(self, tmp_path: Path, out: Path) -> None:
        folder = write(tmp_path / "rlds", [moving(0)])
        found = error_of(run("atari", folder, "--out", out, "--drop-keys", "state"))
        assert "has no observation to tokenize" in found
        assert "state" in found


def lengths_of(path: Path) -> list[int]:
    """Bytes of every record with its frame."""
    data, sizes = path.read_bytes(), []
    while sum(sizes) < len(data):
        sizes.append(struct.unpack_from("<Q", data, sum(sizes))[0] + 16)
    return sizes


def truncate(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


class TestDamagedShards:
    """What can be read is kept; how much cannot be read is said."""

    def bad(self, folder: Path, out: Path, lost: int, why: str) -> None:
        found = error_of(run("atari", folder, "--out", out))
        assert found == (
            f"{lost} of 6 episodes could not be used, --max-bad allows 0 (first: {why}); all are in "
            f"{out}/dead_letters.jsonl: run the same command with --max-bad {lost} to go without them (finished "
            "shards are kept), or mend the input and use --overwrite"
        )
        assert not (out / "dataset.json").exists()
        before = {path.name: path.stat().st_ino for path in shards(out)}
        result = run("atari", folder, "--out", out, "--max-bad", str(lost))
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
        found = error_of(run("atari", damaged, "--out", out))
        assert re.match(
            rf"1 of 6 episodes could not be used.*{SHARD} ends after 1 record.*, 2 were wanted; 1 episode", found
        )

    def test_an_empty_file(self, damaged: Path, out: Path) -> None:
        (damaged / self.name).write_bytes(b"")
        found = error_of(run("atari", damaged, "--out", out))
        assert re.match(
            rf"2 of 6 episodes could not be used.*{SHARD} ends after 0 records, 2 were wanted; 2 episod", found
        )

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
        found = error_of(run("atari", damaged, "--out", out))
        assert found.startswith("1 of 6 episodes could not be used")


def record_ids(path: Path) -> list[str]:
    from gato_schemas.record import decode_record
    from gato_schemas.tfrecord import read_records

    return [decode_record(raw.data, "zlib").episode_id for raw in read_records(path)]


def png(value: int) -> bytes:
    import cv2

    done, data = cv2.imencode(".png", np.full((40, 60, 3), value, np.uint8))
    assert done
    return bytes(data)


class TestBadEpisodes:
    def letters(self, out: Path) -> list[tuple[str, str, str]]:
        lines = (out / "dead_letters.jsonl").read_text().splitlines()
        return [(one["key"], one["stage"], one["reason"]) for one in map(json.loads, lines)]

    def test_not_a_number(self, tmp_path: Path, out: Path) -> None:
        actions = np.zeros((4, 2), np.float32)
        actions[2, 1] = np.nan
        folder = write(tmp_path / "rlds", [moving(0), moving(1), episode(actions), moving(3)])
        assert error_of(run("atari", folder, "--out", out)).startswith("1 of 4 episodes could not be used")
        ((key, stage, reason),) = self.letters(out)
        assert (key, stage) == ("record 2", "tokenize")
        assert re.fullmatch(r"action is nan at timestep 2, element \[?1\]?: a finite number is wanted", reason)
        assert run("atari", folder, "--out", out, "--max-bad", "1").exit_code == 0
        assert record_ids(shards(out)[0]) == ["arm/00000/000000", "arm/00000/000001", "arm/00000/000003"]
        (row,) = [row for row in read_manifest(out).statistics if row.role == "action"]
        assert (row.nan, row.count) == (1, 15)

    def test_numbers_that_have_no_discrete_id(self, tmp_path: Path, out: Path) -> None:
        episodes = [episode(np.array(actions)) for actions in ([0, 1023, 5], [3, 1024, 0], [-1, 0, 2])]
        folder = write(tmp_path / "rlds", episodes, action=DISCRETE)
        assert error_of(run("atari", folder, "--out", out)).startswith("2 of 3 episodes could not be used")
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
        assert error_of(run("atari", folder, "--out", out, *options)).startswith("3 of 4 episodes could not be used")
        found = self.letters(out)
        assert [(key, stage) for key, stage, _ in found] == [(f"record {n}", "decode") for n in (1, 2, 3)]
        for (_, _, reason), timestep in zip(found, (1, 1, 2), strict=True):
            assert reason.startswith(f"image: the image of timestep {timestep} cannot be decoded")

    def test_no_good_episode_makes_no_dataset(self, tmp_path: Path, out: Path) -> None:
        bad = episode(np.full((4, 2), np.inf, np.float32))
        folder = write(tmp_path / "rlds", [bad, bad])
        found = error_of(run("atari", folder, "--out", out, "--max-bad", "9"))
        assert re.fullmatch(
            r"no episode could be used \(the first of 2: .*arm-train.tfrecord-00000-of-00001, record 0: "
            r"action is inf at timestep 0.*\): no dataset was made",
            found,
        )
        assert not (out / "dataset.json").exists()


class TestTheOutputFolder:
    def test_not_ours(self, recording: Path, out: Path) -> None:
        out.mkdir()
        (out / "thesis.tex").write_text("years of work")
        for option in ([], ["--overwrite"], ["--dry-run"]):
            found = error_of(run("atari", recording, "--out", out, *option))
            assert found == (
                f"{out} is not empty and holds no dataset of gato-data (but 'thesis.tex'): choose another --out"
            )
        assert [path.name for path in out.iterdir()] == ["thesis.tex"]

    def test_a_manifest_that_is_not_ours(self, recording: Path, out: Path) -> None:
        out.mkdir()
        (out / "dataset.json").write_text('{"name": "somebody else\'s"}')
        for option in ([], ["--overwrite"]):
            found = error_of(run("atari", recording, "--out", out, *option))
            assert found == f"{out} has a dataset.json that gato-data did not write: choose another --out"
        assert [path.name for path in out.iterdir()] == ["dataset.json"]

    def test_a_file(self, recording: Path, out: Path) -> None:
        out.write_text("a file")
        assert error_of(run("atari", recording, "--out", out)) == f"{out} is a file: --out wants a folder"
        assert out.read_text() == "a file"

    def test_the_input_itself(self, damaged: Path) -> None:
        before = digests(damaged)
        assert "holds no dataset of gato-data" in error_of(run("atari", damaged, "--out", damaged))
        assert digests(damaged) == before

    def test_in_use(self, recording: Path, out: Path) -> None:
        (out / ".ingest").mkdir(parents=True)
        with (out / ".ingest" / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for option in ([], ["--overwrite"]):
                found = error_of(run("atari", recording, "--out", out, *option))
                assert found == f"another ingest is writing to {out}: wait until it ends, or choose another --out"
            assert (out / ".ingest" / "lock").exists()

    def test_it_cannot_be_made(self, recording: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        out = tmp_path / "file" / "out"
        assert re.fullmatch(
            rf"{re.escape(str(out))} cannot be written \(Not a directory\): .*",
            error_of(run("atari", recording, "--out", out)),
        )

    @pytest.mark.parametrize(
        ("option", "difference"),
        [
            (["--holdout", "0.2"], "holdout was 0.0, now 0.2"),
            (["--image-size", "32x32"], r"settings\.image_size was \[64,80\], now \[32,32\]"),
            (["--patch-encoding", "raw"], r'encoding\.name was "zlib", now "raw"'),
            (["--discrete-ids", "separate"], r"vocabulary\.discrete_offset was 0, now 33025"),
            (["--final-step", "keep"], r'settings\.final_step was "auto", now "keep"'),
            (["--name", "other"], r'name was "out", now "other"'),
            (["--max-episodes", "2"], r"shards was 3, now 1"),
        ],
    )
    def test_an_unfinished_dataset_wants_the_same_settings(
        self, damaged: Path, out: Path, option: list[str], difference: str
    ) -> None:
        truncate(damaged / TestDamagedShards.name, 100)
        error_of(run("atari", damaged, "--out", out))
        before = digests(out)
        found = error_of(run("atari", damaged, "--out", out, *option))
        assert re.fullmatch(
            rf"{re.escape(str(out))} holds an unfinished dataset made with other settings \({difference}\): use the "
            r"same settings to continue, or --overwrite to start again",
            found,
        )
        found_after = digests(out)
        assert {name: found_after[name] for name in before} == before

    @pytest.mark.parametrize(
        ("option", "difference"),
        [
            (["--holdout", "0.2"], "holdout was 0.55, now 0.2"),
            (["--image-size", "32x32"], r"source\.settings\.image_size was \[64,80\], now \[32,32\]"),
            (["--name", "other"], r'name was "breakout", now "other"'),
            (["--max-episodes", "2"], r"shards was 3, now 1"),
        ],
    )
    def test_a_complete_dataset_is_not_replaced(
        self, recording: Path, breakout: Path, tmp_path: Path, option: list[str], difference: str
    ) -> None:
        out = tmp_path / "breakout"
        shutil.copytree(breakout, out)
        found = error_of(run("atari", recording, "--out", out, "--holdout", "0.55", *option))
        assert re.fullmatch(
            rf"{re.escape(str(out))} holds a complete dataset made from other input or with other settings "
            rf"\({difference}\): choose another --out, or --overwrite to make it again",
            found,
        )
        assert digests(out) == digests(breakout)

    def test_a_complete_dataset_of_which_a_shard_is_gone(self, recording: Path, breakout: Path, tmp_path: Path) -> None:
        out = tmp_path / "breakout"
        shutil.copytree(breakout, out)
        truncate(shards(out)[0], 50)
        found = error_of(run("atari", recording, "--out", out, "--holdout", "0.55"))
        assert "holds a complete dataset, but the shard of part 0 is missing or damaged" in found
        again = run("atari", recording, "--out", out, "--holdout", "0.55", "--overwrite")
        assert again.exit_code == 0
        assert digests(out) == digests(breakout)

    def test_a_manifest_of_another_version_is_not_replaced(
        self, recording: Path, breakout: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "breakout"
        shutil.copytree(breakout, out)
        edit_json(out / "dataset.json", version=99)
        found = error_of(run("atari", recording, "--out", out, "--holdout", "0.55"))
        assert "version 99" in found
        assert found.endswith("choose another --out, or --overwrite to make it again")
        assert run("atari", recording, "--out", out, "--holdout", "0.55", "--overwrite").exit_code == 0
        assert digests(out) == digests(breakout)
