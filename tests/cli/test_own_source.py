"""A user's own source as `gato-data` meets it: what is wrong with its file, with its code, and with what it gives."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from gato_cli.main import cli
from gato_data.errors import InputError
from gato_pipelines.ingest import dataset_writer
from gato_pipelines.ingest.runners import run_over
from gato_schemas.dataset import read_manifest
from gato_schemas.record import decode_record
from gato_schemas.tfrecord import read_records
from tests.cli.command import error_of, ingest, run
from tests.own_sources import LOGS, arm_source, install, sessions
from tests.rlds_inputs import digests, shards


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Import every module of a test anew."""
    monkeypatch.setattr("sys.dont_write_bytecode", True)


@pytest.fixture
def arm(tmp_path: Path) -> Path:
    """Two sessions of three episodes each."""
    return sessions(tmp_path / "sessions")


def at(home: Path, text: str, line: str) -> str:
    """File and line of a line of a source."""
    return f"{home / 'arm_npz.py'}, line {text.splitlines().index(line) + 1}"


BROKEN = {
    "syntax": ("class Source(:\n    pass\n", "line 1 (SyntaxError: invalid syntax)"),
    "import": ("import numpy\nimport not_installed_here\n", "line 2 (ModuleNotFoundError: No module named "),
    "fails": ("\n\nlimit = 1 / 0\n", "line 3 (ZeroDivisionError: division by zero)"),
    "leaves": ("import sys\nsys.exit(3)\n", "line 2 (SystemExit: 3)"),
    "empty": ("", "has no class Source"),
    "function": ("def Source():\n    pass\n", "has a Source that is no dataclass"),
    "plain": ("class Source:\n    pass\n", "has a Source that is no dataclass"),
    "thawed": ("from dataclasses import dataclass\n@dataclass\nclass Source:\n    a: int = 0\n", "no frozen dataclass"),
    "half": (
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Source:\n    family: str = ''\n"
        "    def parts(self, folder): return []\n",
        "has a Source without scan, read, input_names, input_licence, libraries",
    ),
}


class TestABrokenFile:
    @pytest.mark.parametrize("kind", BROKEN)
    def test_it_is_named_and_keeps_no_other_from_working(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, recording: Path
    ) -> None:
        text, reason = BROKEN[kind]
        home = install(monkeypatch, tmp_path, my_arm=text)
        found = error_of(ingest("my-arm", recording, "--out", tmp_path / "out"))
        assert found.startswith(f"source 'my-arm' is broken: {home / 'my_arm.py'}")
        assert reason in found
        listed = run("sources")
        assert listed.exit_code == 0
        assert "\nmy-arm\n    broken    source 'my-arm' is broken: " in listed.stdout
        assert "\nrlds\n    Any episodes" in listed.stdout
        rows = {row["name"]: row for row in json.loads(run("sources", "--json").stdout)["sources"]}
        assert rows["my-arm"] == {"name": "my-arm", "broken": found}
        assert rows["atari"]["licence"]
        shown = run("ingest", "--help")
        assert shown.exit_code == 0
        assert "source 'my-arm' is broken" in shown.stdout
        assert "Atari" in shown.stdout
        assert ingest("atari", recording, "--out", tmp_path / "out", "--dry-run").exit_code == 0

    @pytest.mark.parametrize(
        ("setting", "reason"),
        [
            ("name: str = setting('', 'A name.')", "every ingest has the option 'name', rename its setting"),
            ("axes: dict[str, int] = setting(None, 'Axes.')", "'axes' is of type dict[str, int], which a command line"),
            ("axes: tuple[bool, ...] = setting((), 'Axes.')", "'axes' is of type tuple[bool, ...], which a command"),
            ("axes: 'Unknown' = setting(None, 'Axes.')", "name 'Unknown' is not defined"),
        ],
    )
    def test_a_setting_that_can_be_no_option(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm: Path, setting: str, reason: str
    ) -> None:
        line = '    degrees: bool = setting(False, "The joint angles are in degrees.")\n'
        install(monkeypatch, tmp_path, arm_npz=arm_source((line, f"{line}    {setting}\n")))
        assert reason in error_of(ingest("arm-npz", arm, "--out", tmp_path / "out"))
        assert "is broken" in run("ingest", "--help").stdout

    def test_a_name_that_a_source_has_already(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recording: Path
    ) -> None:
        home = install(monkeypatch, tmp_path, atari=arm_source())
        assert error_of(ingest("atari", recording, "--out", tmp_path / "out")) == (
            f"2 sources are named 'atari', in gato-data itself and {home}: rename the file of your own"
        )
        assert "\natari\n    broken    2 sources are named 'atari'" in "\n" + run("sources").stdout
        assert ingest("rlds", recording, "--out", tmp_path / "out", "--dry-run").exit_code == 0

    def test_a_file_that_begins_with_an_underscore_is_no_source(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        install(monkeypatch, tmp_path, _shared="1 / 0", arm_npz=arm_source())
        names = [row["name"] for row in json.loads(run("sources", "--json").stdout)["sources"]]
        assert "arm-npz" in names
        assert [name for name in names if "shared" in name] == []


POSE = "                tensors = {path: column[start:stop] for path, column in columns.items()}\n"
FAULTS = {
    "one timestep too few": (
        "num_timesteps=stop - start, tensors",
        "num_timesteps=stop - start - 1, tensors",
        "has 5 timesteps, num_timesteps is 4",
    ),
    "one timestep too many": (
        "num_timesteps=stop - start, tensors",
        "num_timesteps=stop - start + 1, tensors",
        "has 5 timesteps, num_timesteps is 6",
    ),
    "an action that is missing": (
        POSE,
        POSE + "                tensors.pop('steps/action', None)\n",
        "steps/action is missing, though it is announced",
    ),
    "an observation that is missing": (
        POSE,
        POSE + "                tensors.pop('steps/observation/pose', None)\n",
        "steps/observation/pose is missing, though it is announced",
    ),
    "lists": (
        POSE,
        POSE + "                tensors['steps/action'] = list(tensors['steps/action'])\n",
        "steps/action is of type list: an array is wanted",
    ),
    "integers": (
        POSE,
        POSE + "                tensors['steps/action'] = tensors['steps/action'].astype(int)\n",
        "steps/action is of int64, float32 is announced",
    ),
    "two joints": (
        POSE,
        POSE + "                tensors['steps/action'] = tensors['steps/action'][:, :2]\n",
        "steps/action has values of shape (2,), (3,) is announced",
    ),
    "one array that is shorter": (
        POSE,
        POSE + "                tensors.update({k: v[1:] for k, v in tensors.items() if k == 'steps/reward'})\n",
        "steps/reward has 4 timesteps, num_timesteps is 5",
    ),
}


class TestWhatItGives:
    @pytest.mark.parametrize(
        ("fault", "workers"), [*((fault, "1") for fault in FAULTS), ("an action that is missing", "2")]
    )
    def test_an_episode_that_is_not_as_announced(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm: Path, fault: str, workers: str
    ) -> None:
        old, new, reason = FAULTS[fault]
        install(monkeypatch, tmp_path, arm_npz=arm_source((old, new)))
        out = tmp_path / "out"
        found = error_of(ingest("arm-npz", arm, "--out", out, "--workers", workers))
        assert found.startswith("no episode could be used (the first of 6: arm/session-0.npz, record 0: steps/")
        assert reason in found
        letters = [json.loads(line) for line in (out / "dead_letters.jsonl").read_text().splitlines()]
        assert [(one["key"], one["stage"]) for one in letters] == [(f"record {n}", "read") for n in (0, 1, 2)] * 2

    def test_the_corrected_source_reads_what_the_faulty_one_could_not(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm: Path
    ) -> None:
        old, new, _ = FAULTS["one timestep too few"]
        install(monkeypatch, tmp_path, arm_npz=arm_source((old, new)))
        out = tmp_path / "out"
        assert ingest("arm-npz", arm, "--out", out).exit_code == 1
        install(monkeypatch, tmp_path, arm_npz=arm_source())
        again = ingest("arm-npz", arm, "--out", out)
        assert again.exit_code == 0, again.stderr
        assert again.stderr.splitlines()[0] == "an earlier try kept no episode and makes way"
        assert read_manifest(out).splits["train"].totals.timesteps == 24
        assert read_manifest(out).dead_letters == 0

    @pytest.mark.parametrize(
        ("old", "new", "reason"),
        [
            ("yield RawItem(ordinal, Rlds", "yield (ordinal, Rlds", "gives tuple for an episode: a RawItem is wanted"),
            (
                "yield RawItem(ordinal, Rlds",
                "yield RawItem(0, Rlds",
                "gives episode 0 of session-0.npz where one from 1",
            ),
            (
                "if first <= ordinal < (",
                "if first <= ordinal < 2 < (",
                "gives 2 episodes of session-0.npz where 3 were",
            ),
            ("path.stat().st_size, None", "path.stat().st_size, 4", "gives 3 episodes of session-0.npz where 4 were"),
            ("path.stat().st_size, None", "17, None", "says that session-0.npz has 17 bytes, it has "),
            ("File(path.name, ", "File(str(path), ", "which is no name relative to the input"),
            ("File(path.name, path", "File('session-0.npz', path", "twice: give every file once"),
        ],
    )
    def test_other_episodes_than_were_asked_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm: Path, old: str, new: str, reason: str
    ) -> None:
        if "2 <" in new:  # the planning pass reads rewards, and writing poses as well
            new = 'if first <= ordinal < (2 if "steps/observation/pose" in columns else 9) and ordinal < ('
        install(monkeypatch, tmp_path, arm_npz=arm_source((old, new)))
        found = error_of(ingest("arm-npz", arm, "--out", tmp_path / "out"))
        assert found.startswith("the reader of arm .npz ")
        assert reason in found


class TestItsErrors:
    @pytest.mark.parametrize(
        ("line", "workers"),
        [
            ("            with np.load(self.path / file, allow_pickle=False) as arrays:", "1"),
            ('        files = sorted(folder.glob("*.npz"))', "1"),
            ('        if split != "train":', "1"),
            ("                tensors = {path: column[start:stop] for path, column in columns.items()}", "1"),
            ("                tensors = {path: column[start:stop] for path, column in columns.items()}", "2"),
        ],
    )
    def test_one_sentence_with_file_and_line(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm: Path, line: str, workers: str
    ) -> None:
        indent = " " * (len(line) - len(line.lstrip()))
        text = arm_source((f"{line}\n", f"{indent}1 / 0\n{line}\n"))
        home, out = install(monkeypatch, tmp_path, arm_npz=text), tmp_path / "out"
        for options in ([], ["--dry-run"]):
            found = error_of(ingest("arm-npz", arm, "--out", out, "--workers", workers, *options))
            assert found == (
                f"source 'arm-npz' failed at {at(home, text, f'{indent}1 / 0')} (ZeroDivisionError: division by zero): "
                "mend it there, then run the same command again; --debug shows the traceback"
            )

    def test_a_setting_that_it_refuses_itself(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm: Path) -> None:
        line = "    def container(self, folder: Path) -> Sessions:\n"
        check = "    def __post_init__(self) -> None:\n        assert not self.degrees, 'radians only'\n\n"
        text = arm_source((line, check + line))
        home = install(monkeypatch, tmp_path, arm_npz=text)
        where = at(home, text, "        assert not self.degrees, 'radians only'")
        assert f"failed at {where} (AssertionError: radians only)" in error_of(
            ingest("arm-npz", arm, "--out", tmp_path / "out", "--degrees")
        )

    def test_an_answer_that_nothing_can_be_done_with(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm: Path
    ) -> None:
        name = 'name="arm", features=features'
        home = install(monkeypatch, tmp_path, arm_npz=arm_source((name, "name=None, features=features")))
        found = error_of(ingest("arm-npz", arm, "--out", tmp_path / "out"))
        assert found.startswith(f"source 'arm-npz' failed at {home / 'arm_npz.py'} (")

    def test_debug_shows_the_traceback(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm: Path) -> None:
        install(
            monkeypatch,
            tmp_path,
            arm_npz=arm_source(("    files = sorted(folder", "    1 / 0\n        files = sorted(folder")),
        )
        result = CliRunner().invoke(cli, ["--debug", "ingest", "arm-npz", str(arm), "--out", str(tmp_path / "out")])
        assert isinstance(result.exception, InputError)
        assert isinstance(result.exception.__cause__, ZeroDivisionError)


def tokens_of(out: Path) -> list[list[int]]:
    """The tokens of every episode."""
    records = (decode_record(raw.data, "zlib") for path in shards(out) for raw in read_records(path))
    return [record.sequence.tokens.tolist() for record in records]


def arm_of_folders(tmp_path: Path) -> Path:
    """Sessions as folders of one file per array."""
    for path in sorted(sessions(tmp_path / "npz").iterdir()):
        folder = tmp_path / "days" / path.stem
        folder.mkdir(parents=True)
        with np.load(path) as arrays:
            for name in arrays.files:
                np.save(folder / f"{name}.npy", arrays[name])
    return tmp_path / "days"


FOLDERS = (
    ('sorted(self.path.glob("*.npz"))]', "sorted(self.path.iterdir())]"),
    ('sorted(folder.glob("*.npz"))', "sorted(folder.iterdir())"),
    (
        "            with np.load(self.path / file, allow_pickle=False) as arrays:\n",
        "            if arrays := {path.stem: np.load(path) for path in (self.path / file).iterdir()}:\n",
    ),
    (
        "            with np.load(files[0], allow_pickle=False) as arrays:\n",
        "            if arrays := {path.stem: np.load(path) for path in files[0].iterdir()}:\n",
    ),
)


class TestFolders:
    @pytest.mark.parametrize(
        "size", ["path.stat().st_size", "sum(file.stat().st_size for file in path.iterdir())", "0"]
    )
    def test_a_file_that_stands_for_a_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str) -> None:
        days = arm_of_folders(tmp_path)
        install(monkeypatch, tmp_path, arm_npz=arm_source(*FOLDERS, ("path.stat().st_size", size)))
        result = ingest("arm-npz", days, "--out", tmp_path / "arm")
        assert result.exit_code == 0, result.stderr
        install(monkeypatch, tmp_path, arm_npz=arm_source())
        assert ingest("arm-npz", tmp_path / "npz", "--out", tmp_path / "same" / "arm").exit_code == 0
        found, wanted = (
            [
                decode_record(raw.data, "zlib").sequence.tokens.tolist()
                for path in shards(out)
                for raw in read_records(path)
            ]
            for out in (tmp_path / "arm", tmp_path / "same" / "arm")
        )
        assert found == wanted
        assert len(found) == 6

    def test_a_folder_that_grows_while_it_is_ingested(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        days = arm_of_folders(tmp_path)
        size = sum(path.stat().st_size for path in (days / "session-1").iterdir())
        install(monkeypatch, tmp_path, arm_npz=arm_source(*FOLDERS))

        def grows(*arguments: object) -> None:
            (days / "session-1" / "more.npy").write_bytes(b"123")
            run_over(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(dataset_writer, "run_over", grows)
        assert error_of(ingest("arm-npz", days, "--out", tmp_path / "out")) == (
            f"session-1 changed while it was ingested: it had {size} bytes and has {size + 3} now; run the same "
            "command again when nothing writes to it any more, finished shards are kept"
        )


class TestWhatIsKept:
    def test_its_licence(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm: Path) -> None:
        install(monkeypatch, tmp_path, arm_npz=arm_source())
        assert ingest("arm-npz", arm, "--out", tmp_path / "out").exit_code == 0
        assert read_manifest(tmp_path / "out").source.licence == "ours"

    def test_the_licence_of_the_input_comes_first(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm: Path
    ) -> None:
        says = ('name="arm", features', 'name="arm", licence="CC0-1.0", features')
        install(monkeypatch, tmp_path, arm_npz=arm_source(says))
        assert ingest("arm-npz", arm, "--out", tmp_path / "out").exit_code == 0
        assert read_manifest(tmp_path / "out").source.licence == "CC0-1.0"

    def test_a_source_made_from_one_of_ours_declares_no_licence(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm: Path
    ) -> None:
        install(monkeypatch, tmp_path, arm_npz=arm_source(('    licence: ClassVar[str] = "ours"\n', "")))
        assert ingest("arm-npz", arm, "--out", tmp_path / "out").exit_code == 0
        assert read_manifest(tmp_path / "out").source.licence == ""

    @pytest.mark.parametrize(
        "declared",
        [
            'calibration: str = setting("", "Calibration.", "FILE")',
            'calibration: Path | None = setting(None, "Calibration.")',
        ],
    )
    def test_a_path_is_kept_as_its_last_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm: Path, declared: str
    ) -> None:
        line = '    degrees: bool = setting(False, "The joint angles are in degrees.")\n'
        install(monkeypatch, tmp_path, arm_npz=arm_source((line, f"{line}    {declared}\n")))
        for folder in ("here", "there"):
            file = tmp_path / folder / "arm.toml"
            file.parent.mkdir()
            file.write_text("offset = 0")
            done = ingest("arm-npz", arm, "--out", tmp_path / folder / "arm", "--calibration", file)
            assert done.exit_code == 0, done.stderr
        manifest = read_manifest(tmp_path / "here" / "arm")
        assert manifest.source.settings["calibration"] == "arm.toml"
        assert digests(tmp_path / "here" / "arm") == digests(tmp_path / "there" / "arm")


class TestOneThatSharesNothingWithOurs:
    def test_it_works(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        install(monkeypatch, tmp_path, logs=LOGS)
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "a.log").write_text("it began")
        result = ingest("logs", tmp_path / "in", "--out", tmp_path / "out")
        assert result.exit_code == 0, result.stderr
        assert read_manifest(tmp_path / "out").splits["train"].totals.episodes == 1
        assert "\nlogs\n    Logs.\n" in run("sources").stdout

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("text.upper() if", "text.uper() if", "AttributeError: 'str' object has no attribute 'uper'"),
            ("yield Item(", "yield tuple, (", "AttributeError: 'tuple' object has no attribute "),
            ("PartScan(part=part", "PartScan(part=7", "ValidationError: Expected `object`, got `int` - at `$.part`"),
            ("return [Part(path.name, ", "return [(path.name, ", "'tuple' object has no attribute 'file'"),
        ],
    )
    def test_what_goes_wrong_is_one_sentence(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, said: str
    ) -> None:
        home = install(monkeypatch, tmp_path, logs=LOGS.replace(old, new))
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "a.log").write_text("it began")
        found = error_of(ingest("logs", tmp_path / "in", "--out", tmp_path / "out", "--upper"))
        assert found.startswith(f"source 'logs' failed at {home / 'logs.py'}")
        assert said in found
