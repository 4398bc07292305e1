import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gato_trainer.kernels import Shapes, trial
from gato_trainer.kernels.trial import tried

WORKER = Path(__file__).with_name("trial_worker.py")
NAMES = ("add_norm", "geglu", "embed")
Behave = Callable[..., Callable[[], int]]


@pytest.fixture
def behave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Behave:
    """Decide what happens to each operation in the other process; the result counts how many were started."""
    starts = tmp_path / "starts"

    def make(**behaviour: str) -> Callable[[], int]:
        monkeypatch.setattr(trial, "COMMAND", (sys.executable, str(WORKER)))
        monkeypatch.setenv("BEHAVIOUR", json.dumps(behaviour))
        monkeypatch.setenv("STARTS", str(starts))
        return lambda: len(starts.read_text().splitlines())

    return make


def test_all_pass_in_one_process(behave: Behave, shapes: Callable[..., Shapes]) -> None:
    started = behave()
    assert tried(NAMES, shapes()) == dict.fromkeys(NAMES)
    assert started() == 1


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("crashes", "its test was ended by SIGABRT on this machine"),
        ("raises", "its test ended with code 1 on this machine (geglu has no such symbol)"),
        ("says nothing", "its test ended without a verdict on this machine"),
        ("it is off by 1", "it is off by 1"),
    ],
)
def test_one_that_fails_costs_no_other(how: str, reason: str, behave: Behave, shapes: Callable[..., Shapes]) -> None:
    behave(geglu=how)
    assert tried(NAMES, shapes()) == {"add_norm": None, "geglu": reason, "embed": None}


def test_one_that_hangs_is_ended(
    behave: Behave, shapes: Callable[..., Shapes], monkeypatch: pytest.MonkeyPatch
) -> None:
    behave(embed="hangs")
    monkeypatch.setattr(trial, "LIMIT_S", 5.0)
    reason = "its test did not end within 5 s on this machine"
    assert tried(NAMES, shapes()) == {"add_norm": None, "geglu": None, "embed": reason}


def test_the_process_tests_the_operations(shapes: Callable[..., Shapes]) -> None:
    """In the interpreter: the shapes arrive there, and a width that is too large is told."""
    assert tried(["geglu"], shapes(width=16, feed_forward=32)) == {"geglu": None}
    assert tried(["add_norm"], shapes(width=8194)) == {"add_norm": "it takes widths up to 8192, not 8194"}
