"""Compiled runs: how many graphs they take, and that they train as uncompiled ones do."""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters

from gato_data.reading.batch import Batch
from gato_trainer.config import TrainSettings
from gato_trainer.run.train import run
from tests.trainer.synthetic import SyntheticSource

MOST = 3
"""Graphs of a run: of the blocks in training and in evaluation, and one to spare."""


@dataclass(frozen=True)
class Packed(SyntheticSource):
    """Some windows hold two episodes, most one."""

    def batch(self, samples: range) -> Batch:
        batch = SyntheticSource.batch(self, samples)
        segment = np.zeros(batch.tokens.shape, np.int32)
        segment[np.array(samples) % 5 == 0, 12:] = 1
        return dataclasses.replace(batch, segment=segment)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Graphs are made as ever, but not turned into machine code."""
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda call, **options: compile_(call, **options, backend="eager"))
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (SyntheticSource, {"precision": "bf16"}),
        (Packed, {"positions": "rope", "micro_batch_size": 3}),
        (SyntheticSource, {"lora": 2, "learning_rate": 0.01}),
    ],
    ids=["plain", "packed", "lora"],
)
def test_a_run_takes_few_graphs(
    kind: type[SyntheticSource], options: dict[str, Any], small_settings: Callable[..., TrainSettings]
) -> None:
    source = kind(context_length=24, vocabulary_size=1200, patches=4)
    positions = options.pop("positions", "transformer-xl")
    model = dataclasses.replace(small_settings().model, blocks=5, stochastic_depth=0.3, positions=positions)
    if "lora" in options:
        base = run(small_settings("base", model=model, compile=False, steps=1), source, quiet=True)
        options["init_from"] = base.out
    options = {"batch_size": 7, "steps": 6, "evaluate_every": 2, "evaluate_samples": 10, **options}
    wanted = run(small_settings("plain", model=model, compile=False, **options), source, source, quiet=True)
    assert not counters["stats"]
    found = run(small_settings("compiled", model=model, compile=True, **options), source, source, quiet=True)
    tolerance = 1e-2 if "precision" in options else 1e-5
    assert dict(found.losses) == pytest.approx(dict(wanted.losses), rel=tolerance)
    assert found.validation is not None
    assert wanted.validation is not None
    assert found.validation["loss"] == pytest.approx(wanted.validation["loss"], rel=tolerance)
    assert found.validation["supervised_tokens"] == wanted.validation["supervised_tokens"]
    assert 1 <= counters["stats"]["unique_graphs"] <= MOST
    assert not counters["graph_break"]


def test_blocks_of_which_another_part_is_frozen_take_graphs_of_their_own(
    small_settings: Callable[..., TrainSettings], source: SyntheticSource
) -> None:
    """More than torch would make by itself: four kinds, and the first trained block behind what is frozen."""
    freeze = ["embedding.*", "blocks.0.*", "blocks.3.attention*", "blocks.4.feed_forward*"]
    model = dataclasses.replace(small_settings().model, blocks=6, stochastic_depth=0.0)
    with torch._dynamo.config.patch(recompile_limit=8):
        run(small_settings(model=model, compile=True, freeze=freeze, steps=1), source, source, quiet=True)
    assert counters["stats"]["unique_graphs"] == 2 * 4 + 1
