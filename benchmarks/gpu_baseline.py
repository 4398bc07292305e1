"""What to beat: a decoder in the style of nanoGPT, at the same width, blocks, heads and feed-forward as ours.

Modules of plain torch in autocast, one projection for q, k and v, torch's scaled_dot_product_attention, learned
absolute positions, logits for every position, cross entropy with ignored targets, fused AdamW, all of it through
torch.compile: each block, and the head with its loss (24 blocks in one graph take minutes to compile). Where nanoGPT
has a GELU this has our split GEGLU, so that both do the same matrix products. As there, autocast leaves the residual
stream in float32; ours is bf16.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gato_trainer.config import ModelConfig


class BaselineBlock(nn.Module):
    """Attention and feed-forward, each after a layer normalisation."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, config.feed_forward)
        self.down = nn.Linear(config.feed_forward // 2, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D)."""
        batch, length, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.output(mixed.transpose(1, 2).reshape(batch, length, width))
        value, gate = self.up(self.norm2(x)).chunk(2, dim=-1)
        return x + self.down(value * F.gelu(gate))


class Baseline(nn.Module):
    """The decoder; its forward gives the summed loss."""

    def __init__(self, config: ModelConfig, length: int) -> None:
        super().__init__()
        # A multiple of 64 rows: an odd number makes the head slow.
        self.table = nn.Embedding(-(-config.vocabulary_size // 64) * 64, config.width)
        self.position = nn.Embedding(length, config.width)
        self.blocks = nn.ModuleList(BaselineBlock(config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.width)
        self.loss: Callable[[Tensor, Tensor], Tensor] = self.head
        for parameter in self.parameters():
            if parameter.dim() >= 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Sum of the losses where targets (B, T) are not -1."""
        x = self.table(tokens) + self.position.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.loss(x, targets)

    def head(self, x: Tensor, targets: Tensor) -> Tensor:
        """From the residual stream to the summed loss; `loss` is this, compiled."""
        logits = F.linear(self.norm(x), self.table.weight)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1, reduction="sum")


def make_baseline(config: ModelConfig, length: int, device: torch.device) -> tuple[nn.Module, torch.optim.Optimizer]:
    """The compiled decoder and its optimizer; on a CPU the compiler only checks that it can be traced."""
    model = Baseline(config, length).to(device)
    backend = "inductor" if device.type == "cuda" else "eager"
    for block in model.blocks:
        block.compile(backend=backend, dynamic=False)
    model.loss = torch.compile(model.head, backend=backend, dynamic=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), fused=True)
    return model, optimizer
