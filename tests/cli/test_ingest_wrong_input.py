"""Inputs that are near right: one sentence, exit code 1, nothing written, and the right command beside it works."""

import re
import shutil
from pathlib import Path

import pytest

from gato_schemas.dataset import read_manifest
from tests.cli.command import error_of, ingest, run
from tests.pipelines.containers.foreign import FOREIGN
from tests.rlds_inputs import moving, write

DATA = Path(__file__).parents[1] / "data"


class TestMisspelt:
    def test_a_table_source_does_not_read_the_current_folder(
        self, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shutil.copytree(DATA / "documents" / "vqav2", tmp_path / "here")
        shutil.copytree(DATA / "documents" / "coco", tmp_path / "here" / "coco")
        monkeypatch.chdir(tmp_path / "here")
        found = error_of(ingest("vqav2", "typo", "--images", "coco", "--out", out))
        assert found == "typo does not exist: give the folder or the file of a dataset"
        assert not out.exists()
        assert ingest("vqav2", ".", "--images", "coco", "--out", out).exit_code == 0

    @pytest.mark.parametrize("option", [(), ("--dry-run",), ("--per-task",), ("--per-task", "--dry-run"), ("--json",)])
    def test_every_way_to_ingest(self, tmp_path: Path, out: Path, option: tuple[str, ...]) -> None:
        found = error_of(ingest("modular-rl", DATA / "rlds" / "modular_rl" / "hoper_4_full", "--out", out, *option))
        assert found.endswith(f"hoper_4_full does not exist: did you mean {DATA}/rlds/modular_rl/hopper_4_full?")

    def test_one_of_several(self, out: Path) -> None:
        bodies = DATA / "rlds" / "modular_rl"
        assert "walker does not exist" in error_of(
            ingest("modular-rl", bodies / "hopper_4_full", bodies / "walker", "--out", out)
        )

    def test_an_empty_word_is_not_the_current_folder(self, out: Path) -> None:
        """A variable of the shell that is not set."""
        found = error_of(ingest("massivetext", "", "--out", out), 2)
        assert "the path is empty: give one, such as ./data" in found

    def test_images_of_another_name(self, out: Path) -> None:
        documents = DATA / "documents"
        found = error_of(ingest("okvqa", documents / "okvqa", "--images", documents / "cocoo", "--out", out))
        assert found == f"--images {documents}/cocoo does not exist: did you mean {documents}/coco?"

    def test_texts_of_a_vocabulary(self, out: Path) -> None:
        found = error_of(run("vocabulary", "train", DATA / "documents" / "txt", "--out", out))
        assert found == f"{DATA}/documents/txt does not exist: did you mean {DATA}/documents/text?"


class TestFolderOfMany:
    def test_it_asks_which(self, out: Path) -> None:
        found = error_of(ingest("atari", DATA, "--out", out))
        assert re.match(
            rf"{DATA} holds several datasets \(.*jat/atari-breakout, .* and \d+ more\): give the folder", found
        )
        assert not out.exists()

    def test_of_one_among_documents_is_read(self, tmp_path: Path, out: Path) -> None:
        shutil.copytree(DATA / "rlds" / "rlu_atari", tmp_path / "all" / "rlds" / "rlu_atari")
        shutil.copytree(DATA / "photos", tmp_path / "all" / "photos")
        assert ingest("atari", tmp_path / "all", "--out", out).exit_code == 0


class TestWrongSource:
    @pytest.mark.parametrize("option", [(), ("--dry-run",)])
    def test_a_false_family_is_refused(self, out: Path, option: tuple[str, ...]) -> None:
        folder = DATA / "rlds" / "babyai"
        found = error_of(ingest("atari", folder, "--out", out, *option))
        assert found == (
            f"{folder} does not look like atari: a timestep has 148 discrete values, 1 text and 1 discrete action, but "
            "1 image and 1 discrete action are wanted; ingest it with `babyai` or `rlds`, or say --family "
            "atari|atari-extended if it is that"
        )
        assert not (out / "dataset.json").exists()

    def test_of_one_task_among_others(self, out: Path) -> None:
        result = ingest("modular-rl", DATA / "rlds" / "metaworld", "--out", out, "--per-task")
        assert result.exit_code == 1
        assert "does not look like modular-rl: a timestep has 39 continuous values" in result.stderr

    @pytest.mark.parametrize("family", ["atari", "atari-extended"])
    def test_a_family_that_is_named_is_taken(self, out: Path, family: str) -> None:
        """The source's own default too, where it is said on purpose."""
        result = ingest("atari", DATA / "rlds" / "metaworld", "--out", out, "--family", family)
        assert result.exit_code == 0, result.stderr
        assert read_manifest(out).family == family

    def test_one_wrong_input_among_right_ones(self, out: Path) -> None:
        inputs = [DATA / "rlds" / "rlu_atari", DATA / "rlds" / "sokoban"]
        found = error_of(ingest("atari", *inputs, "--out", out))
        assert found.startswith(f"{inputs[1]} does not look like atari")
        assert "which is the form of sokoban; ingest it with `sokoban` or `rlds`" in found

    def test_options_that_were_not_given_are_as_before(self, out: Path) -> None:
        assert ingest("atari", DATA / "rlds" / "rlu_atari", "--out", out).exit_code == 0
        settings = read_manifest(out).source.settings
        assert (settings["family"], settings["image_size"], settings["split"]) == ("atari", [64, 80], "train")


class TestWrongFormat:
    @pytest.mark.parametrize("name", ["decision-transformer", "lerobot-1.6", "pickle-folder"])
    @pytest.mark.parametrize("option", [(), ("--dry-run",)])
    def test_it_is_named(self, name: str, option: tuple[str, ...], tmp_path: Path, out: Path) -> None:
        make, said = FOREIGN[name]
        assert re.search(
            rf" looks like {said}", error_of(ingest("rlds", make(tmp_path / "input"), "--out", out, *option))
        )
        assert not out.exists()

    def test_a_dataset_of_ours(self, out: Path, tmp_path: Path) -> None:
        assert ingest("rlds", write(tmp_path / "rlds", [moving(0)]), "--out", out).exit_code == 0
        for source in ("rlds", "atari", "massivetext"):
            found = error_of(ingest(source, out, "--out", tmp_path / "again"))
            assert found == (
                f"{out} looks like a dataset of gato-data (dataset.json), which is ready already: look at it with "
                "`gato-data inspect dataset`"
            )

    @pytest.mark.parametrize("source", ["massivetext", "align", "vqav2", "m3w", "coco-captions"])
    def test_episodes_for_a_source_of_documents(self, source: str, out: Path) -> None:
        folder = DATA / "rlds" / "rlu_atari"
        assert error_of(ingest(source, folder, "--out", out)) == (
            f"{folder} looks like an RLDS dataset (features.json), which holds no documents: give it to a source of "
            "episodes"
        )

    def test_documents_for_a_source_of_episodes(self, out: Path) -> None:
        found = error_of(ingest("atari", DATA / "documents" / "webdataset", "--out", out))
        assert "looks like a tar archive" in found
        assert "`gato-data ingest align`" in found
