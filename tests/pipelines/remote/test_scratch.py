"""Folders of this machine that runs keep: who has them, and when they go."""

import tempfile
from pathlib import Path

import pytest

from gato_pipelines.remote import scratch
from gato_pipelines.remote.scratch import new_scratch, remove_abandoned, scratch_around, scratch_of, using


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_goes_with_the_run(temporary: Path) -> None:
    with new_scratch() as run:
        folder = scratch_of(run)
        assert folder.parent == temporary
        assert scratch_around(folder / "files" / "a") == folder
        assert scratch_around(temporary / "a") is None
        (folder / "content").touch()
        with using(run):
            assert scratch_of(run) == folder
        assert (folder / "content").exists()
    assert not folder.exists()
    assert scratch._held == {}


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_is_not(temporary: Path) -> None:
    left, other = temporary / "gato-data-killed", temporary / "gato-data-of-somebody"
    left.mkdir()
    (left / "held").touch()
    (left / "content").touch()
    other.mkdir()
    with new_scratch() as run:
        assert not left.exists()
        remove_abandoned()
        assert scratch_of(run).exists()
    assert other.exists(), "nothing says that it is ours"


def test_a_link_is_not_followed(temporary: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "held").touch()
    (temporary / "gato-data-link").symlink_to(outside)
    remove_abandoned()
    assert (outside / "held").exists()


def test_a_worker_lets_go_when_nobody_asks_any_more(temporary: Path) -> None:
    with using("run"):
        scratch._let_go("run")
        assert scratch_of("run").exists(), "it is in use"
    assert scratch_of("run").exists(), "the next part may be of the same run"
    scratch._let_go("run")
    assert not (temporary / "gato-data-run").exists()
