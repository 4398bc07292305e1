import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from gato_trainer.kernels import Shapes, verdicts

NAMES = ("add_norm", "geglu")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "gato-data" / "kernels"


@pytest.fixture
def tests(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str | None]]:
    """What comes of every test that runs; a test takes the last verdict that is set."""
    verdict: dict[str, str | None] = {"add_norm": None, "geglu": "it is off by 1"}
    ran: list[dict[str, str | None]] = []

    def tried(names: Sequence[str], shapes: Shapes) -> dict[str, str | None]:
        ran.append(dict(verdict))
        return ran[-1]

    monkeypatch.setattr(verdicts, "tried", tried)
    return ran


def test_a_verdict_is_found_again(cache: Path, tests: list[object], shapes: Callable[..., Shapes]) -> None:
    first = verdicts.verdicts(NAMES, shapes())
    (path,) = cache.iterdir()
    second = verdicts.verdicts(NAMES, shapes())
    assert len(tests) == 1
    assert first == {"add_norm": None, "geglu": "it is off by 1"}
    assert second == {"add_norm": None, "geglu": f"it is off by 1 (found before; delete {path} to test again)"}


@pytest.mark.parametrize("changed", ["width", "dtype", "length", "positions", "torch", "source", "driver"])
def test_anything_else_is_tested_anew(
    changed: str,
    cache: Path,
    tests: list[object],
    shapes: Callable[..., Shapes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = shapes()
    verdicts.verdicts(NAMES, given)
    if changed == "width":
        given = shapes(width=64)
    elif changed == "dtype":
        given = shapes(dtype=torch.bfloat16)
    elif changed == "length":
        given = shapes(length=8)
    elif changed == "positions":
        given = dataclasses.replace(given, model=dataclasses.replace(given.model, positions="rope"))
    elif changed == "torch":
        monkeypatch.setattr(torch, "__version__", "2.99.0")
    elif changed == "source":
        (tmp_path / "verdicts.py").write_text("# another kernel\n")
        monkeypatch.setattr(verdicts, "__file__", str(tmp_path / "verdicts.py"))
    else:
        (tmp_path / "driver").write_text("NVRM version: 999\n")
        monkeypatch.setattr(verdicts, "_DRIVER", tmp_path / "driver")
    verdicts.verdicts(NAMES, given)
    assert len(tests) == 2
    assert len([*cache.iterdir()]) == 2


@pytest.mark.parametrize("content", [b"", b"{", b'{"facts": {}, "verdicts": {"add_norm": 3}}', b"[" * 10**5])
def test_a_damaged_file_is_written_anew(
    content: bytes, cache: Path, tests: list[object], shapes: Callable[..., Shapes]
) -> None:
    verdicts.verdicts(NAMES, shapes())
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    path.write_bytes(content)
    assert verdicts.verdicts(NAMES, shapes())["add_norm"] is None
    assert len(tests) == 2
    assert path.read_bytes() == whole


def test_verdicts_of_something_else_do_not_count(
    cache: Path, tests: list[object], shapes: Callable[..., Shapes]
) -> None:
    verdicts.verdicts(NAMES, shapes())
    (path,) = cache.iterdir()
    kept = json.loads(path.read_bytes())
    kept["facts"]["gpu"] = "another"
    path.write_text(json.dumps(kept))
    verdicts.verdicts(NAMES, shapes())
    assert len(tests) == 2


def test_memory_that_was_taken_is_no_verdict(
    cache: Path, shapes: Callable[..., Shapes], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = dict.fromkeys(NAMES, "it failed its test on this machine (OutOfMemoryError: CUDA out of memory.)")
    monkeypatch.setattr(verdicts, "tried", lambda names, shapes: found)
    assert verdicts.verdicts(NAMES, shapes()) == found
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_costs_a_test(
    cache: Path, tests: list[object], shapes: Callable[..., Shapes]
) -> None:
    cache.parent.write_text("a file where a folder should be")
    for _ in range(2):
        assert verdicts.verdicts(NAMES, shapes())["add_norm"] is None
    assert len(tests) == 2
