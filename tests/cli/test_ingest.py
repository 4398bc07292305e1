"""`gato-data ingest` as a user types it: what it prints, and what wrong usage is answered with."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.cli.command import error_of, ingest, run
from tests.rlds_inputs import digests, episode, moving, shards, write


class TestWhatItPrints:
    def test_a_table_on_stdout_and_the_rest_on_stderr(self, recording: Path, out: Path) -> None:
        result = ingest("atari", recording, "--out", out, "--holdout", "0.55")
        assert result.exit_code == 0
        assert [line.split() for line in result.stdout.splitlines()[:3]] == [
            ["split", "shards", "episodes", "timesteps", "tokens", "trained", "on", "MB"],
            ["train", "3", "3", "90", "1,980", "4.5%", "0.01"],
            ["validation", "3", "3", "90", "1,980", "4.5%", "0.01"],
        ]
        assert "task breakout: 22 tokens a timestep; final timestep: drop (6 of 6 episodes end " in result.stdout
        first, last = result.stderr.splitlines()
        assert first == "6 episodes in 3 parts"
        assert re.fullmatch(rf"{re.escape(str(out))} is complete: 3,960 tokens in \d+\.\d s \([\d,]+ a second\)", last)

    def test_a_narrow_terminal_cuts_no_figure(self, recording: Path, out: Path) -> None:
        dry = run("ingest", "atari", recording, "--out", out, "--dry-run", columns=40).stdout
        made = run("ingest", "atari", recording, "--out", out, columns=40).stdout
        assert {"observation", "64x80x3", "uint8", "discrete", "int64"} <= set(dry.split())
        assert {"train", "6", "180", "3,960", "4.5%"} <= set(made.split())
        assert "\N{HORIZONTAL ELLIPSIS}" not in dry + made

    def test_json_is_one_object_with_stable_keys(self, recording: Path, out: Path) -> None:
        result = ingest("atari", recording, "--out", out, "--json", "--max-episodes", "2")
        found = json.loads(result.stdout)
        assert len(result.stdout.splitlines()) == 1
        assert sorted(found) == [
            "account",
            "bytes",
            "content_id",
            "dead_letters",
            "family",
            "fingerprint",
            "name",
            "origin",
            "out",
            "splits",
            "tasks",
            "totals",
            "warnings",
        ]
        assert found["totals"] == {
            "distinct_patches": 114,
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
        result = ingest("atari", recording, "--out", out / "deep", "--dry-run")
        assert result.exit_code == 0
        assert not out.exists()
        assert result.stderr == ""
        assert result.stdout.splitlines()[0] == "task breakout: 6 episodes, 22 tokens a timestep"
        assert result.stdout.splitlines()[-1] == f"3 parts would be written to {out / 'deep'}; nothing was written"
        rows = [line.split() for line in result.stdout.splitlines()]
        assert ["observation", "observation", "image", "64x80x3", "uint8"] in rows
        assert ["action", "action", "discrete", "-", "int64"] in rows

    def test_a_dry_run_as_json(self, recording: Path, out: Path) -> None:
        found = json.loads(ingest("atari", recording, "--out", out, "--dry-run", "--json").stdout)
        assert not out.exists()
        assert {"dry_run", "fingerprint", "out", "parts", "tasks", "vocabulary"} <= found.keys()
        assert found["dry_run"] is True
        made = json.loads(ingest("atari", recording, "--out", out, "--json").stdout)
        assert made["fingerprint"] == found["fingerprint"]

    def test_a_complete_dataset_says_so(self, recording: Path, breakout: Path, tmp_path: Path) -> None:
        copy = tmp_path / "breakout"
        shutil.copytree(breakout, copy)
        result = ingest("atari", recording, "--out", copy, "--holdout", "0.55")
        assert result.exit_code == 0
        assert result.stderr == f"{copy} was complete already\n"
        assert result.stdout.splitlines()[1].split()[:5] == ["train", "3", "3", "90", "1,980"]
        assert digests(copy) == digests(breakout)

    @pytest.mark.parametrize(("holdout", "empty"), [("0.01", "validation"), ("0.99", "train")])
    def test_an_empty_split_is_told(self, recording: Path, out: Path, holdout: str, empty: str) -> None:
        result = ingest("atari", recording, "--out", out, "--holdout", holdout)
        assert result.exit_code == 0
        assert result.stderr.splitlines()[-1] == (
            f"Warning: the {empty} split is empty: --holdout draws every episode on its own, and none of these fell "
            "to it; give more episodes or another share"
        )

    def test_clipped_actions_are_told(self, tmp_path: Path, out: Path) -> None:
        beyond = np.array([[0, 5], [-3, 2], [0, 0.5]], np.float32)
        folder = write(tmp_path / "rlds", [episode(beyond), moving(1)])
        result = ingest("rlds", folder, "--out", out)
        assert result.exit_code == 0
        assert "clipped" in result.stderr
        assert "they reach from -3 to 5" in result.stderr
        assert "--action-range" in result.stderr
        within = ingest("rlds", folder, "--out", out, "--overwrite", "--action-range=-3:5")
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
        assert re.fullmatch(message, error_of(ingest(*arguments, "--out", out), 2))
        assert not out.exists()

    def test_out_is_wanted(self) -> None:
        assert error_of(ingest("atari", "x"), 2) == "Missing option '--out'."

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
        found = error_of(ingest("atari", recording, "--out", out, *arguments))
        assert re.fullmatch(message.format(recording=re.escape(str(recording))), found)
        assert not out.exists(), "nothing is left behind"
        assert list(out.parent.iterdir()) == []
