"""Metadata that says something else is refused by an error of ours, or harmless; run_mutations.py tries more."""

import json
import zlib

import pytest

from tests.fuzz.dataset_targets import DATASET_TARGETS
from tests.fuzz.mutate_json import mutate
from tests.fuzz.run_targets import RUN_TARGETS

SHORT = {
    "mixture-planned": 200,
    "checkpoint": 2,
    "checkpoint-sealed": 4,
    "checkpoint-exported": 60,
    "run-log-drawn": 12,
    "run-log": 4,
    "run-settings": 1,
}
"""How many mutations are tried: a run that is resumed takes half a second."""


def test_a_mutation_is_a_function_of_its_seed() -> None:
    data = json.dumps({"name": "pong", "sizes": [1, 2, 3], "inner": {"a": None, "b": 1.5}}).encode()
    made = [mutate(data, seed) for seed in range(1000)]
    assert made == [mutate(data, seed) for seed in range(1000)]
    assert len(set(made)) > 400
    assert any(b"NaN" in text for text in made)
    assert any(text.count(b'"name"') == 2 for text in made)


@pytest.mark.parametrize("name", RUN_TARGETS)
def test_mutated_metadata_is_refused_or_harmless(name: str) -> None:
    target = RUN_TARGETS[name]
    seeds = target.seeds()
    assert all(target.run(seed) for seed in seeds)
    for seed in range(SHORT[name]):
        target.run(mutate(seeds[seed % len(seeds)], seed))


@pytest.mark.parametrize("name", [name for name in DATASET_TARGETS if name.endswith(("/verify", "/read"))])
def test_what_is_mutated_was_whole(name: str) -> None:
    target = DATASET_TARGETS[name]
    assert all(map(target.run, target.seeds()))


@pytest.mark.parametrize("name", DATASET_TARGETS)
def test_commands_survive_mutated_datasets(name: str) -> None:
    target = DATASET_TARGETS[name]
    (seed,) = target.seeds()
    target.run(mutate(seed, zlib.crc32(name.encode())))
