import numpy as np
import pytest
import torch

from gato_data.errors import TrainError
from gato_trainer.acting.sampling import draw, numbers


def test_draws_follow_the_probabilities() -> None:
    logits = torch.tensor([[0.0, 1.0, -1.0, 2.0]]).repeat(20_000, 1)
    for temperature in (0.5, 1.0, 2.0):
        drawn = draw(logits, temperature, numbers(range(20_000), [3] * 20_000, 1)[:, 0])
        wanted = torch.softmax(logits[0] / temperature, 0).numpy()
        np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 20_000, wanted, atol=0.015)


def test_a_number_depends_on_seed_step_and_token_alone() -> None:
    table = numbers([0, 1, 0, 2**63 - 1], [0, 0, 1, 7], 3)
    assert len(np.unique(table)) == 12
    np.testing.assert_array_equal(numbers([1], [0], 2)[0], table[1, :2])
    assert ((table >= 0) & (table < 1)).all()


def test_the_likeliest_is_the_first_of_equal_ones() -> None:
    assert draw(torch.tensor([[1.0, 3.0, 3.0], [5.0, 0.0, 5.0]]), 0, np.array([0.9, 0.9])).tolist() == [1, 0]


def test_the_ends_of_the_unit_interval_are_choices() -> None:
    logits = torch.tensor([[-1e30, 0.0, -1e30, 0.0, -1e30]]).repeat(2, 1)
    assert draw(logits, 1.0, np.array([0.0, 1.0 - 2**-53])).tolist() == [1, 3]


@pytest.mark.parametrize("temperature", [0, 1.0])
def test_no_action_is_drawn_of_a_model_that_diverged(temperature: float) -> None:
    with pytest.raises(TrainError, match="logits that are not finite"):
        draw(torch.tensor([[1.0, float("nan")]]), temperature, np.array([0.5]))
