"""`gato-data mix --weights` given more than once."""

from pathlib import Path

from gato_schemas.mixture import read_mixture
from tests.cli.command import error_of, run


def test_repeated_weights_add_up_or_are_refused(library: Path, tmp_path: Path) -> None:
    out = tmp_path / "mixture.json"
    folders = (library / "pong", library / "walker")
    assert run("mix", "--weights", "pong=1", "--weights", "walker=3", "--out", out, *folders).exit_code == 0
    assert read_mixture(out).stages[0].weights == [0.25, 0.75]
    told = error_of(run("mix", "--weights", "pong=1", "--weights", "pong=2", "--out", out, *folders))
    assert told == "dataset pong has two weights, 1 and 2: give it one"
    told = error_of(run("mix", "--weights", "uniform", "--weights", "pong=2", "--out", out, *folders))
    assert told == "weight 'uniform' is not NAME=NUMBER, as in breakout=2,pong=1"
