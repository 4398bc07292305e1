"""Trained models in commands: loaded, and told from each other."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gato_data.errors import MissingPackageError
from gato_data.files import digest_of

if TYPE_CHECKING:
    from gato_trainer.acting import Policy


def load(run: Path, device: str) -> "Policy":
    """The policy of a run, a checkpoint or an export.

    Raises:
        MissingPackageError: torch is not installed.
    """
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingPackageError("a model that plays needs torch: pip install 'gato-data[train]'") from error
    from gato_trainer.acting import load_policy

    return load_policy(run, device)


def identity_of(policy: "Policy") -> dict[str, Any]:
    """What tells a policy from others: the name of its source, its step, its digest."""
    from gato_trainer.checkpoints.header import HEADER

    source = policy.source.resolve()
    file = source / HEADER if source.is_dir() else source
    return {"source": source.name, "step": policy.step, "digest": digest_of(file)}
