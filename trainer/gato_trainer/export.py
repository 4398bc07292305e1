"""One safetensors file of a run's parameters, for use anywhere."""

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from gato_data.errors import OutputError
from gato_trainer.checkpoint import load, read_header
from gato_trainer.config import ModelConfig
from gato_trainer.distributed import World
from gato_trainer.run_folder import newest_checkpoint
from gato_trainer.transformer import Gato


def export(run: Path, out: Path) -> Path:
    """Write the newest checkpoint's parameters (the averaged ones, if the run keeps an average) in float32.

    Args:
        run: a run folder.
        out: the file; its metadata carries the model's shape, the step and the datasets as JSON.

    Raises:
        TrainError: the run has no checkpoint, or it is damaged.
        OutputError: the file cannot be written.
    """
    checkpoint = newest_checkpoint(run)
    header = read_header(checkpoint)
    shape = header["settings"]["model"]
    with torch.device("meta"):
        model = Gato(ModelConfig(**shape))
    prefix = "ema" if header["settings"]["ema"] else "model"
    values = {name: torch.empty(parameter.shape) for name, parameter in model.named_parameters()}
    load(checkpoint, {f"{prefix}.{name}": value for name, value in values.items()}, _ALONE)
    metadata = {
        "model": json.dumps(shape, sort_keys=True),
        "step": str(header["step"]),
        "datasets": json.dumps(header["datasets"]),
    }
    partial = out.with_name(f".{out.name}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        save_file(values, partial, metadata)
        os.replace(partial, out)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"cannot write {out}: {error}") from error
    return out


_ALONE = World(rank=0, size=1, device=torch.device("cpu"))
