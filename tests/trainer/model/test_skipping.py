"""Sub-layers that are computed for the windows that keep them, beside the same ones computed for all windows."""

import dataclasses
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from gato_trainer.config import ModelConfig
from gato_trainer.data.inputs import Inputs, Randomness, prepare
from gato_trainer.data.skipping import skipping
from gato_trainer.model.transformer import Block, Gato
from gato_trainer.run.plan import Work
from tests.trainer.synthetic import SyntheticSource


def inputs_of(source: SyntheticSource, config: ModelConfig, windows: int = 4, *, packed: bool = False) -> Inputs:
    inputs = prepare(source.batch(range(windows)), config, Randomness(0, 1))
    segment = (torch.arange(24) >= 10).long().expand(windows, -1).contiguous()
    return dataclasses.replace(inputs, segment=segment) if packed else inputs


def losses_and_gradients(model: Gato, inputs: Inputs) -> list[torch.Tensor]:
    row_loss, _ = model(inputs)
    weight = torch.arange(len(row_loss), dtype=row_loss.dtype)
    return [row_loss, *torch.autograd.grad((row_loss * weight).sum(), list(model.parameters()))]


@pytest.mark.parametrize("positions", ["transformer-xl", "rope"])
@pytest.mark.parametrize(
    ("rate", "windows", "in_buckets", "recomputed"),
    [(0.3, 4, False, False), (0.3, 4, True, True), (0.9, 4, False, True), (0.9, 1, True, False)],
)
def test_the_numbers_are_those_of_computing_everything(
    positions: str,
    rate: float,
    windows: int,
    in_buckets: bool,
    recomputed: bool,
    small: ModelConfig,
    build: Callable[..., Gato],
    source: SyntheticSource,
) -> None:
    config = dataclasses.replace(small, positions=positions, stochastic_depth=rate, dropout=0.1 * recomputed)
    model = build(config, dtype=torch.float64)
    inputs = inputs_of(source, config, windows, packed=in_buckets)
    wanted = losses_and_gradients(model, inputs)
    if recomputed:
        for block in model.blocks:
            assert isinstance(block, Block)
            block.compiled = partial(checkpoint, block._compute, use_reentrant=False)
    found = losses_and_gradients(model, inputs.gathered(in_buckets=in_buckets))
    for got, expected in zip(found, wanted, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-11)


def test_flops_fall_by_what_is_skipped(small: ModelConfig, build: Callable[..., Gato]) -> None:
    """Of text, so that nothing but blocks is counted."""
    text = SyntheticSource(context_length=24, vocabulary_size=1200, text_every=1)
    config = dataclasses.replace(small, positions="rope", stochastic_depth=0.25)
    model = build(config)
    inputs = prepare(text.batch(range(16)), config, Randomness(0, 0))
    counted = []
    for given in (inputs, inputs.gathered()):
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            model.hidden(given, every=True)
        counted.append(counter.get_total_flops())
    assert inputs.keep is not None
    attention, feed_forward = (inputs.keep > 0).view(2, 2, 16).sum(dim=(0, 2)).tolist()
    width, length = config.width, 24
    of_attention = 8 * length * width**2 + 4 * length**2 * width
    of_feed_forward = 3 * length * width * config.feed_forward
    assert counted[0] == 32 * (of_attention + of_feed_forward)
    assert counted[1] == attention * of_attention + feed_forward * of_feed_forward
    assert Work.of(inputs).skipped == Work.of(inputs.gathered()).skipped == 1 - (attention + feed_forward) / 64
    assert 0.15 < Work.of(inputs).skipped < 0.35


def test_lists_are_filled_up_to_few_lengths() -> None:
    generator = torch.Generator().manual_seed(0)
    keep = (torch.rand(400, 128, generator=generator) >= 0.1).float() / 0.9
    rows = torch.arange(0, 128 * 8, 3)
    exact, filled = (skipping(keep, rows, 8, in_buckets=in_buckets) for in_buckets in (False, True))
    assert exact.counts == tuple((keep > 0).sum(dim=1).tolist())
    assert all(0 <= more - count < 4 for more, count in zip(filled.counts, exact.counts, strict=True))
    assert len({*filled.counts}) <= 8 < len({*exact.counts})
    for sub_layer in range(400):
        scale, index = filled.kept(sub_layer)
        assert index is not None
        assert torch.equal(torch.zeros(128).index_add(0, index, scale), keep[sub_layer])


def test_a_sub_layer_that_all_windows_skip_is_computed_for_one_that_does_not_count() -> None:
    lists = skipping(torch.zeros(2, 3), torch.tensor([0, 5]), 2, in_buckets=False)
    scale, index = lists.kept(0)
    assert (scale.tolist(), index.tolist() if index is not None else None) == ([0.0], [0])
    assert lists.row_counts == (0, 0)
