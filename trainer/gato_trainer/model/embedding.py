"""The embedding function: a table for ids, a ResNet block for patches, and both position encodings."""

import torch
from torch import Tensor, nn

from gato_schemas.sequence import PATCH_POSITIONS
from gato_trainer.config import ModelConfig
from gato_trainer.data.inputs import Inputs
from gato_trainer.kernels import Operations
from gato_trainer.kernels.reference import GROUPS


class PatchBlock(nn.Module):
    """One ResNet-v2 block for each distinct patch: (GroupNorm, GELU, convolution) twice, beside a skip.

    GroupNorm cannot take 3 channels, so a convolution of stride 2 goes before; the 8 x 8 result is averaged to
    `patch_grid` x `patch_grid` cells and projected to the width. All of it stays under about one million
    parameters, which is what the paper's counts leave for it.
    """

    def __init__(self, config: ModelConfig, operations: Operations) -> None:
        super().__init__()
        channels = config.patch_channels
        self.operations = operations
        self.grid = config.patch_grid
        self.root = nn.Conv2d(3, channels, 3, stride=2, padding=1)
        self.norm1 = nn.GroupNorm(GROUPS, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(GROUPS, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.projection = nn.Linear(channels * self.grid * self.grid, config.width)

    def forward(self, patches: Tensor, dtype: torch.dtype) -> Tensor:
        """uint8 (K, 16, 16, 3) to (K, D) of `dtype`."""
        layers = (self.root, self.norm1, self.conv1, self.norm2, self.conv2)
        parameters = [parameter for layer in layers for parameter in (layer.weight, layer.bias)]
        cells = self.operations.patch_block(patches, *parameters, self.grid, dtype)
        return self.operations.linear(cells, self.projection.weight, self.projection.bias)


class Embedding(nn.Module):
    """Ids, patches and positions to vectors (paper section 2.2, appendix C.3). `table` is also the output head."""

    def __init__(self, config: ModelConfig, operations: Operations) -> None:
        super().__init__()
        self.operations = operations
        # A separator's own row comes after the action row, whether or not actions use theirs.
        shared = config.action_position == "shared"
        extra = 2 if config.separator_position == "own" else int(shared)
        local_rows = config.local_positions + extra
        self.table = nn.Parameter(torch.empty(config.vocabulary_size, config.width))
        self.local_table = nn.Parameter(torch.empty(local_rows, config.width))
        self.row_table = nn.Parameter(torch.empty(PATCH_POSITIONS, config.width))
        self.column_table = nn.Parameter(torch.empty(PATCH_POSITIONS, config.width))
        self.patch = PatchBlock(config, operations)

    def forward(self, inputs: Inputs, dtype: torch.dtype) -> Tensor:
        """(B, T, D) of `dtype`."""
        return self.operations.embed(
            self.table,
            self.local_table,
            self.row_table,
            self.column_table,
            inputs.tokens,
            inputs.local_row,
            self.patch(inputs.distinct_patches, dtype),
            inputs.patch_index,
            inputs.patch_slot,
            inputs.patch_row,
            inputs.patch_column,
            dtype,
        )
