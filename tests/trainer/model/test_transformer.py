import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch

from gato_data.errors import SettingError
from gato_schemas.sequence import Modality
from gato_trainer.config import ModelConfig
from gato_trainer.data.inputs import Inputs, Randomness, prepare
from gato_trainer.model.transformer import Gato, count_parameters, distance_features
from gato_trainer.presets import PRESETS
from tests.trainer.synthetic import SyntheticSource


@pytest.mark.parametrize(
    ("name", "positions", "millions", "exact"),
    [
        ("79m", "transformer-xl", 77.9, 77_921_280),
        ("364m", "transformer-xl", 363.5, 363_522_048),
        ("1.2b", "transformer-xl", 1177.0, 1_177_001_984),
        ("79m", "rope", 73.2, 73_190_400),
        ("364m", "rope", 335.2, 335_173_632),
        ("1.2b", "rope", 1076.2, 1_076_240_384),
    ],
)
def test_parameter_counts_of_the_paper(name: str, positions: str, millions: float, exact: int) -> None:
    config = dataclasses.replace(PRESETS[name].model, positions=positions)
    with torch.device("meta"):
        model = Gato(config)
    patch = count_parameters(model.embedding.patch)
    assert count_parameters(model) - patch == exact
    assert round(exact / 1e6, 1) == millions
    assert 0.2e6 < patch < 1e6


def inputs_of(source: SyntheticSource, config: ModelConfig, step: int | None = None) -> Inputs:
    return prepare(source.batch(range(4)), config, None if step is None else Randomness(0, step))


def inverted(inputs: Inputs, which: torch.Tensor) -> Inputs:
    """The same with the pixels of some patch tokens inverted; others may have had equal ones."""
    patches = inputs.distinct_patches
    index = torch.where(which, inputs.patch_index + len(patches), inputs.patch_index)
    return dataclasses.replace(inputs, distinct_patches=torch.cat([patches, 255 - patches]), patch_index=index)


@pytest.mark.parametrize("positions", ["transformer-xl", "rope"])
def test_a_token_changes_nothing_before_it(
    positions: str, small: ModelConfig, build: Callable[..., Gato], source: SyntheticSource
) -> None:
    config = dataclasses.replace(small, positions=positions)
    model = build(config, dtype=torch.float64)
    inputs = inputs_of(source, config)
    before = model.hidden(inputs, every=True)
    position = 13
    tokens = inputs.tokens.clone()
    tokens[:, position] = (tokens[:, position] + 7) % 1000
    other = inverted(inputs, inputs.patch_slot % 24 >= position)
    after = model.hidden(dataclasses.replace(other, tokens=tokens), every=True)
    assert torch.equal(before[:, :position], after[:, :position])
    assert not torch.allclose(before[:, position:], after[:, position:])


@pytest.mark.parametrize("rate", [0.0, 0.1])
def test_skipping_rows_in_the_last_block_is_exact(
    rate: float, small: ModelConfig, build: Callable[..., Gato], source: SyntheticSource
) -> None:
    config = dataclasses.replace(small, dropout=rate, stochastic_depth=0.3)
    model = build(config, dtype=torch.float64)
    inputs = inputs_of(source, config, step=1)
    weight = torch.randn(len(inputs.targets.rows), config.width, dtype=torch.float64)
    skipped = model.hidden(inputs)
    full = model.hidden(inputs, every=True).flatten(0, 1)[inputs.targets.rows]
    torch.testing.assert_close(skipped, full, rtol=1e-12, atol=1e-12)
    wanted = torch.autograd.grad((full * weight).sum(), list(model.parameters()))
    got = torch.autograd.grad((skipped * weight).sum(), list(model.parameters()))
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_a_model_without_supervised_rows_has_a_zero_gradient(
    small: ModelConfig, build: Callable[..., Gato], source: SyntheticSource
) -> None:
    model = build(small)
    loss = model(inputs_of(source, small).unsupervised())[0].sum()
    loss.backward()
    assert loss == 0
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters())


def test_a_skipped_sub_layer_leaves_the_window_unchanged(
    small: ModelConfig, build: Callable[..., Gato], source: SyntheticSource
) -> None:
    model = build(small, dtype=torch.float64)
    inputs = inputs_of(source, small)
    keep = torch.ones(4, 4)
    keep[:, 2] = 0.0
    hidden = model.hidden(dataclasses.replace(inputs, keep=keep), every=True)
    x = model.embedding(inputs, torch.float64)[2]
    norm = torch.nn.functional.layer_norm(x, (32,), model.norm.gain, model.norm.bias)
    torch.testing.assert_close(hidden[2], norm)
    torch.testing.assert_close(hidden[1], model.hidden(inputs, every=True)[1])


def test_padding_and_its_tokens_do_not_matter(
    small: ModelConfig, build: Callable[..., Gato], source: SyntheticSource
) -> None:
    model = build(small)
    batch = source.batch(range(3, 4))
    assert batch.length[0] < 25, "the text window of the synthetic source is short"
    tokens = batch.tokens.copy()
    tokens[0, batch.length[0] :] = 99
    changed = dataclasses.replace(batch, tokens=tokens)
    losses = [model(prepare(b, small, None))[0] for b in (batch, changed)]
    assert torch.equal(losses[0], losses[1])


def test_distance_features_are_those_of_transformer_xl() -> None:
    features = distance_features(5, 8, torch.device("cpu"))
    angle = 3 / 10000 ** (np.arange(0, 8, 2) / 8)
    np.testing.assert_allclose(features[1], np.concatenate([np.sin(angle), np.cos(angle)]), rtol=1e-6)
    np.testing.assert_allclose(features[4], [0, 0, 0, 0, 1, 1, 1, 1])


def test_bfloat16_is_close_to_float32(small: ModelConfig, build: Callable[..., Gato], source: SyntheticSource) -> None:
    model = build(small)
    inputs = inputs_of(source, small)
    wanted = model(inputs)[0]
    model.dtype = torch.bfloat16
    got = model(inputs)[0]
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, wanted, rtol=0.05, atol=0.05)


def test_impossible_shapes_are_refused() -> None:
    with pytest.raises(SettingError, match="heads"):
        ModelConfig(width=100, blocks=1, heads=3, feed_forward=8)
    with pytest.raises(SettingError, match="patch_channels"):
        ModelConfig(width=32, blocks=1, heads=2, feed_forward=8, patch_channels=48)
    with pytest.raises(SettingError, match="stochastic_depth"):
        ModelConfig(width=32, blocks=1, heads=2, feed_forward=8, stochastic_depth=1.0)


def test_the_synthetic_source_has_every_kind_of_slot(source: SyntheticSource) -> None:
    modality = source.batch(range(8)).modality
    assert {*np.unique(modality)} == {Modality.TEXT, Modality.PATCH, Modality.DISCRETE, Modality.SEPARATOR, 255}


@pytest.mark.parametrize("positions", ["transformer-xl", "rope"])
def test_packed_episodes_do_not_see_each_other(
    positions: str, small: ModelConfig, build: Callable[..., Gato], source: SyntheticSource
) -> None:
    config = dataclasses.replace(small, positions=positions)
    model = build(config, dtype=torch.float64)
    batch = source.batch(range(4))
    segment = np.zeros((4, 25), np.uint8)
    segment[:2, 10:] = 1
    packed = prepare(dataclasses.replace(batch, segment=segment), config, None)
    hidden = model.hidden(packed, every=True)
    tokens = packed.tokens.clone()
    tokens[:, :10] = 5
    other = inverted(packed, packed.patch_slot % 24 < 10)
    changed = model.hidden(dataclasses.replace(other, tokens=tokens), every=True)
    assert torch.equal(hidden[:2, 10:], changed[:2, 10:])
    assert not torch.allclose(hidden[2:, 10:], changed[2:, 10:])
    unpacked = model.hidden(dataclasses.replace(packed, segment=None), every=True)
    torch.testing.assert_close(hidden[2:], unpacked[2:])
    torch.testing.assert_close(hidden[:2, :10], unpacked[:2, :10])


def test_blocks_are_compiled_once_for_all(small: ModelConfig, build: Callable[..., Gato]) -> None:
    """torch.compile gives up on a function after 8 versions of it, and runs it slowly from then on."""
    from torch._dynamo.testing import CompileCounter

    config = dataclasses.replace(small, blocks=12, dropout=0.1)
    model = build(config)
    compiled = CompileCounter()
    for block in model.blocks:
        block.compile(dynamic=False, backend=compiled)
    source = SyntheticSource(context_length=24, vocabulary_size=1200, patches=4)
    model.hidden(inputs_of(source, config, step=1), every=True)
    assert compiled.frame_count == 1
