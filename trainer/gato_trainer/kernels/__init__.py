"""The fusable operations of the model, behind one switch.

`reference.py` holds each of them in plain torch: the definition of what is right. A faster implementation is
another `Operations` value with the same signatures; parameters and checkpoints do not depend on the choice.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from gato_data.errors import TrainError
from gato_trainer.kernels import reference


@dataclass(frozen=True, slots=True)
class Operations:
    """One implementation of every fusable operation; signatures and shapes are those of `reference`."""

    name: str
    linear: Callable[..., Tensor]
    add_norm: Callable[..., tuple[Tensor, Tensor]]
    add: Callable[..., Tensor]
    geglu: Callable[[Tensor, Tensor], Tensor]
    relative_attention: Callable[..., Tensor]
    rotary_attention: Callable[..., Tensor]
    embed: Callable[..., Tensor]
    normalise_patches: Callable[..., Tensor]
    linear_cross_entropy: Callable[..., tuple[Tensor, Tensor]]


REFERENCE = Operations(
    name="reference",
    linear=reference.linear,
    add_norm=reference.add_norm,
    add=reference.add,
    geglu=reference.geglu,
    relative_attention=reference.relative_attention,
    rotary_attention=reference.rotary_attention,
    embed=reference.embed,
    normalise_patches=reference.normalise_patches,
    linear_cross_entropy=reference.linear_cross_entropy,
)


def operations(kernels: str) -> Operations:
    """The operations for `--kernels`: "reference", or "auto", which takes the fastest that runs here.

    Raises:
        TrainError: `kernels` is "fused", of which there is none in this version.
    """
    if kernels == "fused":
        raise TrainError("this version has no fused kernels; use --kernels reference")
    return REFERENCE
