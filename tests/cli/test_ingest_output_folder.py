"""Whose folder it is, who writes to it, and what it was made with: as a user of `gato-data ingest` sees it."""

import fcntl
import re
import shutil
from pathlib import Path

import pytest

from tests.cli.command import error_of, ingest
from tests.rlds_inputs import digests, edit_json, shards, truncate


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
