"""The short version of kill_ingest.py: a few kills with one seed for each number of workers."""

from pathlib import Path

import pytest

from tests.faults.kill_ingest import run


@pytest.mark.parametrize(("workers", "kills"), [(1, 2), (2, 2)])
def test_killed_at_random_moments_it_ends_with_the_same_bytes(tmp_path: Path, workers: int, kills: int) -> None:
    outcome = run(tmp_path, kills, seed=workers, workers=workers)
    assert outcome.kills == kills
    assert outcome.runs >= 1
