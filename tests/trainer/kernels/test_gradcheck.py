"""The references against finite differences in float64; those of attention, geglu and add_norm: test_reference.py."""

import torch

from gato_trainer.kernels import reference


def test_embedding() -> None:
    generator = torch.Generator().manual_seed(0)
    table, local, rows, columns, patches = (
        torch.randn(count, 3, dtype=torch.float64, generator=generator).requires_grad_() for count in (7, 4, 5, 6, 3)
    )
    tokens, local_row = torch.tensor([[1, 1, 6], [0, 1, 5]]), torch.tensor([[0, -1, 3], [0, 0, -1]])
    index, slot = torch.tensor([2, 0, 2]), torch.tensor([1, 3, 5])
    row, column = torch.tensor([4, 4, 1]), torch.tensor([0, 5, 5])

    def embed(*given: torch.Tensor) -> torch.Tensor:
        return reference.embed(*given[:4], tokens, local_row, given[4], index, slot, row, column, torch.float64)

    assert torch.autograd.gradcheck(embed, (table, local, rows, columns, patches))


def test_cross_entropy_with_padding() -> None:
    generator = torch.Generator().manual_seed(0)
    hidden, table = (
        torch.randn(count, 4, dtype=torch.float64, generator=generator).requires_grad_() for count in (5, 9)
    )
    target = torch.tensor([3, -1, 8, 0, -1])
    assert torch.autograd.gradcheck(
        lambda hidden, table: reference.linear_cross_entropy(hidden, table, target)[0], (hidden, table)
    )
