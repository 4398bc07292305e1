from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from gato_trainer.config import ModelConfig
from gato_trainer.data.inputs import Inputs, Randomness, prepare
from gato_trainer.model.transformer import Gato
from tests.trainer.synthetic import SyntheticSource


def loss_and_gradients(model: Gato, inputs: Inputs) -> tuple[torch.Tensor, list[torch.Tensor]]:
    loss = model(inputs)[0].sum()
    return loss.detach(), list(torch.autograd.grad(loss, list(model.parameters())))


@pytest.mark.parametrize(("dtype", "closeness"), [(torch.float64, 1e-11), (torch.float32, 1e-4)], ids=str)
def test_distinct_patches_give_the_loss_and_gradients_of_every_patch(
    dtype: torch.dtype, closeness: float, small: ModelConfig, build: Callable[..., Gato], source: SyntheticSource
) -> None:
    model = build(small, dtype=dtype)
    once, each = (
        prepare(replace(source, merged=merged).batch(range(8)), small, Randomness(0, 1)) for merged in (True, False)
    )
    assert len(once.distinct_patches) <= len(each.distinct_patches) / 1.5
    (loss, gradients), (expected, wanted) = (loss_and_gradients(model, inputs) for inputs in (once, each))
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    for found, right in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(found, right, rtol=closeness, atol=closeness)


def test_padding_changes_nothing(small: ModelConfig, build: Callable[..., Gato], source: SyntheticSource) -> None:
    model = build(small)
    batch = source.batch(range(4))
    padded = prepare(batch, small, None)
    bare = replace(padded, distinct_patches=padded.distinct_patches[: batch.num_distinct])
    assert len(bare.distinct_patches) < len(padded.distinct_patches)
    assert torch.equal(model(padded)[0], model(bare)[0])


def test_a_batch_of_text_embeds_no_patch(
    small: ModelConfig, build: Callable[..., Gato], source: SyntheticSource
) -> None:
    model = build(small)
    inputs = prepare(source.batch(range(3, 4)), small, None)
    assert not len(inputs.distinct_patches)
    loss, gradients = loss_and_gradients(model, inputs)
    assert loss > 0
    of_patches = {id(parameter) for parameter in model.embedding.patch.parameters()}
    named = zip(model.parameters(), gradients, strict=True)
    assert not any(gradient.any() for parameter, gradient in named if id(parameter) in of_patches)
