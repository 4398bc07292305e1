"""Whose folder it is, who writes to it, and what it was made with: as a user of `gato-data ingest` sees it."""

import fcntl
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from gato_pipelines.ingest import dataset_writer
from gato_schemas.dataset import read_manifest
from tests.cli.command import error_of, ingest
from tests.rlds_inputs import digests, edit_json, episode, moving, shards, truncate, write


class TestTheOutputFolder:
    def test_not_ours(self, recording: Path, out: Path) -> None:
        out.mkdir()
        (out / "thesis.tex").write_text("years of work")
        for option in ([], ["--overwrite"], ["--dry-run"]):
            found = error_of(ingest("atari", recording, "--out", out, *option))
            assert found == (
                f"{out} is not empty and holds no dataset of gato-data (but 'thesis.tex'): choose another --out"
            )
        assert [path.name for path in out.iterdir()] == ["thesis.tex"]

    def test_a_manifest_that_is_not_ours(self, recording: Path, out: Path) -> None:
        out.mkdir()
        (out / "dataset.json").write_text('{"name": "somebody else\'s"}')
        for option in ([], ["--overwrite"]):
            found = error_of(ingest("atari", recording, "--out", out, *option))
            assert found == f"{out} has a dataset.json that gato-data did not write: choose another --out"
        assert [path.name for path in out.iterdir()] == ["dataset.json"]

    def test_a_file(self, recording: Path, out: Path) -> None:
        out.write_text("a file")
        assert error_of(ingest("atari", recording, "--out", out)) == f"{out} is a file: --out wants a folder"
        assert out.read_text() == "a file"

    def test_the_input_itself(self, damaged: Path) -> None:
        before = digests(damaged)
        assert "is the input" in error_of(ingest("atari", damaged, "--out", damaged))
        assert digests(damaged) == before

    def test_in_use(self, recording: Path, out: Path) -> None:
        (out / ".ingest").mkdir(parents=True)
        with (out / ".ingest" / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for option in ([], ["--overwrite"]):
                found = error_of(ingest("atari", recording, "--out", out, *option))
                assert found == f"another ingest is writing to {out}: wait until it ends, or choose another --out"
            assert (out / ".ingest" / "lock").exists()

    def test_it_cannot_be_made(self, recording: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        out = tmp_path / "file" / "out"
        assert re.fullmatch(
            rf"{re.escape(str(out))} cannot be written \(Not a directory\): .*",
            error_of(ingest("atari", recording, "--out", out)),
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
        truncate(shards(damaged)[1], 100)
        error_of(ingest("atari", damaged, "--out", out))
        before = digests(out)
        found = error_of(ingest("atari", damaged, "--out", out, *option))
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
        found = error_of(ingest("atari", recording, "--out", out, "--holdout", "0.55", *option))
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
        found = error_of(ingest("atari", recording, "--out", out, "--holdout", "0.55"))
        assert "holds a complete dataset, but breakout-train.tfrecord-00000-of-00003 is missing or damaged" in found
        again = ingest("atari", recording, "--out", out, "--holdout", "0.55", "--overwrite")
        assert again.exit_code == 0
        assert digests(out) == digests(breakout)

    def test_a_manifest_of_another_version_is_not_replaced(
        self, recording: Path, breakout: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "breakout"
        shutil.copytree(breakout, out)
        edit_json(out / "dataset.json", version=99)
        found = error_of(ingest("atari", recording, "--out", out, "--holdout", "0.55"))
        assert "version 99" in found
        assert found.endswith("choose another --out, or --overwrite to make it again")
        assert ingest("atari", recording, "--out", out, "--holdout", "0.55", "--overwrite").exit_code == 0
        assert digests(out) == digests(breakout)


class TestATryThatKeptNothing:
    """Dead letters alone are no dataset: the corrected command may use the folder."""

    def test_other_settings(self, tmp_path: Path, out: Path) -> None:
        folder = write(tmp_path / "rlds", [moving(number, length=1) for number in range(4)], shards=2)
        found = error_of(ingest("rlds", folder, "--out", out, "--final-step", "drop"))
        assert found.startswith("no episode could be used (the first of 4: ")
        assert (out / "dead_letters.jsonl").exists()
        again = ingest("rlds", folder, "--out", out, "--final-step", "keep")
        assert again.exit_code == 0, again.stderr
        assert again.stderr.splitlines()[:2] == [
            "an earlier try kept no episode and makes way",
            "4 episodes in 2 parts",
        ]
        assert read_manifest(out).splits["train"].totals.episodes == 4
        assert ingest("rlds", folder, "--out", tmp_path / "new" / "out", "--final-step", "keep").exit_code == 0
        assert digests(out) == digests(tmp_path / "new" / "out")

    def test_another_source(self, tmp_path: Path, recording: Path, out: Path) -> None:
        bad = episode(np.full((4, 2), np.inf, np.float32))
        folder = write(tmp_path / "rlds", [bad, bad])
        assert ingest("rlds", folder, "--out", out).exit_code == 1
        assert ingest("atari", recording, "--out", out).exit_code == 0
        assert read_manifest(out).source.name == "atari"
        assert (out / "dead_letters.jsonl").read_text() == ""

    def test_a_mended_input_of_the_same_size(self, tmp_path: Path, out: Path) -> None:
        bad = [episode(np.full((5, 2), np.inf, np.float32)), episode(np.full((5, 2), np.nan, np.float32))]
        folder = write(tmp_path / "rlds", bad)
        assert ingest("rlds", folder, "--out", out).exit_code == 1
        sizes = [path.stat().st_size for path in shards(folder)]
        shutil.rmtree(folder)
        write(folder, [moving(0), moving(1)])
        assert [path.stat().st_size for path in shards(folder)] == sizes
        assert ingest("rlds", folder, "--out", out).exit_code == 0
        assert read_manifest(out).splits["train"].totals.episodes == 2

    def test_one_that_was_stopped_before_a_shard_was_finished(
        self, recording: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def stopped(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(dataset_writer, "run_over", stopped)
            assert ingest("atari", recording, "--out", out, "--image-size", "32x32").exit_code != 0
        again = ingest("atari", recording, "--out", out)
        assert again.exit_code == 0, again.stderr
        assert again.stderr.splitlines()[0] == (
            "an earlier try with other settings finished nothing and makes way (settings.image_size was [32,32], now "
            "[64,80])"
        )
        assert ingest("atari", recording, "--out", tmp_path / "new" / "out").exit_code == 0
        assert digests(out) == digests(tmp_path / "new" / "out")

    def test_one_good_episode_is_kept(self, tmp_path: Path, out: Path) -> None:
        bad = episode(np.full((4, 2), np.inf, np.float32))
        folder = write(tmp_path / "rlds", [bad, moving(1), bad], shards=3)
        assert ingest("rlds", folder, "--out", out).exit_code == 1
        found = error_of(ingest("rlds", folder, "--out", out, "--final-step", "keep"))
        assert "holds an unfinished dataset made with other settings (settings.final_step" in found


class TestAnotherSource:
    def test_an_unfinished_dataset(self, damaged: Path, out: Path) -> None:
        truncate(shards(damaged)[1], 100)
        error_of(ingest("rlds", damaged, "--out", out))
        assert error_of(ingest("atari", damaged, "--out", out)) == (
            f'{out} holds an unfinished dataset made with other settings (source was "rlds", now "atari"): use the '
            "same settings to continue, or --overwrite to start again"
        )

    def test_a_complete_dataset(self, recording: Path, out: Path) -> None:
        assert ingest("rlds", recording, "--out", out).exit_code == 0
        assert error_of(ingest("atari", recording, "--out", out)) == (
            f"{out} holds a complete dataset made from other input or with other settings (source.name was "
            '"rlds", now "atari"): choose another --out, or --overwrite to make it again'
        )

    def test_another_input(self, recording: Path, tmp_path: Path, out: Path) -> None:
        assert ingest("rlds", recording, "--out", out).exit_code == 0
        folder = write(tmp_path / "rlds", [moving(0)])
        assert 'settings (source.inputs was ["rlu_atari/Breakout_run_1/1.3.0"], now ["arm/1.0.0"])' in error_of(
            ingest("rlds", folder, "--out", out)
        )
