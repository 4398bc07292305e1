"""Estimates beside the bytes that live on a CPU while a micro-batch is computed."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gato_trainer.config import ModelConfig, TrainSettings
from gato_trainer.data.inputs import Randomness, prepare
from gato_trainer.kernels import FUSED, REFERENCE, Operations, Shapes, operations, reference
from gato_trainer.model.initialize import materialize
from gato_trainer.model.transformer import Gato, count_parameters
from gato_trainer.presets import train_settings
from gato_trainer.run import memory as estimates
from gato_trainer.run.memory import memory
from gato_trainer.run.plan import Work
from tests.trainer.live_bytes import LiveBytes
from tests.trainer.synthetic import SyntheticSource

SHAPES = {
    "long": (ModelConfig(width=32, blocks=6, heads=2, feed_forward=64, patch_channels=32), 2, 256, 6),
    "wide": (ModelConfig(width=96, blocks=3, heads=4, feed_forward=384, patch_channels=64), 3, 96, 6),
    "texts": (ModelConfig(width=64, blocks=4, heads=2, feed_forward=256, patch_channels=32), 8, 64, 0),
}
"""A model, windows, their tokens, and patches of a timestep: 0 for texts, in which every token is supervised."""


def tensors(inputs: Any) -> Iterator[Tensor]:
    for field in dataclasses.fields(inputs):
        value = getattr(inputs, field.name)
        if isinstance(value, Tensor):
            yield value
        elif dataclasses.is_dataclass(value):
            yield from tensors(value)


def measured(
    settings: TrainSettings, windows: int, length: int, patches: int, chosen: Operations = REFERENCE
) -> tuple[Work, tuple[int, int], int, int]:
    """The work, parameters, and bytes behind the forward and at the most."""
    config, dtype = settings.model, torch.bfloat16 if settings.precision == "bf16" else torch.float32
    every = 4 if patches else 1
    source = SyntheticSource(context_length=length, vocabulary_size=1300, patches=patches or 1, text_every=every)
    inputs = prepare(source.batch(range(windows)), config, Randomness(0, 0))
    with torch.device("meta"):
        model = Gato(config, chosen, dtype)
    materialize(model, torch.device("cpu"), 0)
    model.recompute = settings.activation_checkpointing == "on"
    gradients = [torch.zeros_like(parameter) for parameter in model.parameters()]
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        parameter.grad = gradient
    with LiveBytes([*model.parameters(), *gradients, *tensors(inputs)]) as live, model.cast_once():
        loss = model(inputs)[0].sum()
        kept = live.now
        loss.backward()
    return Work.of(inputs), (count_parameters(model), 0), kept, live.peak


def rotary_as_on_a_gpu(q: Tensor, k: Tensor, v: Tensor, angle: Tensor, segment: Tensor | None) -> Tensor:
    q, k = reference.rotate(q, angle), reference.rotate(k, angle)
    visible = None if segment is None else ~reference.hidden_keys(q.shape[2], segment, q.device)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=visible, is_causal=visible is None)


def settings_of(name: str, **options: Any) -> tuple[TrainSettings, int, int, int]:
    config, windows, length, patches = SHAPES[name]
    changes = {field: options.pop(field) for field in ("positions", "dropout") if field in options}
    model = dataclasses.replace(config, vocabulary_size=1300, local_positions=64, stochastic_depth=0.0, **changes)
    settings = train_settings("tiny", Path("run"), batch_size=windows, **options)
    return dataclasses.replace(settings, model=model), windows, length, patches


@pytest.mark.parametrize("again", ["off", "on"])
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(
    ("positions", "precision", "dropout"),
    # In bf16 a CPU computes attention in float32, which a GPU does not; for rope the test does as that.
    [("transformer-xl", "fp32", 0.0), ("transformer-xl", "fp32", 0.1), ("rope", "fp32", 0.0), ("rope", "bf16", 0.1)],
)
def test_the_estimate_is_what_lives_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch, positions: str, precision: str, dropout: float, name: str, again: str
) -> None:
    """Within 12 % of the most bytes that live at a time, and never far below."""
    monkeypatch.setattr(reference, "_rotary_on_cpu", rotary_as_on_a_gpu)
    settings, *sizes = settings_of(
        name, positions=positions, precision=precision, dropout=dropout, activation_checkpointing=again
    )
    work, parameters, kept, peak = measured(settings, *sizes)
    found = memory(settings.model, parameters, work, settings, 1)
    assert found["activations"] + found["gathered"] + found["working"] == pytest.approx(peak, rel=0.12)
    logits = 4 * work.rows * settings.model.vocabulary_size
    if again == "off":
        assert found["activations"] + found["gathered"] + logits == pytest.approx(kept, rel=0.08)


@pytest.mark.parametrize("positions", ["transformer-xl", "rope"])
def test_fused_operations_keep_what_is_estimated(positions: str) -> None:
    """In Triton's interpreter, within 8 %."""
    pytest.importorskip("triton", reason="Triton is not installed")
    if torch.cuda.is_available():
        pytest.skip("without a GPU the kernels run in Triton's interpreter")
    settings, _, _, _ = settings_of("texts", positions=positions, precision="fp32")
    shapes = Shapes(model=settings.model, windows=1, length=32, dtype=torch.float32, device=torch.device("cpu"))
    chosen = operations("fused", shapes)
    work, parameters, kept, _ = measured(settings, 2, 32, 0, chosen)
    found = memory(settings.model, parameters, work, settings, 1, chosen.fused)
    padded = -(-settings.model.vocabulary_size // 128) * 128
    logits = 4 * padded * (work.rows + settings.model.width)  # with the padded table
    assert found["activations"] + logits == pytest.approx(kept, rel=0.08)
    assert memory(settings.model, parameters, work, settings, 1)["activations"] > 1.1 * found["activations"]


def test_the_limits_are_those_of_the_kernels() -> None:
    pytest.importorskip("triton", reason="Triton is not installed")
    from gato_trainer.kernels import fused_attention, fused_cross_entropy

    assert estimates.BAND_BYTES == fused_attention.BAND_BYTES
    assert estimates.KEPT_ROWS == fused_cross_entropy.KEPT_ROWS


def test_fused_kernels_store_no_scores() -> None:
    """The paper's smallest model in bf16, 64 windows of 1,024, all patches different: 13 GiB, not 50."""
    settings = train_settings("79m", Path("run"), precision="bf16")
    patches = 64 * 930
    work = Work(windows=64, length=1024, rows=64 * 51, patches=patches, distinct_patches=patches)
    fused, eager_patches, plain = (
        sum(memory(settings.model, (78_000_000, 0), work, settings, 1, chosen).values()) / 2**30
        for chosen in (set(FUSED), set(FUSED) - {"patch_block"}, set())
    )
    assert fused == pytest.approx(13, abs=1)
    assert eager_patches == pytest.approx(17, abs=1)
    assert plain > 45


def test_sharding_divides_the_state_and_gathers_the_parameters() -> None:
    settings = train_settings("79m", Path("run"), precision="bf16", batch_size=64)
    work = Work(windows=8, length=1024, rows=400, patches=0, distinct_patches=0)

    def parts(world: int, **options: Any) -> dict[str, int]:
        return memory(settings.model, (8 * 10**7, 0), work, dataclasses.replace(settings, **options), world)

    assert parts(8)["state"] == parts(1)["state"] // 8
    assert parts(8)["gathered"] == 2 * 8 * 10**7
    assert parts(4)["gathered"] == parts(8)["gathered"] + 4 * 8 * 10**7  # gradients wait for the second micro-batch
    assert parts(8, sharding="full")["gathered"] < parts(8)["gathered"]
    assert parts(1, ema=0.9)["state"] == parts(1)["state"] * 5 // 4
    some = memory(settings.model, (8 * 10**7, 7 * 10**7), work, settings, 4)
    assert some["gathered"] == parts(8)["gathered"] + 4 * 10**7  # only of what is trained
