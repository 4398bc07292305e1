"""The source of an ingest: made once, and by each worker for itself."""

import pickle

from gato_pipelines.ingest.chosen_source import ChosenSource


def test_a_source_is_made_once_and_does_not_travel() -> None:
    chosen = ChosenSource("atari", {"final_step": "keep"})
    assert chosen.made is chosen.made
    there = pickle.loads(pickle.dumps(chosen))
    assert there == chosen
    assert "made" not in vars(there)
    assert there.made == chosen.made
