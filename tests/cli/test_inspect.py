import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from gato_cli.main import cli
from gato_schemas.dataset import encode_manifest, read_manifest
from tests.gato_data.report.folders import Folder, caption_folder, robot_episode, robot_folder, write_folder
from tests.sealed import write_sealed

TRAIN = "arm-train.tfrecord-00000-of-00002"

SHARD = """\
arm-train.tfrecord-00000-of-00002
size      {size}
split     train
patches   28, 46.4% distinct, zlib
task      robot
agent     agent
left out  1 episode, see dead_letters.jsonl

record  episode             timesteps  tokens  patch  discrete  continuous   loss  return  terminal
     0  robot/00000/000000          3      33     12         6          12  27.3%       3  yes
     1  robot/00000/000001          4      44     16         8          16  27.3%       6  no

records      2
episodes     2
timesteps    7
images       7
tokens       77 (patch 28, discrete 14, continuous 28, separator 7)
in the loss  21 (27.3%)
"""

TIMESTEP = """\
record 1
episode      robot/00000/000001
source's id  raw-1
task         robot
agent        agent
timesteps    4
tokens       44
in the loss  12 (27.3%)
return       6, the end is not terminal

timestep 2, tokens 22 to 32, reward 2
token   position     id  modality    field                value                     loss
   22          0      -  patch       observation/camera   row 0, column 0, #ff0000  0
   23          1      -  patch       observation/camera   row 0, column 1, #008000  0
   24          2      -  patch       observation/camera   row 1, column 0, #000040  0
   25          3      -  patch       observation/camera   row 1, column 1, #1e1e1e  0
   26          4      0  discrete    observation/gripper  0                         0
   27          5  32753  continuous  observation/pose[0]  1.19                      0
   28          6  32279  continuous  observation/pose[1]  -0.9941                   0
   29  separator  33024  separator   separator                                      0
   30     action  32640  continuous  action/arm[0]        0.502                     1
   31     action  32768  continuous  action/arm[1]        1.002                     1
   32     action      3  discrete    action/button        3                         1

tokens 22 to 32 of 44 are shown: see more with --timestep T (0 to 3) or --tokens A:B
"""

TIMESTEP_40 = """\
timestep 2, tokens 29 to 30, reward 2
token 29
  position separator  id 33024
  modality separator  field separator
  loss 0
token 30
  position action  id 32640
  modality continuous
  field action/arm[0]  value 0.502
  loss 1
"""


@pytest.fixture(autouse=True)
def _pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


def inspect(*args: object) -> Result:
    return CliRunner().invoke(cli, ["inspect", *map(str, args)])


def fails(code: int, message: str, *args: object) -> None:
    result = inspect(*args)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.splitlines()[-1] == f"Error: {message}"
    assert "Traceback" not in result.stderr


def test_shard(arm: Path) -> None:
    result = inspect("shard", arm / TRAIN)
    assert result.exit_code == 0
    assert result.stdout == SHARD.format(size=f"{(arm / TRAIN).stat().st_size / 1000:.1f} kB")
    assert result.stderr == ""


def test_shard_without_its_index(arm: Path, tmp_path: Path) -> None:
    (tmp_path / TRAIN).write_bytes((arm / TRAIN).read_bytes())
    result = inspect("shard", tmp_path / TRAIN)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[6:] == SHARD.splitlines()[8:]
    assert result.stdout.splitlines()[2:5] == ["patches  28, 46.4% distinct", "task     robot", "agent    agent"]
    assert result.stderr == f"Note: no index beside {TRAIN}: the whole shard is read.\n"


def test_limit(arm: Path) -> None:
    result = inspect("shard", arm / TRAIN, "--limit", 1)
    assert "robot/00000/000001" not in result.stdout
    assert "... 1 more record: --limit 2 shows all of them\n" in result.stdout
    assert "records      2\n" in result.stdout


def test_shard_json(arm: Path) -> None:
    answer = json.loads(inspect("shard", arm / TRAIN, "--json").stdout)
    assert list(answer) == [
        "shard", "bytes", "split", "patch_encoding", "fingerprint", "dead_letters", "from_index", "totals", "records"
    ]  # fmt: skip
    assert answer["records"][1] == {
        "record": 1,
        "episode_id": "robot/00000/000001",
        "task": "robot",
        "agent": "agent",
        "chunk": 0,
        "num_chunks": 1,
        "timesteps": 4,
        "images": 4,
        "tokens": 44,
        "tokens_by_modality": {"text": 0, "patch": 16, "discrete": 8, "continuous": 16, "separator": 4},
        "loss_tokens": 12,
        "loss_share": 12 / 44,
        "return": 6.0,
        "is_terminal": False,
    }


def test_no_return_is_null_in_json(captions: Path) -> None:
    answer = json.loads(inspect("shard", captions / "captions-train.tfrecord-00000-of-00001", "--json").stdout)
    assert [record["return"] for record in answer["records"]] == [None, None]


def test_timestep(arm: Path) -> None:
    result = inspect("shard", arm / TRAIN, "--record", 1, "--timestep", 2)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == TIMESTEP


def test_a_terminal_of_forty_columns(arm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    result = inspect("shard", arm / TRAIN, "--record", 1, "--tokens", "29:31")
    assert TIMESTEP_40 in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 40


def test_colours_and_pictures_where_the_terminal_has_them(arm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("COLUMNS", "100")
    shown = inspect("shard", arm / TRAIN, "--record", 0, "--timestep", 0).stdout
    assert "\x1b[38;2;255;0;0;48;2;255;0;0m\u2580" in shown
    assert "\x1b[48;2;0;128;0m  \x1b[0m" in shown
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[38" not in inspect("shard", arm / TRAIN, "--record", 0, "--timestep", 0).stdout


def test_timeline_json(told: Path) -> None:
    shard = told / TRAIN
    answer = json.loads(inspect("shard", shard, "--record", 0, "--json").stdout)
    assert (answer["record"], answer["timesteps"], answer["first_timestep"]) == (0, 3, 0)
    assert {token["timestep"] for token in answer["tokens"]} == {0, 1}
    by_field = {token["field"]: token for token in answer["tokens"] if token["timestep"] == 1}
    assert by_field["action/arm[0]"] == {
        "index": by_field["action/button"]["index"] - 2,
        "timestep": 1,
        "position": "action",
        "id": 32640,
        "modality": "continuous",
        "field": "action/arm[0]",
        "value": 0.501953125,
        "patch": None,
        "loss": True,
    }
    assert by_field["observation/camera"]["patch"] == {"image": 1, "row": 1, "column": 1, "mean": [10, 10, 10]}
    assert isinstance(by_field["observation/instruction"]["value"], str)


def test_dataset(arm: Path) -> None:
    result = inspect("dataset", arm)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "arm"
    assert "family          robots" in lines
    (train,) = (line.split() for line in lines if line.startswith("train "))
    size = sum(path.stat().st_size for path in arm.glob("arm-train*-of-00002"))
    assert train == ["train", "2", f"{size / 1000:.1f}", "kB", "3", "8", "88", "27.3%"]
    assert "\n".join(lines).endswith(
        """\
Task robot
episodes    4
tokens      110
final step  drop: no reward follows the final observation
repeated    33.3% of action tokens are those of the timestep before (a sample)
a timestep  11 tokens, in this order:
tokens  field                modality    shape    range    loss
     4  observation/camera   image       32x32x3           no
     1  observation/gripper  discrete                      no
     2  observation/pose     continuous  2                 no
     1  separator                                          no
     2  action/arm           continuous  2        -2 to 2  yes
     1  action/button        discrete                      yes
raw values, before any scaling or clipping:
field                low  high  mean     std  saturated  NaN     bins  error
observation/camera     -     -     -       -          -    -        -
observation/gripper    0     1   0.4  0.4899          -    -   2/1024
observation/pose      -1   3.1  0.15    1.37       0.0%    0  11/1024  0.031
action/arm            -1     2  0.25    0.75       0.0%    0   5/1024  0.002
action/button          3     4   3.4  0.4899          -    -   2/1024

Account
read      4 episodes, 10 timesteps, 110 tokens
left out  1 episode: dead_letters.jsonl says why

Quality
problem  left_out  arm: 1 episode left out, dead_letters.jsonl says why (0.2, threshold 0.01)
problem  one_step  robot: 25.0% of the episodes are one timestep long: are episodes cut apart? (0.25, threshold 0.1)
notice   constant  robot action/arm: 1 of 2 elements never change, at 0 (0.5, threshold 0.5)
notice   constant  robot observation/pose: 1 of 2 elements never change, at 1 (0.5, threshold 0.5)"""
    )


def test_a_dataset_of_no_family_says_so(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "arm", robot_folder())
    manifest = read_manifest(folder)
    (folder / "dataset.json").write_bytes(encode_manifest(msgspec.structs.replace(manifest, family="")))
    assert inspect("dataset", folder).stdout.splitlines()[:2] == ["arm", "family          not stated"]
    assert json.loads(inspect("dataset", folder, "--json").stdout)["family"] == ""


def test_dataset_json(arm: Path) -> None:
    answer = json.loads(inspect("dataset", arm, "--json").stdout)
    assert answer["totals"]["tokens_by_modality"]["continuous"] == 40
    assert [shard["name"] for shard in answer["splits"]["train"]["shards"]] == [
        "arm-train.tfrecord-00000-of-00002",
        "arm-train.tfrecord-00001-of-00002",
    ]
    assert answer["tasks"]["robot"]["final_step"] == {
        "policy": "drop",
        "reason": "no reward follows the final observation",
    }
    assert [field["name"] for field in answer["tasks"]["robot"]["fields"]] == [
        "camera", "gripper", "pose", "arm", "button"
    ]  # fmt: skip
    assert answer["missing"] == []


def test_hostile_text_is_harmless(tmp_path: Path) -> None:
    bad = "\x1b[2J[red]\u202e<script>alert(1)</script>\n\x07 שלום 🤖"
    episode = robot_episode(0, 2, bad)
    content = robot_folder(bad)
    content = Folder(
        name="arm",
        family=bad,
        specs={bad: content.specs["robot"]},
        splits={"train": [[_renamed(episode, bad)]]},
    )
    folder = write_folder(tmp_path / "bad", content)
    shard = folder / "arm-train.tfrecord-00000-of-00001"
    for args in (
        ("dataset", folder),
        ("dataset", folder, "--json"),
        ("shard", shard),
        ("shard", shard, "--record", 0),
        ("shard", shard, "--record", 0, "--json"),
    ):
        result = inspect(*args)
        assert result.exit_code == 0, result.stderr
        assert not set(result.stdout) & set("\x1b\x07\u202e")
        assert "[red]" in result.stdout


def _renamed(episode: object, task: str) -> object:
    import dataclasses

    return dataclasses.replace(episode, task=task)  # type: ignore[type-var]


def test_a_dataset_with_a_missing_shard(arm: Path, tmp_path: Path) -> None:
    for file in arm.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / TRAIN).write_bytes(b"short")
    (tmp_path / "arm-train.tfrecord-00001-of-00002").unlink()
    (tmp_path / "arm-validation.tfrecord-00000-of-00001.index").unlink()
    shown = inspect("dataset", tmp_path).stdout
    missing, _, quality = shown.partition("Missing files\n")[2].partition("\n\nQuality\n")
    size = (arm / TRAIN).stat().st_size
    assert quality.startswith("problem  missing   arm: ")
    assert missing.splitlines() == [
        f"  {TRAIN} has 5 bytes, {size} were written",
        "  arm-train.tfrecord-00001-of-00002 is missing",
        "  arm-validation.tfrecord-00000-of-00001.index is missing",
    ]


def test_what_is_not_there_is_one_sentence(arm: Path, tmp_path: Path) -> None:
    fails(1, f"there is no shard {tmp_path / 'x'}", "shard", tmp_path / "x")
    fails(1, f"there is no dataset folder {tmp_path / 'x'}", "dataset", tmp_path / "x")
    hint = f"try `gato-data inspect dataset {arm}`"
    fails(1, f"{arm} is a folder, a shard file was wanted: {hint}", "shard", arm)
    hint = f"try `gato-data inspect shard {arm / TRAIN}`"
    fails(1, f"{arm / TRAIN} is a file, a dataset folder was wanted: {hint}", "dataset", arm / TRAIN)
    fails(1, f"{TRAIN} has no record 2: a number from 0 to 1 is wanted", "shard", arm / TRAIN, "--record", 2)
    index = arm / (TRAIN + ".index")
    fails(1, f"{index} is the index of a shard: name the shard itself, {arm / TRAIN}", "shard", index)
    fails(
        1,
        f"{tmp_path} has no dataset.json: it is not a dataset of gato-data, or its ingest did not finish",
        "dataset",
        tmp_path,
    )


def test_another_format_version(arm: Path, tmp_path: Path) -> None:
    manifest = (arm / "dataset.json").read_text().replace('"version": 3', '"version": 7')
    (tmp_path / "dataset.json").write_text(manifest)
    message = f"{tmp_path / 'dataset.json'} has format version 7, this program reads version 3: "
    message += "ingest again from its source"
    fails(1, message, "dataset", tmp_path)
    (tmp_path / TRAIN).write_bytes((arm / TRAIN).read_bytes())
    fails(1, message, "shard", tmp_path / TRAIN, "--record", 0)


def test_a_manifest_that_lies(arm: Path, tmp_path: Path) -> None:
    text = (arm / "dataset.json").read_text()
    answer = json.loads(text)
    answer["tasks"]["robot"]["observations"][0]["shape"] = [-1, 3]
    write_sealed(tmp_path, answer)
    assert "Expected `int` >= 0" in inspect("dataset", tmp_path).stderr
    answer = json.loads(text)
    answer["statistics"][0]["low"] = []
    write_sealed(tmp_path, answer)
    assert "lists of different lengths" in inspect("dataset", tmp_path).stderr
    answer = json.loads(text)
    answer["statistics"][0]["bins"] = "zz"
    write_sealed(tmp_path, answer)
    assert "is not a manifest of gato-data" in inspect("dataset", tmp_path).stderr


def test_wrong_usage() -> None:
    for args, message in (
        (("--timestep", 0), "--timestep and --tokens need --record"),
        (("--record", 0, "--limit", 3), "--limit is for the list of records, leave it out with --record"),
        (("--record", 0, "--timestep", 0, "--tokens", "0:3"), "--timestep and --tokens exclude each other"),
        (
            ("--record", 0, "--tokens", "3"),
            "Invalid value for '--tokens': '3' is not a range of tokens: A:B is wanted, for example 0:64",
        ),
    ):
        fails(2, message, "shard", "file", *args)


@pytest.mark.parametrize("name", ["shard", "dataset", "mixture"])
def test_help_ends_with_an_example(name: str) -> None:
    result = inspect(name, "-h")
    assert result.exit_code == 0
    assert "Example:\n    gato-data inspect " in result.stdout


def test_captions(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "captions", caption_folder())
    shown = inspect("shard", folder / "captions-train.tfrecord-00000-of-00001").stdout
    assert "record  episode               tokens  text  patch   loss\n" in shown
    shown = inspect("shard", folder / "captions-train.tfrecord-00000-of-00001", "--record", 0).stdout
    assert "document, tokens 0 to " in shown
    assert "row 1, column 0" in shown


def test_strict(arm: Path) -> None:
    result = inspect("dataset", arm, "--strict")
    assert result.exit_code == 1
    assert "problem  left_out" in result.stdout
    advice = "mend the data, or move it with --threshold"
    assert result.stderr == f"Error: 2 findings are above the threshold in {arm}: {advice}\n"
    both = ("--threshold", "left_out=0.5", "--threshold", "one_step=0.5")
    assert inspect("dataset", arm, "--strict", *both).exit_code == 0
    fails(1, "threshold idle is -1.0: a number from 0 up is wanted", "dataset", arm, "--threshold", "idle=-1")
    fails(
        2,
        "Invalid value for '--threshold': 'idle' is not a threshold: NAME=VALUE is wanted, for example saturated=0.05",
        "dataset",
        arm,
        "--threshold",
        "idle",
    )


def test_quality_in_json(arm: Path) -> None:
    answer = json.loads(inspect("dataset", arm, "--json").stdout)["quality"]
    assert answer["problems"] == 2
    assert [finding["check"] for finding in answer["findings"][:2]] == ["left_out", "one_step"]
    assert answer["findings"][0] == {
        "check": "left_out",
        "level": "problem",
        "where": "arm",
        "measure": 0.2,
        "threshold": 0.01,
        "message": "1 episode left out, dead_letters.jsonl says why",
    }


@pytest.mark.parametrize("what", ["dataset", "shard"])
def test_a_page(arm: Path, tmp_path: Path, what: str) -> None:
    page = tmp_path / "page.html"
    result = inspect(what, arm / TRAIN if what == "shard" else arm, "--html", page, "--episodes", 2)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith(f"Wrote {page}: 2 of {2 if what == 'shard' else 4} episodes, ")
    assert page.read_text().startswith("<!doctype html>")


def test_a_page_of_a_shard_without_its_index(arm: Path, tmp_path: Path) -> None:
    (tmp_path / TRAIN).write_bytes((arm / TRAIN).read_bytes())
    message = f"no index beside {TRAIN}: a page wants one, the terminal shows a shard without"
    fails(1, message, "shard", tmp_path / TRAIN, "--html", tmp_path / "page.html")
    fails(1, f"cannot write the page {tmp_path / 'x' / 'y'}: No such file or directory", "dataset", arm, "--html",
          tmp_path / "x" / "y")  # fmt: skip


@pytest.fixture
def mixture(arm: Path, captions: Path, told: Path, tmp_path: Path) -> Path:
    from gato_data.mixing.make import plan_mixture
    from gato_schemas.mixture import encode_mixture

    mixed = plan_mixture([told, captions], {"arm": 3, "captions": 1}, folder=tmp_path)
    (tmp_path / "mixture.json").write_bytes(encode_mixture(mixed))
    return tmp_path / "mixture.json"


def test_mixture(mixture: Path) -> None:
    result = inspect("mixture", mixture, "--steps", 10, "--batch-size", 4)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "          0  windows    arm 0.75, captions 0.25\n" in result.stdout
    assert "10 steps of 4 windows of 256 tokens (40 windows, " in result.stdout
    answer = json.loads(inspect("mixture", mixture, "--json").stdout)
    assert [dataset["name"] for dataset in answer["datasets"]] == ["arm", "captions"]
    assert answer["plan"]["steps"] == 200


def test_the_page_of_a_mixture(mixture: Path, tmp_path: Path) -> None:
    result = inspect("mixture", mixture, "--html", tmp_path / "page.html")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.startswith(f"Wrote {tmp_path / 'page.html'}: 6 of 6 episodes, ")


def test_what_is_no_mixture(arm: Path, tmp_path: Path) -> None:
    fails(1, f"{arm} is a folder, a mixture file was wanted: try `gato-data inspect dataset {arm}`", "mixture", arm)
    message = f"there is no mixture file {tmp_path / 'x'}: make one with `gato-data mix`"
    fails(1, message, "mixture", tmp_path / "x")
    fails(
        1,
        f"{arm / 'dataset.json'} is not a mixture file (Object contains unknown field `account`)",
        "mixture",
        arm / "dataset.json",
    )
