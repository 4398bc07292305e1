"""Which parameters are trained: all of them, all but some that globs name, or changes of low rank alone."""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from torch import nn

from gato_data.closest import close_names
from gato_data.errors import SettingError
from gato_trainer.config import TrainSettings
from gato_trainer.model.lora import LORA_ON, add_changes, matrices, named_parameters


def choose_trained(model: nn.Module, settings: TrainSettings) -> None:
    """Leave parameters as they are (`requires_grad` False) and add changes of low rank, as the settings say.

    Args:
        model: not yet sharded; it may be on the meta device.
        settings: of the run.

    Raises:
        SettingError: a glob fits nothing, nothing is left to train, or a rank is too high.
    """
    if settings.lora:
        model.requires_grad_(requires_grad=False)
        names = fitting(settings.lora_on or LORA_ON, matrices(model), "--lora-on", "matrix")
        add_changes(model, names, settings.lora, settings.lora_alpha)
        return
    parameters = dict(named_parameters(model))
    frozen = fitting(settings.freeze, parameters, "--freeze", "parameter")
    if len(frozen) == len(parameters):
        raise SettingError(f"--freeze {' --freeze '.join(settings.freeze)} leaves nothing to train: freeze less")
    for name in frozen:
        parameters[name].requires_grad = False


def fitting(globs: Iterable[str], names: Iterable[str], option: str, what: str) -> list[str]:
    """The names that fit any of the globs, in their order; `*` takes dots as well.

    Raises:
        SettingError: a glob fits none; says which are like it.
    """
    names = [*names]
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in names):
            near = close_names(glob, dict.fromkeys(_globs(names))) or names[:1] + names[-1:]
            raise SettingError(f"{option} {glob} fits no {what} of the model: there are {', '.join(near)}")
    return [name for name in names if any(fnmatchcase(name, glob) for glob in globs)]


def _globs(names: list[str]) -> Iterator[str]:
    """The names, and the globs of their beginnings and ends."""
    for name in names:
        yield name
        parts = name.split(".")
        for count in range(1, len(parts)):
            yield ".".join(parts[:count]) + ".*"
            yield "*." + ".".join(parts[count:])


def count_frozen(model: nn.Module) -> int:
    """Parameters that stay as they are."""
    return sum(parameter.numel() for parameter in model.parameters() if not parameter.requires_grad)


def told(parameters: int, frozen: int) -> str:
    """How many parameters there are, for a person."""
    counts = f"{parameters / 1e6:.1f}M parameters"
    return f"{counts} ({parameters - frozen:,} trained, {frozen:,} frozen)" if frozen else counts
