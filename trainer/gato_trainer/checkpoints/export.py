"""One safetensors file of a run's parameters, for use anywhere."""

import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from gato_data.errors import OutputError
from gato_schemas.policy import POLICY
from gato_trainer.checkpoints.origin import of_header
from gato_trainer.checkpoints.parameters import load_parameters
from gato_trainer.checkpoints.saving import whole_checkpoint
from gato_trainer.model.transformer import Gato
from gato_trainer.world import World

POLICY_KEY = "policy"
"""Under which a file's metadata has the policy card."""


def export(run: Path, out: Path) -> Path:
    """Write the newest checkpoint's parameters (averaged ones, if the run keeps an average) in float32.

    Changes of low rank are merged into them, so the file is that of an ordinary model.

    Args:
        run: a run folder.
        out: the file; its metadata carries what `Origin` has, each field as JSON, and the policy card.

    Raises:
        TrainError: the run has no checkpoint, or it is damaged.
        OutputError: the file cannot be written.
    """
    checkpoint, header = whole_checkpoint(run)
    with torch.device("meta"):
        model = Gato(header.model)
    values = {name: torch.empty(parameter.shape) for name, parameter in model.named_parameters()}
    load_parameters(checkpoint, header, values, _ALONE, ema=True)
    metadata = of_header(header, checkpoint).metadata()
    if POLICY in header.files:
        metadata[POLICY_KEY] = (checkpoint / POLICY).read_text()
    _write(values, metadata, out)
    return out


def _write(values: dict[str, torch.Tensor], metadata: dict[str, str], out: Path) -> None:
    """Write a file of ordinary permissions in one go: safetensors alone would make it its owner's."""
    partial = out.with_name(f".{out.name}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        partial.touch()
        mode = partial.stat().st_mode
        save_file(values, partial, metadata)
        partial.chmod(mode)
        os.replace(partial, out)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"cannot write {out}: {error}") from error


_ALONE = World(rank=0, size=1, device=torch.device("cpu"))
