"""Changes of low rank (LoRA): what is trained in place of matrices that stay as they are.

Each is a parametrisation of torch, so the model reads a changed matrix where it read the matrix, and
nothing else of it knows. The names that `named_parameters` gives are those of the model without
changes, with `.lora_down` and `.lora_up` behind that of a changed matrix.
"""

import re
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from gato_data.errors import SettingError

DOWN, UP = ".lora_down", ".lora_up"
LORA_ON = ("blocks.*.attention.*", "blocks.*.feed_forward.*")
"""Globs of the matrices that are changed unless others are named."""

_STORED = re.compile(r"parametrizations\.(\w+)\.(?:original$|0(?=\.lora_))")


def changed(matrix: Tensor, up: Tensor, down: Tensor, scale: float) -> Tensor:
    """matrix + scale * up @ down, of (N, D), (N, R) and (R, D)."""
    return torch.addmm(matrix, up, down, alpha=scale)


class LowRank(nn.Module):
    """The change of a matrix (N, D): `lora_up` (N, R), which begins at zero, times `lora_down` (R, D)."""

    def __init__(self, matrix: Tensor, rank: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.lora_down = nn.Parameter(matrix.new_empty(rank, matrix.shape[1]))
        self.lora_up = nn.Parameter(matrix.new_empty(matrix.shape[0], rank))

    def forward(self, matrix: Tensor) -> Tensor:
        """The changed matrix (N, D)."""
        return changed(matrix, self.lora_up, self.lora_down, self.scale)


def named_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Every parameter once, by the name that it has in checkpoints."""
    for name, parameter in model.named_parameters():
        yield _STORED.sub(r"\1", name), parameter


def is_change(name: str) -> bool:
    """Whether a name is that of a change, not of a parameter that every model of its shape has."""
    return name.endswith((DOWN, UP))


def matrices(model: nn.Module) -> dict[str, nn.Parameter]:
    """What can be changed, by name: parameters (N, D) that are no biases."""
    return {name: p for name, p in model.named_parameters() if p.dim() == 2 and not name.endswith("bias")}


def add_changes(model: nn.Module, names: list[str], rank: int, alpha: float | None) -> None:
    """Change matrices of a model; `lora_up` has to be filled with zeros for it to be the same as before.

    Raises:
        SettingError: the rank is above that of a matrix.
    """
    found = matrices(model)
    for name in names:
        matrix = found[name]
        if rank > min(matrix.shape):
            rows, width = matrix.shape
            raise SettingError(
                f"--lora {rank} is above the rank of {name}, which is {rows} x {width}: give at most "
                f"{min(matrix.shape)}, or leave the matrix out with --lora-on"
            )
        path, _, leaf = name.rpartition(".")
        change = LowRank(matrix, rank, 1.0 if alpha is None else alpha / rank)
        parametrize.register_parametrization(model.get_submodule(path), leaf, change, unsafe=True)
    _share_classes(model)


def _share_classes(model: nn.Module) -> None:
    """One class for modules that are changed alike: torch makes one for each, and blocks of several share no graph."""
    classes: dict[tuple[object, ...], type[nn.Module]] = {}
    for module in model.modules():
        if parametrize.is_parametrized(module):
            made = type(module)
            key = (made.__base__, *cast(nn.ModuleDict, module.parametrizations))
            module.__class__ = classes.setdefault(key, made)
