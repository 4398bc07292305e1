"""Sources at the command line: their list, several inputs, one dataset per task, dry runs of unknown data."""

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gato_cli.main import cli
from gato_data.families import TABLE_1
from gato_schemas.dataset import read_manifest

DATA = Path(__file__).parents[1] / "data"
MODULAR = DATA / "rlds" / "modular_rl"


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(cli, [*map(str, arguments)], env={"COLUMNS": "160"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


class TestSources:
    def test_the_list_names_formats_licences_tokens_and_weights(self) -> None:
        lines = run("sources").stdout.splitlines()
        start = lines.index("dm-control")
        assert lines[start + 2 : start + 6] == [
            "    families  dm-control (4.62 %), dm-control-random-small (3.04 %), dm-control-random-large (3.04 %)",
            "    input     RLDS (rlu_control_suite, rlu_rwrl, rlu_locomotion), Minari",
            "    tokens    7 (cartpole), 31 (walker)",
            "    licence   RL Unplugged: Apache-2.0",
        ]

    def test_json_has_every_row_of_the_papers_table(self) -> None:
        found = json.loads(run("sources", "--json").stdout)["sources"]
        weights = {family: weight for row in found for family, weight in row["families"].items()}
        assert weights == dict(TABLE_1)
        assert [row["name"] for row in found] == sorted(row["name"] for row in found)
        assert set(found[0]) == {"name", "reads", "formats", "families", "tokens_per_timestep", "licence", "example"}


class TestManyInputs:
    def test_a_pattern_and_several_inputs(self, tmp_path: Path) -> None:
        result = run("ingest", "modular-rl", MODULAR / "walker*", MODULAR / "hopper_4_full", "--out", tmp_path / "out")
        assert result.exit_code == 0, result.stderr
        assert read_manifest(tmp_path / "out").source.inputs == [
            "modular_rl/walker2d_4_one_leg/1.0.0",
            "modular_rl/walker2d_5_no_feet/1.0.0",
            "modular_rl/walker2d_7_full/1.0.0",
            "modular_rl/hopper_4_full/1.0.0",
        ]

    def test_no_input_is_wrong_usage(self, tmp_path: Path) -> None:
        result = run("ingest", "atari", "--out", tmp_path / "out")
        assert result.exit_code == 2
        assert "give either INPUT" in result.stderr

    def test_an_input_in_the_place_of_the_source(self, tmp_path: Path) -> None:
        result = run("ingest", MODULAR / "hopper_4_full", "--out", tmp_path / "out")
        assert result.exit_code == 2
        assert result.stderr.splitlines()[-1] == (
            f"Error: {MODULAR / 'hopper_4_full'} is an input: name the source that reads it first, `gato-data sources` "
            "lists them"
        )

    def test_an_empty_path_is_not_the_current_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(MODULAR / "hopper_4_full")
        for words in (["", "--out", tmp_path / "out"], [".", "--out", ""]):
            result = run("ingest", "modular-rl", *words)
            assert result.exit_code == 2
            assert result.stderr.splitlines()[-1].endswith("the path is empty: give one, such as ./data")
        assert not (tmp_path / "out").exists()


class TestPerTask:
    def test_a_folder_for_each_task(self, tmp_path: Path) -> None:
        result = run("ingest", "modular-rl", MODULAR / "walker*", "--out", tmp_path, "--per-task", "--json")
        assert result.exit_code == 0, result.stderr
        found = json.loads(result.stdout)["datasets"]
        assert [row["name"] for row in found] == ["walker2d_4_one_leg", "walker2d_5_no_feet", "walker2d_7_full"]
        for row in found:
            assert list(read_manifest(tmp_path / row["name"]).tasks) == [row["name"]]

    def test_a_task_that_fails_does_not_stop_the_others(self, tmp_path: Path) -> None:
        (tmp_path / "hopper_4_full").write_text("in the way")
        result = run("ingest", "modular-rl", MODULAR / "*", "--out", tmp_path, "--per-task")
        assert result.exit_code == 1
        assert "1 of 4 tasks failed (hopper_4_full), the others are there" in result.stderr.splitlines()[-1]
        assert [path.name for path in sorted(tmp_path.iterdir()) if (path / "dataset.json").exists()] == [
            "walker2d_4_one_leg",
            "walker2d_5_no_feet",
            "walker2d_7_full",
        ]

    def test_a_name_for_all_of_them_is_wrong_usage(self, tmp_path: Path) -> None:
        result = run("ingest", "modular-rl", MODULAR / "*", "--out", tmp_path, "--per-task", "--name", "walker")
        assert result.exit_code == 2
        assert "every dataset is named after its task" in result.stderr

    def test_a_dry_run_writes_nothing(self, tmp_path: Path) -> None:
        result = run("ingest", "modular-rl", MODULAR / "*", "--out", tmp_path / "out", "--per-task", "--dry-run")
        assert result.exit_code == 0
        assert not (tmp_path / "out").exists()
        assert result.stdout.count("nothing was written") == 4


class TestDryRun:
    def test_it_shows_fields_ranges_tokens_and_what_is_left_out(self, tmp_path: Path) -> None:
        data = DATA / "rlds" / "rgb_stacking_sim"
        result = run(
            "ingest", "rgb-stacking", data, "--out", tmp_path / "out", "--dry-run", "--require-success", "success"
        )
        assert result.exit_code == 0
        lines = result.stdout.splitlines()
        assert lines[0] == "task triplet4: 2 episodes, 62 tokens a timestep"
        assert any(line.split()[:4] == ["observation", "robot0_tcp_pose", "continuous", "7"] for line in lines)
        assert any("-0.07:0.07 -0.07:0.07 -0.07:0.07 -1:1 -255:255" in line for line in lines)
        assert any(line.startswith("left out: red_pose (the state of an object") for line in lines)
        assert "episodes: 2 kept, 0 dropped (success set)" in lines
        assert not (tmp_path / "out").exists()

    def test_a_return_filter_is_explained(self, tmp_path: Path) -> None:
        arguments = ("--out", tmp_path / "out", "--min-return-fraction", "0.8")
        dry = run("ingest", "modular-rl", MODULAR / "walker2d_7_full", *arguments, "--dry-run").stdout
        line = "episodes: 1 kept, 3 dropped (return from 10.632 on, 0.8 of the expert's 13.29 over 1 episodes)"
        assert line in dry.splitlines()
        assert (
            f"task walker2d_7_full: {line}"
            in run("ingest", "modular-rl", MODULAR / "walker2d_7_full", *arguments).stdout
        )


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--action-range", "wide", "'wide' is neither none, minmax, quantile, stats nor a range such as -1:1"),
        ("--action-range", "1:-1", "'1:-1' is an empty range"),
        ("--family", "atarri", "Error: family 'atarri' is no row of the paper's Table 1: did you mean 'atari'?"),
        (
            "--min-return-fraction",
            "80",
            "Error: min-return-fraction is 80.0: a share in [0, 1] is wanted, 0.8 in the paper",
        ),
    ],
)
def test_wrong_settings_are_answered(option: str, value: str, message: str, tmp_path: Path) -> None:
    result = run("ingest", "rlds", MODULAR / "hopper_4_full", "--out", tmp_path / "out", option, value)
    assert result.exit_code in (1, 2)
    assert message in result.stderr


ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^gato-data (ingest .+)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_page_about_sources_runs(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    words = [str(tmp_path / word) if word.startswith("out/") else word for word in shlex.split(line)]
    result = run(*words, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    for row in found.get("datasets", [found]):
        assert row.get("dry_run") or row["totals"]["tokens"] > 0
        assert row.get("dead_letters", 0) == 0


def test_the_page_has_a_command_for_every_control_family() -> None:
    made = {word for line in COMMANDS for word in shlex.split(line)}
    text = {*TABLE_1} - {
        "massivetext",
        "m3w",
        "align",
        "ltip",
        "okvqa",
        "vqav2",
        "coco-captions",
        "conceptual-captions",
    }
    stands_for = {"rgb-stacking-sim": "rgb-stacking", "dm-control-random-large": "dm-control-random-small"}
    assert {family for family in text if stands_for.get(family, family) not in made} == set()
    assert all(f"`{family}`" in PAGE or f"`{family.removeprefix('dm-control')}`" in PAGE for family in text)
