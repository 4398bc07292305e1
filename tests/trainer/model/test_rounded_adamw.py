import math
from collections.abc import Callable

import pytest
import torch

from gato_trainer.checkpoints.storage import prepare_optimizer
from gato_trainer.config import ModelConfig, TrainSettings
from gato_trainer.data.randomness import element_bits
from gato_trainer.model.optimizer import make_optimizer
from gato_trainer.model.rounded_adamw import rounded
from gato_trainer.model.transformer import Gato

Make = Callable[..., TrainSettings]
KEY = torch.tensor(12345)


@pytest.mark.parametrize("value", [1.0 + 2**-9, 3.14159, -2.7e-5, 1e30, -(1.0 + 2**-20), 2.0**-130])
def test_rounding_is_right_on_average(value: float) -> None:
    count = 2**16
    x = torch.full((count,), value)
    chance = element_bits(KEY, 0, x.shape) & 0xFFFF
    found = rounded(x, chance).double()
    below, above = found.min().item(), found.max().item()
    step = abs(above - below)
    assert below <= x[0].item() <= above
    assert step <= max(abs(value) * 2**-7, 2.0**-133)
    share = 0 if step == 0 else (x[0].double().item() - below) / step
    # Five standard deviations of the mean of so many draws.
    assert abs(found.mean().item() - x[0].item()) <= 5 * step * math.sqrt(share * (1 - share) / count)


def test_what_bf16_holds_is_not_rounded_and_what_is_not_finite_stays() -> None:
    exact = torch.tensor([0.0, -0.0, 1.5, -3e38, math.inf, -math.inf]).to(torch.bfloat16)
    assert torch.equal(rounded(exact.float(), torch.full((6,), 0xFFFF)), exact)
    nans = torch.tensor([0x7FFFFFFF, 0x7FC00000, -1], dtype=torch.int32).view(torch.float32)
    assert rounded(nans, torch.full((3,), 0xFFFF)).isnan().all()


def test_the_draw_of_an_element_does_not_depend_on_how_a_tensor_is_cut() -> None:
    whole = element_bits(KEY, 0, torch.Size([6, 4]))
    assert torch.equal(whole[2:5], element_bits(KEY, 8, torch.Size([3, 4])))
    assert whole.unique().numel() == 24


def optimizers(model: Gato, make: Make) -> torch.optim.Optimizer:
    optimizer = make_optimizer(model, make(optimizer_state="bf16", weight_decay=0.1, learning_rate=1e-2))
    prepare_optimizer(model, optimizer, 0)
    return optimizer


def test_a_step_is_adamws(small: ModelConfig, build: Callable[..., Gato], small_settings: Make) -> None:
    ours, theirs = build(small), build(small)
    rounding = optimizers(ours, small_settings)
    exact = make_optimizer(theirs, small_settings(weight_decay=0.1, learning_rate=1e-2))
    generator = torch.Generator().manual_seed(3)
    for step in range(3):
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        rounding.step()
        exact.step()
        # The first step is computed of moments that were not rounded yet.
        bound = 1e-6 if step == 0 else 1e-3
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(one, other, atol=bound, rtol=0)
    assert {x.dtype for state in rounding.state.values() for x in (state["exp_avg"], state["exp_avg_sq"])} == {
        torch.bfloat16
    }


def test_large_parameters_are_stepped_in_parts(
    small: ModelConfig, build: Callable[..., Gato], small_settings: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for elements in (2**23, 100):
        monkeypatch.setattr("gato_trainer.model.rounded_adamw._ELEMENTS", elements)
        model = build(small)
        optimizer = optimizers(model, small_settings)
        for parameter in model.parameters():
            parameter.grad = parameter.detach().sin()
        optimizer.step()
        state = [x for values in optimizer.state.values() for x in values.values()]
        found.append([*model.parameters(), *state])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))
