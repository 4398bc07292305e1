"""Memory of a training step on each device, estimated for a choice of kernels before anything is allocated.

What autograd keeps is counted operation by operation; what exists for a moment only is the larger
of what the head and what one block's backward need beside it.
"""

from collections.abc import Set
from typing import TYPE_CHECKING

from gato_trainer.config import ModelConfig, TrainSettings
from gato_trainer.kernels.reference import LOGIT_ROWS
from gato_trainer.model.optimizer import state_bytes
from gato_trainer.model.sharding import shards

if TYPE_CHECKING:
    from gato_trainer.run.plan import Work

_CELLS = 64
"""Cells of a patch behind the first convolution."""

_GROUPS = 32
"""Groups of each of a patch's two normalisations."""

KEPT_ROWS = 28672
"""Rows whose logits the fused loss keeps; those of more exist in pieces of so many."""

BAND_BYTES = 2**30
"""Most that the fused backward of Transformer-XL's attention takes for gradients of scores."""

_SCORES = 3
"""Matrices of scores that the reference of that attention holds at once beside the one it keeps."""


def memory(
    config: ModelConfig,
    parameters: tuple[int, int],
    work: "Work",
    settings: TrainSettings,
    world: int,
    fused: Set[str] = frozenset(),
) -> dict[str, int]:
    """Estimated bytes on each device, by what they are for.

    Args:
        config: of the model.
        parameters: all of them, and how many of them are not trained.
        work: of one micro-batch.
        settings: with a definite precision; `activation_checkpointing` counts where it is "on".
        world: processes.
        fused: the operations that have a fused implementation, by their fields of `Operations`.

    Returns:
        "state": parameters, gradients, optimizer and average. "gathered": parameters in the dtype
        that is computed in, and gradients of a whole model that wait for the last micro-batch.
        "activations": what stays from the forward until the backward. "working": the most that is
        needed beside it for a moment.
    """
    size = 2 if settings.precision == "bf16" else 4
    again = settings.activation_checkpointing == "on"
    tokens, width = work.windows * work.length, config.width
    blocks = [_block(config, work, size, fused, last=index == config.blocks - 1) for index in range(config.blocks)]
    inputs = [size * width * tokens * (2 if index else 1) for index in range(config.blocks)]  # stream and branch
    head = _head(config, work, size, fused)
    transient = _transient(config, work, size, fused)
    return {
        "state": state_bytes(*parameters, settings) // shards(world, settings.replicas),
        "gathered": _gathered(config, parameters, work, settings, world, again),
        "activations": sum(inputs if again else blocks) + _ends(config, work, size, fused),
        "working": max(head, transient + (max(blocks) if again else 0)),
    }


def _gathered(
    config: ModelConfig, parameters: tuple[int, int], work: "Work", settings: TrainSettings, world: int, again: bool
) -> int:
    """Parameters as the operations take them; without sharding and in float32 they are the masters themselves.

    Those that `--lora` changes are computed in each block, the others are cast for a whole step.
    """
    width = config.width
    of_block = (5 if config.positions == "transformer-xl" else 4) * width**2 + 3 * width * config.feed_forward // 2
    others = parameters[0] - config.blocks * of_block
    size = 2 if settings.precision == "bf16" else 4
    share = -(-settings.batch_size // world)
    waiting = 4 * (parameters[0] - parameters[1]) if world > 1 and work.windows < share else 0
    if world > 1:
        at_once = 2 if settings.sharding == "full" else config.blocks
        return size * (others + min(at_once, config.blocks) * of_block) + waiting
    computed = size * (1 if again and settings.lora else config.blocks) * of_block
    return computed + size * others if size == 2 else computed if settings.lora else 0


def _ends(config: ModelConfig, work: "Work", size: int, fused: Set[str]) -> int:
    """What embedding and last normalisation keep; the fused patch block computes its inside again."""
    tokens, width, channels = work.windows * work.length, config.width, config.patch_channels
    ids = 17 * tokens + 32 * work.patches
    inside = 0 if "patch_block" in fused else size * 7 * _CELLS * channels + 16 * _GROUPS
    patch = inside + size * (768 + channels * config.patch_grid**2)
    dropped = width * tokens if config.dropout else 0
    return ids + dropped + patch * work.distinct_patches + (2 * size * width + 8) * work.rows


def _block(config: ModelConfig, work: "Work", size: int, fused: Set[str], *, last: bool) -> int:
    """What one block keeps; the last has only supervised rows behind its attention."""
    tokens, width, inner = work.windows * work.length, config.width, config.feed_forward
    rows = work.rows if last else tokens
    behind = 2 * width + (3 * inner // 2 if "geglu" in fused else 2 * inner) + (width if last else 0)
    dropped = 2 * width if config.dropout else 0
    kept = tokens * (2 * size * width + 8) + rows * (size * behind + 8 + dropped)
    return kept + _attention(config, work, size, fused)


def _attention(config: ModelConfig, work: "Work", size: int, fused: Set[str]) -> int:
    """What attention keeps behind the projection to queries, keys and values, and of that."""
    tokens, width, length = work.windows * work.length, config.width, work.length
    if config.positions == "rope":
        mask = size * length if work.segmented and "rotary_attention" not in fused else 0
        return tokens * (6 * size * width + 4 * config.heads + mask) + 8 * length * config.head_size
    distances = 2 * size * length * width
    if "relative_attention" in fused:
        return tokens * (4 * size * width + 8 * config.heads) + distances
    mask = length * (tokens if work.segmented else length)
    return tokens * (6 * size * width + size * config.heads * length) + mask + distances


def _head(config: ModelConfig, work: "Work", size: int, fused: Set[str]) -> int:
    """The most that the loss needs at once: logits, and the gradient of the table."""
    vocabulary = config.vocabulary_size
    table = vocabulary * config.width * (size + 4 if size == 2 else 4)
    if "linear_cross_entropy" in fused:
        return size * min(work.rows, KEPT_ROWS) * vocabulary + table
    return 12 * min(work.rows, LOGIT_ROWS) * vocabulary + table


def _transient(config: ModelConfig, work: "Work", size: int, fused: Set[str]) -> int:
    """The most that the backward of one block needs beside what is kept."""
    tokens, width = work.windows * work.length, config.width
    rows = tokens if config.blocks > 1 else work.rows
    scores = size * tokens * config.heads * work.length
    if config.positions == "rope":
        scores = 0
    elif "relative_attention" in fused:
        scores = min(scores, BAND_BYTES)
    else:
        scores *= _SCORES
    numbers = 40 * width * tokens if config.dropout else 0  # of dropout's masks, as int64
    stream = 2 * size * width * tokens
    return stream + max(scores + 4 * size * width * tokens, numbers, 2 * size * config.feed_forward * rows)
