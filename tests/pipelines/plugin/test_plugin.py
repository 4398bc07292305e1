"""The door for plug-ins: all names are told of, and any source can be tried."""

import inspect
from pathlib import Path

import pytest

from gato_pipelines import plugin
from gato_pipelines.plugin import check_source
from tests.own_sources import LOGS, arm_source, install, sessions

DATA = Path(__file__).parents[2] / "data"


def test_every_name_has_a_line() -> None:
    lines = [line.split() for line in (plugin.__doc__ or "").splitlines() if line.startswith("    ")]
    assert sorted(words[0] for words in lines) == sorted(plugin.__all__)
    assert all(len(words) > 3 for words in lines)
    public = {name for name, value in vars(plugin).items() if not name.startswith("_") and not inspect.ismodule(value)}
    assert public == set(plugin.__all__)


@pytest.mark.parametrize(
    ("name", "folder", "episodes"),
    [("atari", "rlds/rlu_atari/Breakout_run_1/1.3.0", 4), ("coco-captions", "documents/coco", 3)],
)
def test_sources_of_ours(name: str, folder: str, episodes: int) -> None:
    assert check_source(name, DATA / folder) == episodes


class TestOwn:
    def test_the_tutorials(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        install(monkeypatch, tmp_path, arm_npz=arm_source())
        assert check_source("arm-npz", sessions(tmp_path / "sessions"), {"degrees": True}) == 6

    def test_one_that_implements_the_protocol_by_itself(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        install(monkeypatch, tmp_path, logs=LOGS)
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "a.log").write_text("it began")
        assert check_source("logs", tmp_path / "in") == 1

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("return [Part(", "import random; return random.random() and [Part(", "it finds other parts"),
            ("part.file).read_text()", "part.file).read_text() + str(folder)", "the path of the input|other bytes"),
            ("        yield Item(", "        yield Item('none', 0)\n        yield Item(", "to be content or error"),
            ("        yield Item(", "        yield Item('x', 0, Document(task='logs'))\n        yield Item(", "ascend"),
            ("0, 1) for path", "0, 2) for path", "was scanned with 2 episodes, read with 1"),
            ("Part(path.name,", "Part(str(path),", "is no name relative to the input"),
        ],
    )
    def test_what_breaks_the_contract(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, said: str
    ) -> None:
        if "random" in new:
            new = "return [Part(str(__import__('random').random()) + "
        assert old in LOGS
        install(monkeypatch, tmp_path, logs=LOGS.replace(old, new))
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "a.log").write_text("it began")
        with pytest.raises(AssertionError, match=said):
            check_source("logs", tmp_path / "in")
