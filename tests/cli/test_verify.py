"""`gato-data verify` as a user types it: what it prints, its exit codes, one clear sentence for wrong input."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from gato_cli.main import cli
from gato_schemas.index import encode_index, read_index
from tests.rlds_inputs import digests, flip, ingest, shards


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(cli, ["verify", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def copy(breakout: Path, tmp_path: Path) -> Path:
    """The dataset, to be damaged."""
    shutil.copytree(breakout, tmp_path / "breakout")
    return tmp_path / "breakout"


def test_whole_data_is_one_line(breakout: Path) -> None:
    result = run(breakout)
    assert result.exit_code == 0
    size = sum(path.stat().st_size for path in shards(breakout))
    assert result.stdout == (
        f"{breakout} is whole: 6 shards, 6 records, 6 episodes, 3,960 tokens, {size / 1000:.1f} kB\n"
    )
    assert result.stderr == ""


def test_a_finding_is_a_line_with_its_place(copy: Path) -> None:
    name = shards(copy)[0].name
    flip(copy / name, 300)
    before = digests(copy)
    result = run(copy)
    assert result.exit_code == 1
    assert result.stdout == f"{name}, record 0, byte 0: checksum: the record does not match its checksum\n"
    assert result.stderr == (
        f"Error: 1 finding in {copy}: --repair sets damaged records aside and makes the rest whole again\n"
    )
    assert digests(copy) == before, "a check writes nothing"


def test_repair_says_what_it_did_and_ends_whole(copy: Path) -> None:
    name = shards(copy)[0].name
    flip(copy / name, 300)
    result = run(copy, "--repair")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == f"Repaired: {name} keeps 1 record; set aside: 1 piece"
    assert lines[-1].startswith(f"{copy} is whole: 6 shards, 5 records, 5 episodes, 3,300 tokens, ")
    assert result.stderr == "Note: quarantine/ holds what a repair set aside.\n"
    assert run(copy).exit_code == 0


def test_what_cannot_be_mended_says_what_to_do(copy: Path) -> None:
    shards(copy)[0].unlink()
    for option in ([], ["--repair"]):
        result = run(copy, *option)
        assert result.exit_code == 1
        assert result.stdout.splitlines()[-1].endswith(
            "missing: the shard is missing: copy it here again, or run the ingest again"
        )
        assert result.stderr.splitlines()[-1].endswith("copy those files again, or run the ingest again")


def test_json_is_one_object_with_stable_keys(copy: Path) -> None:
    name = shards(copy)[0].name
    flip(copy / name, 300)
    found = json.loads(run(copy, "--json").stdout)
    assert sorted(found) == [
        "bytes",
        "dir",
        "findings",
        "findings_total",
        "not_vouched_for",
        "notes",
        "repaired",
        "shards",
        "totals",
        "whole",
    ]
    assert found["whole"] is False
    assert found["findings"] == [
        {
            "check": "checksum",
            "file": name,
            "message": "the record does not match its checksum",
            "record": 0,
            "byte": 0,
            "remedy": "quarantine",
        }
    ]
    assert (found["findings_total"], found["shards"], found["totals"]["records"]) == (1, 6, 5)
    mended = json.loads(run(copy, "--json", "--repair").stdout)
    assert mended["whole"] is True
    assert mended["repaired"][0] == f"{name} keeps 1 record; set aside: 1 piece"


def test_a_damaged_manifest_is_written_anew_from_its_copy(copy: Path, breakout: Path) -> None:
    path = copy / "dataset.json"
    flip(path, 200)
    result = run(copy)
    assert result.exit_code == 1
    assert result.stdout.startswith("dataset.json: manifest: it is ")
    result = run(copy, "--repair")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "Repaired: dataset.json was written anew"
    assert path.read_bytes() == (breakout / "dataset.json").read_bytes()


def swap(copy: Path, *, with_index: bool) -> str:
    """Put the first shard in the place of the second, sizes and names being what they are, and return its name."""
    first, second = shards(copy)[:2]
    shutil.copy(first, second)
    if with_index:
        index = read_index(Path(f"{first}.index"))
        header = msgspec.structs.replace(index.header, shard=second.name)
        Path(f"{second}.index").write_bytes(encode_index(header, index.arrays))
    return second.name


def test_another_shard_waits_for_force(copy: Path) -> None:
    name = swap(copy, with_index=False)
    before = digests(copy)
    for option in ([], ["--repair"]):
        result = run(copy, *option)
        assert result.exit_code == 1
        assert f"{name}: digest: it is another shard than the one that index and manifest were written for" in (
            result.stdout
        )
    assert "copy the right files here again, or add --force" in result.stderr
    assert digests(copy) == before
    result = run(copy, "--repair", "--force")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Given up: {name}: digest: it is another shard")
    assert f"Not vouched for: {name} is taken as it is" in result.stdout


def test_what_cannot_be_vouched_for_is_said(copy: Path) -> None:
    name = swap(copy, with_index=True)
    assert f"{name}: digest: it fits its index, but the manifest was written for another shard" in run(copy).stdout
    answer = json.loads(run(copy, "--repair", "--json").stdout)
    assert answer["whole"] is True
    (doubt,) = answer["not_vouched_for"]
    assert doubt.startswith(f"{name} is taken as it is")


def test_force_alone_is_wrong_usage(copy: Path) -> None:
    result = run(copy, "--force")
    assert result.exit_code == 2
    assert "--force is for --repair" in result.stderr


def test_names_from_the_data_cannot_steer_the_terminal(copy: Path) -> None:
    (copy / "evil\x1b[2J").write_text("")
    result = run(copy)
    assert result.exit_code == 0
    assert "\x1b" not in result.output
    assert "Note: evil\\x1b[2J is no file of a dataset." in result.stderr


@pytest.mark.parametrize("what", ["nothing", "a file", "an empty folder"])
def test_no_dataset(tmp_path: Path, what: str) -> None:
    path = tmp_path / "x"
    if what == "a file":
        path.write_text("")
    elif what == "an empty folder":
        path.mkdir()
    result = run(path)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1


def test_a_repaired_dataset_is_read_and_can_be_made_again(copy: Path, recording: Path, breakout: Path) -> None:
    flip(shards(copy)[0], 300)
    assert run(copy, "--repair").exit_code == 0
    assert ingest(recording, copy, holdout=0.55, overwrite=True).manifest.dead_letters == 0
    assert {name for name in digests(copy) if not name.startswith("quarantine")} == set(digests(breakout))


def test_a_folder_that_cannot_be_written(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gato_data.verify import quarantine

    flip(shards(copy)[0], 300)

    def closed(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(quarantine.os, "fsync", closed)
    before = {path.name for path in shards(copy)}
    result = run(copy, "--repair")
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: {copy} cannot be repaired (Permission denied): mend that, then run the same command again\n"
    )
    assert {path.name for path in shards(copy)} == before
