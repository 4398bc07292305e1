"""Where curves go besides `log.jsonl`: TensorBoard and Weights & Biases, both optional packages."""

import importlib.util
import secrets
from pathlib import Path
from typing import Any, Protocol

from gato_data.errors import MissingPackageError

WANDB_ID = "wandb-id"
"""The file in a run folder that says which run of Weights & Biases goes on there."""


class Curves(Protocol):
    """What takes scalar curves, such as TensorBoard's SummaryWriter."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """Add a point."""

    def close(self) -> None:
        """Write everything out."""


def check_packages(*, tensorboard: bool, wandb: str | None) -> None:
    """Check that what was asked for is installed.

    Raises:
        MissingPackageError: a package is not installed.
    """
    for name, wanted in (("tensorboard", tensorboard), ("wandb", wandb)):
        if wanted and importlib.util.find_spec(name) is None:
            raise MissingPackageError(f"--{name} needs the package {name}: pip install {name}")


def open_curves(out: Path, *, tensorboard: bool, wandb: str | None, config: dict[str, Any]) -> list[Curves]:
    """The places that were asked for.

    Args:
        out: the run folder. tensorboard: write its files into `out/tensorboard`.
        wandb: the project of Weights & Biases, in which the run has the name of `out`; its own
            environment variables (`WANDB_MODE=offline`) hold.
        config: shown beside the run there.
    """
    return [*([_tensorboard(out)] if tensorboard else []), *([_WeightsAndBiases(out, wandb, config)] if wandb else [])]


def _tensorboard(out: Path) -> Curves:
    from torch.utils.tensorboard import SummaryWriter

    writer: Curves = SummaryWriter(str(out / "tensorboard"))
    return writer


class _WeightsAndBiases:
    """One run of Weights & Biases; a resumed run folder goes on in the same one."""

    def __init__(self, out: Path, project: str, config: dict[str, Any]) -> None:
        import wandb

        note = out / WANDB_ID
        if not note.exists():
            note.write_text(secrets.token_hex(4))
        self._run = wandb.init(
            project=project, name=out.name, id=note.read_text(), resume="allow", dir=str(out), config=config
        )

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        self._run.log({tag: scalar_value}, step=global_step)

    def close(self) -> None:
        self._run.finish()
