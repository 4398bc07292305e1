import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from gato_data.errors import TrainError
from gato_trainer.cards import PlannedMachine
from gato_trainer.config import ModelConfig, TrainSettings
from gato_trainer.data.inputs import Randomness, prepare
from gato_trainer.model.transformer import Gato, count_parameters
from gato_trainer.presets import train_settings
from gato_trainer.run.plan import Work, flops, peak_flops, plan
from tests.trainer.synthetic import SyntheticSource

Make = Callable[..., TrainSettings]


def counted(model: Gato, source: SyntheticSource) -> tuple[int, Work]:
    inputs = prepare(source.batch(range(4)), model.config, None)
    # The fused attention of a CPU is not counted by torch at all.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(inputs)[0].sum().backward()
    return int(counter.get_total_flops()), Work.of(inputs)


@pytest.mark.parametrize("positions", ["transformer-xl", "rope"])
def test_flops_are_those_that_torch_counts(
    positions: str, small: ModelConfig, build: Callable[..., Gato], source: SyntheticSource
) -> None:
    model = build(dataclasses.replace(small, positions=positions))
    total, work = counted(model, source)
    config = model.config
    # torch counts attention with all keys, not the causal half.
    products = 3 if positions == "transformer-xl" else 2
    half = 3 * config.blocks * work.windows * work.length**2 * config.width * products
    # The gradient that nobody needs: of the pixels and of the distances.
    not_needed = work.distinct_patches * 64 * 2 * 27 * config.patch_channels
    if positions == "transformer-xl":
        not_needed += config.blocks * work.length * 2 * config.width**2
    assert flops(config, work) == total - half + not_needed


def test_flops_of_the_paper_sizes_are_near_six_per_parameter_and_token() -> None:
    for name in ("79m", "364m", "1.2b"):
        config = train_settings(name, Path("run"), positions="rope").model
        tokens = 512 * 1024
        work = Work(windows=512, length=1024, rows=tokens, patches=0, distinct_patches=0)
        with torch.device("meta"):
            blocks = count_parameters(Gato(config).blocks)
        dense = 6 * tokens * (blocks + config.vocabulary_size * config.width)
        attention = 6 * config.blocks * 512 * 1024**2 * config.width
        assert flops(config, work) == pytest.approx(dense + attention, rel=0.01)


def test_a_plan_counts_without_writing(small_settings: Make, source: SyntheticSource) -> None:
    settings = small_settings(batch_size=100, precision="bf16", ema=0.9)
    made = plan(settings, source)
    record = json.loads(json.dumps(made.to_json()))
    assert {"parameters", "flops_per_step", "memory_bytes", "passes", "tokens_per_step", "steps"} <= record.keys()
    assert record["tokens_per_step"] == 2400
    rows = sum(len(source.batch(range(64)).supervised_slot) for _ in range(1)) * 100 // 64
    assert record["supervised_tokens_per_step"] == rows
    assert (record["patches_per_step"], record["distinct_patches_per_step"]) == (1200, 256 * 100 // 64)
    assert record["memory"]["state"] == 4 * 5 * record["parameters"]
    assert record["memory_bytes"] == sum(record["memory"].values())
    assert not settings.out.exists()
    assert any("supervised" in line for line in made.lines())
    assert (record["micro_batch_size"], plan(settings, source, world=3).micro_batch_size) == (100, 34)
    two = plan(settings, source, world=2)
    assert two.memory["state"] == made.memory["state"] // 2


def test_a_plan_counts_the_flops_that_steps_have_on_average(small_settings: Make, source: SyntheticSource) -> None:
    """The log's MFU counts those of each step, which leaves out what stochastic depth skips in it."""
    model = dataclasses.replace(small_settings().model, stochastic_depth=0.3)
    batch = source.batch(range(4))
    steps = [flops(model, Work.of(prepare(batch, model, Randomness(0, step)))) for step in range(200)]
    assert plan(small_settings(model=model), source).flops_per_step == pytest.approx(sum(steps) / 200, rel=0.01)
    assert min(steps) < max(steps)


def test_every_micro_batch_has_distinct_patches_of_its_own(small_settings: Make, source: SyntheticSource) -> None:
    made = plan(small_settings(batch_size=100, micro_batch_size=4), source)
    assert made.distinct_patches_per_step == 16 * 64 * 100 // 64
    config = small_settings().model
    work = Work.of(prepare(source.batch(range(4)), config, None))
    assert (work.patches, work.distinct_patches) == (48, 64)
    whole = plan(small_settings(batch_size=100), source)
    assert whole.distinct_patches_per_step == 256 * 100 // 64
    assert whole.memory["activations"] < 25 * made.memory["activations"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "8 processes need a batch of as many windows; got 4"),
        ({"batch_size": 8, "sharding": "none"}, "--shard none is for one process, 8 are running"),
        ({"batch_size": 8, "cuda_graph": True}, "--cuda-graph is for one process, 8 are running"),
    ],
)
def test_what_would_not_run_is_not_planned(
    options: dict[str, Any], problem: str, small_settings: Make, source: SyntheticSource
) -> None:
    with pytest.raises(TrainError, match=problem):
        plan(small_settings(**options), source, 1, PlannedMachine(gpus=8))


def test_an_unknown_device_has_no_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    assert peak_flops(torch.device("cpu")) is None
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    assert peak_flops(torch.device("cuda")) == 989e12
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "GeForce GT 710")
    assert peak_flops(torch.device("cuda")) is None
