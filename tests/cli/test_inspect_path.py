"""`gato-data inspect PATH`: the path tells what it is."""

from pathlib import Path

import pytest

from tests.cli.test_inspect import TRAIN, fails, inspect, mixture

__all__ = ["mixture"]


class TestAPathAlone:
    """The path tells which subcommand is meant."""

    @pytest.mark.parametrize("options", [(), ("--json",)])
    def test_it_is_as_with_the_subcommand(self, arm: Path, mixture: Path, options: tuple[str, ...]) -> None:
        for name, path in (("dataset", arm), ("shard", arm / TRAIN), ("mixture", mixture)):
            wanted = inspect(name, path, *options)
            assert wanted.exit_code == 0
            for words in ((path, *options), (*options, path)):
                assert inspect(*words).stdout == wanted.stdout

    def test_its_options_come_with_it(self, arm: Path) -> None:
        words = (arm / TRAIN, "--record", "0", "--timestep", "1")
        assert inspect(*words).stdout == inspect("shard", *words).stdout
        assert inspect(*words[1:], words[0]).stdout == inspect("shard", *words).stdout

    def test_what_is_none_of_them_is_one_sentence(self, arm: Path, recording: Path, tmp_path: Path) -> None:
        run_folder = tmp_path / "run"
        run_folder.mkdir()
        for name in ("run.json", "log.jsonl"):
            (run_folder / name).write_text("{}")
        model = tmp_path / "some.model"
        model.touch()
        (tmp_path / "notes.txt").touch()
        wanted = "a shard, a dataset's folder or a mixture was wanted"
        trained = "a run of gato-data train: its figures are in log.jsonl, its curve is loss.png"
        for path, message in (
            (tmp_path / "absent", f"does not exist: {wanted}"),
            (tmp_path / "notes.txt", f"is nothing that inspect looks at: {wanted}"),
            (tmp_path, f"holds nothing that inspect looks at: {wanted}"),
            (arm.parent, "holds several datasets (arm): give one of these folders"),
            (arm / "dataset.json", "describes the dataset in its folder: give the folder"),
            (run_folder, f"is {trained}"),
            (run_folder / "log.jsonl", f"belongs to {trained}"),
            (
                tmp_path / "some.model",
                f"looks like a text model: gato-data vocabulary show {tmp_path}/some.model looks at it",
            ),
            (
                recording,
                "holds episodes that are no tokens yet: gato-data ingest rlds reads them, with --dry-run it "
                "shows what is in them",
            ),
        ):
            fails(1, f"{path} {message}", path)

    def test_a_misspelt_subcommand(self, arm: Path) -> None:
        for words in (("datset",), ("datset", arm)):
            fails(2, "no subcommand and no path is named 'datset'. Did you mean 'dataset'?", *words)
