"""`--init-from`: the parameters of another run or of a file, once they are known to be those of this model."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch.distributed.tensor import DTensor, distribute_tensor

from gato_data.errors import TrainError
from gato_schemas.dataset import VocabularyInfo
from gato_trainer.checkpoints.origin import Origin, of_header, of_metadata
from gato_trainer.checkpoints.parameters import load_parameters
from gato_trainer.checkpoints.saving import whole_checkpoint
from gato_trainer.config import ModelConfig
from gato_trainer.model.lora import is_change, named_parameters
from gato_trainer.model.transformer import Gato
from gato_trainer.world import World

_SHOWN = 3


def load_initial(model: Gato, vocabulary: VocabularyInfo | None, path: Path, world: World) -> str:
    """Load parameters into a model.

    Args:
        model: sharded or not; changes of low rank keep their initial values.
        vocabulary: of the run's datasets.
        path: a run folder or a safetensors file.
        world: the processes.

    Returns:
        A line that says what was loaded, what could not be compared, and what they were trained with that this model
        has otherwise.

    Raises:
        TrainError: they cannot be read, or are of another model.
    """
    if path.is_dir():
        checkpoint, header = whole_checkpoint(path)
        origin = of_header(header, checkpoint)
        origin.check(model.config, vocabulary, path)
        load_parameters(checkpoint, header, _unchanged(model), world)
        return _line(checkpoint, origin, model.config)
    try:
        return load_file(model, vocabulary, path)
    except (OSError, SafetensorError) as error:
        raise TrainError(f"cannot read {path}: {error}") from error


def load_file(model: Gato, vocabulary: VocabularyInfo | None, path: Path) -> str:
    """Load the parameters of a safetensors file; otherwise as `load_initial`.

    Raises:
        TrainError: they are of another model.
        OSError, SafetensorError: it cannot be read.
    """
    parameters = _unchanged(model)
    with safe_open(path, framework="pt") as file:
        origin = of_metadata(file.metadata(), path)
        if origin is not None:
            origin.check(model.config, vocabulary, path)
        found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
        _check_shapes(found, {name: tuple(parameter.shape) for name, parameter in parameters.items()}, path)
        for name, parameter in parameters.items():
            copy_full(parameter.detach(), file.get_tensor(name))
    return _line(path, origin, model.config)


def _unchanged(model: Gato) -> dict[str, torch.nn.Parameter]:
    """The parameters that every model of this shape has."""
    return {name: parameter for name, parameter in named_parameters(model) if not is_change(name)}


def _check_shapes(found: dict[str, tuple[int, ...]], wanted: dict[str, tuple[int, ...]], path: Path) -> None:
    unused, missing = sorted(found.keys() - wanted.keys()), sorted(wanted.keys() - found.keys())
    other = [name for name in wanted if name in found and found[name] != wanted[name]]
    problems = []
    if unused:
        problems.append(f"{_names(unused)} would not be used")
    if missing:
        problems.append(f"{_names(missing)} is not there")
    problems += [f"{name} has shape {found[name]}, {wanted[name]} is wanted" for name in other[:_SHOWN]]
    if problems:
        raise TrainError(f"{path} holds another model: {'; '.join(problems)}")


def _names(names: list[str]) -> str:
    more = f" (and {len(names) - _SHOWN} more)" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _line(path: Path, origin: Origin | None, config: ModelConfig) -> str:
    if origin is None:
        return (
            f"parameters of {path}: it says nothing of its model, so only names and shapes were compared, not the "
            f"vocabulary or the text model"
        )
    length = "" if origin.context_length is None else f" with a context of {origin.context_length} tokens"
    unknown = "" if origin.vocabulary else "; its vocabulary is not known and was not compared"
    changed = origin.changed(config)
    return f"parameters of {path}, trained for {origin.step} steps{length}{unknown}{changed and f'; {changed}'}"


@torch.no_grad()
def copy_full(target: torch.Tensor, value: torch.Tensor) -> None:
    """Copy a whole value into a parameter, sharded or not."""
    if isinstance(target, DTensor):
        value = distribute_tensor(value.to(target.device), target.device_mesh, target.placements, src_data_rank=None)
    target.copy_(value)
