"""`gato-data merge`, `drop` and `ingest --append` as a user types them: what they print, and their exit codes."""

import json
import re
from pathlib import Path

import pytest

import gato_data
from gato_cli import ingest_progress
from gato_schemas.dataset import read_manifest
from tests.cli.command import error_of, run
from tests.rlds_inputs import moving, write


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the inputs `one` and `two`, and the datasets `a` and `b` of them, one episode in both."""
    root = tmp_path_factory.mktemp("pair")
    write(root / "one", [moving(number, length=4 + number) for number in range(4)], shards=2)
    write(root / "two", [moving(number, length=4 + number) for number in range(3, 6)])
    for name, source in (("a", "one"), ("b", "two")):
        assert run("ingest", "rlds", root / source, "--out", root / name, "--workers", "1").exit_code == 0
    return root


def test_merging_and_what_it_prints(pair: Path, tmp_path: Path) -> None:
    result = run("merge", pair / "a", pair / "b", "--out", tmp_path / "both")
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()][1][:2] == ["train", "3"]
    assert result.stderr.splitlines() == [
        "1 episode that an earlier dataset has as well: kept: --copies drop leaves them out",
        f"{tmp_path / 'both'} is complete: 7 episodes of 2 datasets",
    ]
    result = run("merge", pair / "a", pair / "b", "--out", tmp_path / "less", "--copies", "drop", "--json")
    answer = json.loads(result.stdout)
    assert (answer["copies"], answer["totals"]["episodes"], answer["origin"]["left_out"]) == (1, 6, 1)
    shown = run("inspect", "dataset", tmp_path / "less").stdout
    assert "merged of" in shown
    assert "1 episode that an earlier one has as well" in shown
    assert run("verify", tmp_path / "both").exit_code == run("verify", tmp_path / "less").exit_code == 0


def test_dropping_and_what_it_prints(pair: Path, tmp_path: Path) -> None:
    result = run("drop", pair / "a", "--where", "return<5", "--out", tmp_path / "good", "--name", "good_arm")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [f"{tmp_path / 'good'} is complete: 3 episodes, 1 dropped"]
    assert read_manifest(tmp_path / "good").name == "good_arm"
    assert "1 episode meeting return<5" in run("inspect", "dataset", tmp_path / "good").stdout
    assert run("verify", tmp_path / "good").exit_code == 0


def test_growing_and_what_it_prints(pair: Path, tmp_path: Path) -> None:
    out = tmp_path / "grown"
    assert run("ingest", "rlds", pair / "one", "--out", out, "--workers", "1").exit_code == 0
    result = run("ingest", "rlds", pair / "two", "--out", out, "--workers", "1", "--append")
    assert result.exit_code == 0
    assert f"1 of 3 new episodes stand in {out} already, and now twice" in result.stderr.splitlines()
    assert "grown from" in run("inspect", "dataset", out).stdout
    result = run("verify", out)
    assert result.exit_code == 0
    assert "parents/ holds what the dataset was before it grew" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["merge", "a", "--out", "x"], 1, "a merge wants two datasets or more: name their folders"),
        (["merge", "a", "b"], 2, "Missing option '--out'."),
        (["merge", "a", "nothing", "--out", "x"], 1, "nothing does not exist: give the folder of a dataset"),
        (["merge", "a", "b", "--out", "x", "--name", "A B"], 1, "name is 'A B': lower-case letters, digits"),
        (["drop", "a", "--where", "return>5", "--out", "a"], 1, "a is a or lies in it, which is only read"),
        (["drop", "a", "--where", "colour=red", "--out", "x"], 1, "no view by 'colour'."),
        (["drop", "a", "--where", "return>500", "--out", "x"], 1, "none of the 4 episodes of a meets 'return>500'"),
        (["drop", "one", "--where", "return>5", "--out", "x"], 1, "one has no dataset.json: it is not a dataset"),
        (["ingest", "rlds", "two", "--out", "x", "--append"], 1, "x holds no dataset to append to"),
    ],
)
def test_wrong_input_is_one_sentence(
    pair: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, message: str
) -> None:
    monkeypatch.chdir(pair)
    assert error_of(run(*arguments), code).startswith(message)
    assert not (pair / "x").exists()


def test_tfds_reads_what_was_merged_and_what_grew(pair: Path, tmp_path: Path) -> None:
    tfds = pytest.importorskip("tensorflow_datasets", reason="needs TFDS, of the extra [ingest]")
    assert run("merge", pair / "a", pair / "b", "--out", tmp_path / "both").exit_code == 0
    for source, more in (("one", ()), ("two", ("--append",))):
        assert run("ingest", "rlds", pair / source, "--out", tmp_path / "grown", "--workers", "1", *more).exit_code == 0
    for name in ("both", "grown"):
        builder = tfds.builder_from_directory(str(tmp_path / name))
        assert set(builder.info.splits) == set(read_manifest(tmp_path / name).splits)
        for split in builder.info.splits:
            wanted = gato_data.open(tmp_path / name, split=split).episodes
            found = [*tfds.as_numpy(builder.as_dataset(split=split))]
            assert len(found) == builder.info.splits[split].num_examples == len(wanted)
            for record, episode in zip(found, wanted, strict=True):
                assert record["tokens"].tolist() == episode.tokens.tolist()
                assert record["episode_id"].decode() == episode.id


def test_a_long_copy_says_how_far_it_is(pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_progress, "_LINE_SECONDS", 0.0)
    lines = run("merge", pair / "a", pair / "b", "--out", tmp_path / "both").stderr.splitlines()
    assert re.fullmatch(r"copying: \d+%, 1/\d+ shards, .+ left", lines[0])
    lines = run("drop", pair / "a", "--where", "return<5", "--out", tmp_path / "good").stderr.splitlines()
    assert re.fullmatch(r"copying: \d+%, 1/\d+ shards, .+ left", lines[0])
