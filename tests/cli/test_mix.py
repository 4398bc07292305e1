"""`gato-data mix` and `mix explain` as a user types them: what they print, their exit codes, and wrong input."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest
from click.testing import Result

from gato_schemas.dataset import read_manifest
from gato_schemas.mixture import read_mixture
from gato_trainer.presets import PRESETS
from tests.cli.command import error_of, run
from tests.gato_data.reading.folders import decode, episodes, unsupervised, write_dataset

SMALL = ("--steps", "20", "--batch-size", "10", "--context-length", "64")


def mix(*arguments: str | Path) -> Result:
    return run("mix", *arguments)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "mixture.json"


def test_a_table_on_stdout_and_the_rest_on_stderr(library: Path, out: Path) -> None:
    result = mix("--weights", "pong=3,walker=1", "--out", out, *SMALL, library / "pong", library / "walker")
    assert result.exit_code == 0
    assert result.stderr == f"Wrote {out}.\n"
    lines = result.stdout.splitlines()
    assert lines[0].split() == [
        "dataset", "family", "asked", "realised", "windows", "tokens",
        "loss", "tokens", "passes", "repeats", "at", "step",
    ]  # fmt: skip
    assert lines[1].split()[:5] == ["pong", "atari", "75.00%", "75.00%", "150"]
    assert lines[2].split()[:5] == ["walker", "dm-control", "25.00%", "25.00%", "50"]
    assert lines[3].split()[:4] == ["together", "100.00%", "100.00%", "200"]
    assert lines[5] == "20 steps of 10 windows of 64 tokens (200 windows, cut at timesteps); shares are of windows."
    assert read_mixture(out).stages[0].weights == [0.75, 0.25]


def test_json_has_the_same_plan_under_stable_keys(library: Path, out: Path) -> None:
    result = mix("--weights", "gato", "--out", out, *SMALL, "--json", library / "pong", library / "walker")
    assert result.stderr == ""
    answer = json.loads(result.stdout)
    assert {name: answer[name] for name in ("out", "steps", "batch_size", "context_length", "window", "measure")} == {
        "out": str(out), "steps": 20, "batch_size": 10, "context_length": 64, "window": "timestep",
        "measure": "windows",
    }  # fmt: skip
    pong = answer["datasets"][0]
    assert pong["asked"] == pytest.approx(9.5 / (9.5 + 4.62))
    assert set(pong) == {
        "name", "family", "asked", "realised", "windows", "window_share", "tokens", "loss_tokens", "passes",
        "epoch_windows", "first_repeat",
    }  # fmt: skip


def test_a_dry_run_writes_nothing(library: Path, out: Path) -> None:
    result = mix("--weights", "uniform", "--out", out, *SMALL, "--dry-run", library / "pong")
    assert (result.exit_code, result.stderr) == (0, "")
    assert not out.exists()
    answer = json.loads(mix("--weights", "uniform", "--out", out, "--dry-run", "--json", library / "pong").stdout)
    assert answer["out"] is None


def test_a_dry_run_needs_no_file(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = mix("--weights", "uniform", *SMALL, "--dry-run", "--json", library / "pong")
    assert (result.exit_code, result.stderr) == (0, "")
    answer = json.loads(result.stdout)
    assert (answer["out"], answer["datasets"][0]["windows"]) == (None, 200)
    assert list(tmp_path.iterdir()) == []


def test_a_bare_plan_is_of_the_run_that_train_starts(library: Path, out: Path) -> None:
    result = mix("--weights", "uniform", "--out", out, library / "pong")
    tiny = PRESETS["tiny"]
    assert result.stdout.splitlines()[-1].startswith(
        f"{tiny.steps} steps of {tiny.batch_size} windows of {tiny.context_length} tokens"
    )
    assert result.stderr.splitlines() == [
        f"Wrote {out}.",
        "Note: nothing was said of the run, so the plan is that of train --model tiny. What --steps, --batch-size and "
        "--context-length say is kept in the file, and train takes it from there.",
    ]
    assert read_mixture(out).run.told == {}


def test_what_is_said_of_the_run_stays_in_the_file(library: Path, out: Path) -> None:
    mix("--weights", "pong=1", "--out", out, "--steps", "20", "--batch-size", "10", library / "pong")
    assert read_mixture(out).run.told == {"steps": 20, "batch_size": 10}
    shown = json.loads(run("inspect", "mixture", out, "--json").stdout)
    assert {name: shown["plan"][name] for name in ("steps", "batch_size", "context_length")} == {
        "steps": 20, "batch_size": 10, "context_length": 256,
    }  # fmt: skip
    other = json.loads(run("inspect", "mixture", out, "--steps", "7", "--context-length", "64", "--json").stdout)
    assert (other["plan"]["steps"], other["plan"]["context_length"]) == (7, 64)
    explained = json.loads(mix("explain", out, "--step", "1", "--json").stdout)
    assert [window["sample"] for window in explained["windows"]] == list(range(10, 20))
    assert mix("--weights", "pong=1", "--at-step", "10", "--steps", "40", "--out", out).exit_code == 0
    later = read_mixture(out)
    assert later.run.told == {"steps": 40, "batch_size": 10}
    assert later.stages[1].first_sample == 100


def test_what_is_said_of_windows_stays_in_the_file_too(library: Path, out: Path) -> None:
    packed = ("--window", "token", "--pack")
    drawn = json.loads(mix(*SMALL, *packed, "--out", out, "--json", library / "pong").stdout)
    assert (drawn["window"], drawn["pack"]) == ("token", True)
    assert run("inspect", "mixture", out).stdout.endswith(
        "20 steps of 10 windows of 64 tokens (200 windows, cut at tokens, packed); shares are of windows.\n"
    )
    told = read_mixture(out).run.told
    assert {name: told[name] for name in ("window", "pack")} == {"window": "token", "pack": True}
    shown = json.loads(run("inspect", "mixture", out, "--json").stdout)["plan"]
    assert (shown["window"], shown["datasets"]) == ("token", drawn["datasets"])
    plain = json.loads(run("inspect", "mixture", out, "--json", "--no-pack", "--window", "timestep").stdout)["plan"]
    assert (plain["window"], plain["datasets"]) != ("token", drawn["datasets"])
    explain = ("explain", out, "--step", "1", "--json")
    assert mix(*explain).stdout == mix(*explain, *packed).stdout
    assert mix(*explain).stdout != mix(*explain, "--no-pack").stdout
    later = ("--weights", "pong=1", "--at-step", "10", "--steps", "40", "--no-pack", "--out", out)
    assert mix(*later).exit_code == 0
    told = read_mixture(out).run.told
    assert {name: told[name] for name in ("window", "pack")} == {"window": "token", "pack": False}


def test_of_a_run_of_which_only_windows_are_told_nothing_else_is(library: Path, out: Path) -> None:
    result = mix("--pack", "--out", out, library / "pong")
    assert result.stderr.splitlines()[-1].startswith("Note: nothing was said of the run, so the plan is that of train")
    assert read_mixture(out).run.told == {"pack": True}


def test_without_weights_all_datasets_have_the_same(library: Path, out: Path) -> None:
    result = mix("--out", out, *SMALL, library / "pong", library / "walker")
    assert result.exit_code == 0
    assert read_mixture(out).stages[0].weights == [0.5, 0.5]
    assert result.stderr.splitlines() == [
        f"Wrote {out}.",
        "Note: no --weights were given, so every dataset has the same; --weights tokens draws them in proportion to "
        "how much there is.",
    ]
    one = mix("--out", out, *SMALL, library / "pong")
    assert (one.exit_code, one.stderr) == (0, f"Wrote {out}.\n"), "of one dataset there is nothing to weigh"
    empty = error_of(mix("--weights", "", "--out", out, library / "pong", library / "walker"))
    assert empty.startswith("no weights called ''. Give NAME=W"), "an empty variable of a shell is not nothing"
    assert error_of(mix("--at-step", "3", "--out", out), 2) == "give --weights: those that hold from step N on"


def test_shares_for_a_limit_of_epochs_are_of_one_run(library: Path, out: Path) -> None:
    weights = ("--weights", "uniform", "--max-epochs", "1000", "--steps", "20")
    assert mix(*weights, "--out", out, library / "pong", library / "walker").exit_code == 0
    assert read_mixture(out).run.told == {
        "steps": 20, "batch_size": 8, "context_length": 256, "window": "timestep", "pack": False,
    }  # fmt: skip


def test_weights_of_other_measures(library: Path, out: Path) -> None:
    result = mix(
        "--weights", "pong=1,pages=1", "--by", "loss-tokens", "--out", out, *SMALL, library / "pong", library / "pages"
    )
    assert "shares are of loss tokens." in result.stdout
    rows = [line.split() for line in result.stdout.splitlines()[1:3]]
    assert [row[2] for row in rows] == ["50.00%", "50.00%"]
    assert int(rows[0][4].replace(",", "")) > 5 * int(rows[1][4].replace(",", ""))


def test_a_rare_dataset_is_warned_about(library: Path, out: Path) -> None:
    result = mix("--weights", "pong=1,walker=1e-9", "--out", out, *SMALL, library / "pong", library / "walker")
    assert result.exit_code == 0
    assert result.stderr.splitlines()[0] == "Warning: walker is never drawn in 20 steps of 10."


def test_timesteps_that_do_not_fit_are_warned_about(library: Path, out: Path) -> None:
    short = ("--steps", "20", "--batch-size", "10", "--context-length", "7")
    result = mix("--weights", "uniform", "--out", out, *short, library / "pong", library / "pages")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "Warning: no whole timestep of pong (8 tokens in task 'pong') fits a context of 7 tokens: timesteps are cut, "
        "and actions are trained on without the whole observation before them; give --context-length 8 or more.",
        f"Wrote {out}.",
    ]
    answer = json.loads(mix("--weights", "uniform", "--out", out, *short, "--json", library / "pong").stdout)
    assert answer["cut"] == [{"dataset": "pong", "task": "pong", "tokens": 8, "varying": False}]


def test_nothing_to_train_on_is_said(library: Path, out: Path, tmp_path: Path) -> None:
    silent = [dataclasses.replace(made, sequence=unsupervised(made.sequence)) for made in episodes("pong", [4, 9])]
    write_dataset(tmp_path / "silent", {"train": [silent]})
    result = mix("--weights", "uniform", "--out", out, *SMALL, tmp_path / "silent", library / "pong")
    assert result.exit_code == 0
    warning = "Warning: no token of silent is under the loss mask: nothing is learned from it."
    assert result.stderr.splitlines() == [warning, f"Wrote {out}."]
    alone = tmp_path / "alone.json"
    message = error_of(mix("--weights", "uniform", "--out", alone, *SMALL, tmp_path / "silent"))
    assert message == "nothing can be learned from silent: no token is under the loss mask; add another dataset"
    assert not alone.exists()


def test_a_stage_with_another_dataset(library: Path, out: Path) -> None:
    mix("--weights", "pong=1", "--out", out, *SMALL, library / "pong")
    weights = ("--weights", "pong=1,pages=3", "--at-step", "10")
    result = mix(*weights, "--out", out, *SMALL, library / "pages")
    assert result.exit_code == 0, result.output
    mixture = read_mixture(out)
    assert [stage.first_sample for stage in mixture.stages] == [0, 100]
    assert [stage.weights for stage in mixture.stages] == [[1.0, 0.0], [0.25, 0.75]]
    assert [line.split()[4] for line in result.stdout.splitlines()[1:3]] == ["125", "75"]
    assert "Warning" not in result.stderr
    late = mix(*weights[:2], "--at-step", "5000", "--dry-run", "--out", out, *SMALL)
    assert late.stderr == ("Warning: the plan ends at step 20, before these weights begin: give --steps.\n")
    message = error_of(mix(*weights, "--out", out, *SMALL))
    assert message.startswith("a stage from sample 100 on would change what was planned")


def test_a_picture_of_the_plan(library: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib, of the extra [train]")
    names = ("pong", "raw", "walker", "told", "captions", "pages")
    folders = [library / name for name in names]
    picture = out.with_name("plan.png")
    drawn = mix("--weights", "gato", "--out", out, *SMALL, "--plot", picture, *folders)
    assert drawn.exit_code == 0
    assert drawn.stderr.splitlines()[-1] == f"Wrote {out} and {picture}."
    assert picture.read_bytes().startswith(b"\x89PNG")
    wrong = mix("--weights", "gato", "--out", out, *SMALL, "--plot", out.with_name("plan.docx"), *folders)
    assert "plan.docx cannot be written" in error_of(wrong)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    missing = mix("--weights", "gato", "--out", out, *SMALL, "--plot", picture, *folders)
    assert error_of(missing) == "--plot needs matplotlib: pip install 'gato-data[train]'"


def test_wrong_names_and_files(library: Path, out: Path, tmp_path: Path) -> None:
    pong = library / "pong"
    assert "no dataset named 'pang'. Did you mean 'pong'?" in error_of(mix("--weights", "pang=1", "--out", out, pong))
    assert "has no dataset.json" in error_of(mix("--weights", "uniform", "--out", out, tmp_path))
    assert "no dataset was given" in error_of(mix("--weights", "uniform", "--out", out))
    assert "is a folder: give the name of a file" in error_of(mix("--weights", "uniform", "--out", tmp_path, pong))
    nowhere = tmp_path / "none" / "m.json"
    assert "is not a folder: make it first" in error_of(mix("--weights", "uniform", "--out", nowhere, pong))
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    assert "is there and is no mixture" in error_of(mix("--weights", "uniform", "--out", notes, pong))
    assert notes.read_text() == "mine"
    assert "there is no mixture file" in error_of(mix("--weights", "uniform", "--at-step", "5", "--out", out, pong))
    zero = error_of(mix("--weights", "uniform", "--out", out, "--context-length", "0", pong), code=2)
    assert zero == "Invalid value for '--context-length': 0 is not in the range x>=1."
    many = error_of(mix("--weights", "uniform", "--out", out, "--steps", "3000000000", pong))
    assert many.endswith("at most 2,147,483,647 of each are wanted")
    assert "give --out FILE" in error_of(mix("--weights", "uniform", pong), code=2)
    assert "give --out FILE" in error_of(mix("--weights", "uniform", "--at-step", "5", "--dry-run", pong), code=2)
    assert "'x' is not a valid integer" in error_of(mix("--weights", "uniform", "--out", out, "--steps", "x", pong), 2)


def test_a_mixture_is_replaced_by_a_mixture(library: Path, out: Path) -> None:
    for name in ("pong", "walker"):
        assert mix("--weights", "uniform", "--out", out, *SMALL, library / name).exit_code == 0
    assert [dataset.name for dataset in read_mixture(out).datasets] == ["walker"]


def test_explain_names_the_episodes_of_a_batch(library: Path, out: Path) -> None:
    mix("--weights", "uniform", "--out", out, library / "pong", library / "told", library / "captions")
    options = ("--step", "3", "--rank", "1", "--world-size", "2", "--batch-size", "20", "--context-length", "120")
    result = mix("explain", out, *options, "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert (answer["step"], answer["rank"], answer["world_size"]) == (3, 1, 2)
    assert [window["sample"] for window in answer["windows"]] == list(range(70, 80))
    known = {
        (name, whole.episode_id): whole for name in ("pong", "told", "captions") for whole in decode(library / name)
    }
    prompts = 0
    for window in answer["windows"]:
        for piece in window["pieces"]:
            whole = known[window["dataset"], piece["episode_id"]]
            assert (piece["task"], piece["agent"]) == (whole.task, whole.agent)
            assert 0 <= piece["tokens"][0] < piece["tokens"][1] <= whole.sequence.num_tokens
            assert piece["slots"][1] - piece["slots"][0] == piece["tokens"][1] - piece["tokens"][0]
            assert (library / window["dataset"] / piece["shard"]).exists()
            prompts += piece["role"] == "prompt"
        assert len({piece["task"] for piece in window["pieces"]}) == 1
    assert prompts >= 1
    table = mix("explain", out, *options)
    assert table.exit_code == 0
    assert sum(line.split()[0] == str(n) for n in range(70, 80) for line in table.stdout.splitlines()) == 10


def test_explain_of_packed_episodes(tmp_path: Path, out: Path) -> None:
    folder = write_dataset(tmp_path / "short", {"train": [episodes("pages", [20] * 12)]}, family="massivetext")
    mix("--weights", "uniform", "--out", out, folder)
    result = mix("explain", out, "--step", "0", "--batch-size", "2", "--context-length", "127", "--pack", "--json")
    pieces = json.loads(result.stdout)["windows"][0]["pieces"]
    assert [piece["role"] for piece in pieces] == ["packed"] * 6
    assert len({piece["episode_id"] for piece in pieces}) == 6


def test_explain_refuses_impossible_ranks(library: Path, out: Path) -> None:
    mix("--weights", "uniform", "--out", out, library / "pong")
    assert "world size 0 is not possible" in error_of(mix("explain", out, "--step", "0", "--world-size", "0"))
    assert "rank 2 of 2 does not exist" in error_of(
        mix("explain", out, "--step", "0", "--world-size", "2", "--rank", "2")
    )
    assert "there is no mixture file" in error_of(mix("explain", out.with_name("none"), "--step", "0"))
    empty = mix("explain", out, "--step", "0", "--batch-size", "1", "--world-size", "3")
    assert empty.stdout == "no window: this rank has no part of the batch\n"


def test_help_shows_the_command_and_its_subcommand() -> None:
    text = mix("--help").stdout
    assert text.startswith("Usage: cli mix [OPTIONS] DATASET...\n")
    assert "--weights" in text
    assert "explain" in text
    assert "gato-data mix explain" in mix("explain", "--help").stdout


def test_families_come_from_the_manifests(library: Path) -> None:
    assert read_manifest(library / "raw").family == "atari-extended"
