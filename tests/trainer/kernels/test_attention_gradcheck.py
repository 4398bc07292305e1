"""The references of attention against finite differences in float64, with packed episodes and without."""

import pytest
import torch

from gato_trainer.kernels import reference

SEGMENTS = [None, torch.tensor([[0, 0, 1, 1, 1]])]


def draw(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_()


@pytest.mark.parametrize("segment", SEGMENTS, ids=["one", "packed"])
def test_relative_attention(segment: torch.Tensor | None) -> None:
    given = [draw(1, 2, 5, 4, seed=seed) for seed in range(3)]
    given += [draw(2, 5, 4, seed=3), draw(2, 4, seed=4), draw(2, 4, seed=5)]
    assert torch.autograd.gradcheck(lambda *x: reference.relative_attention(*x, segment), given)


@pytest.mark.parametrize("segment", SEGMENTS, ids=["one", "packed"])
def test_rotary_attention(segment: torch.Tensor | None) -> None:
    given = [draw(1, 2, 5, 4, seed=seed) for seed in range(3)]
    angle = draw(5, 2, seed=3).detach()
    assert torch.autograd.gradcheck(lambda *x: reference.rotary_attention(*x, angle, segment), given)


def test_episodes_do_not_see_each_other() -> None:
    q, k, v = (draw(1, 2, 5, 4, seed=seed).detach() for seed in range(3))
    distance, u, w = draw(2, 5, 4, seed=3).detach(), draw(2, 4, seed=4).detach(), draw(2, 4, seed=5).detach()
    together = reference.relative_attention(q, k, v, distance, u, w, SEGMENTS[1])
    alone = reference.relative_attention(q[..., 2:, :], k[..., 2:, :], v[..., 2:, :], distance[:, 2:], u, w)
    torch.testing.assert_close(together[..., 2:, :], alone)
