"""`load_policy`: a model and its card from a run folder, a checkpoint or an exported file; nothing is unpickled."""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError, safe_open

from gato_data.errors import InputError, TrainError
from gato_schemas.policy import POLICY, PolicyCard, decode_card
from gato_trainer.acting.policy import HeldOut, Policy
from gato_trainer.checkpoints.export import POLICY_KEY
from gato_trainer.checkpoints.header import HEADER, CheckpointHeader, check_files, read_header
from gato_trainer.checkpoints.initial_parameters import load_file
from gato_trainer.checkpoints.origin import of_metadata
from gato_trainer.checkpoints.parameters import load_parameters
from gato_trainer.checkpoints.saving import whole_checkpoint
from gato_trainer.config import ModelConfig
from gato_trainer.model.transformer import Gato, count_parameters
from gato_trainer.run.log import last_evaluation
from gato_trainer.world import World, choose_device


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model with its card, and what it was loaded from."""

    model: Gato
    card: PolicyCard
    path: Path
    step: int
    held_out: HeldOut | None = None


def load_policy(path: str | Path, device: str = "cpu", *, ema: bool = True) -> Policy:
    """A policy, ready for `reset`.

    Args:
        path: a run folder, of which the newest checkpoint is taken; a checkpoint; or a file that `export` wrote.
        device: "cpu", "cuda" or "auto".
        ema: take the averaged parameters where the run kept them; an exported file has them already.

    Raises:
        InputError: there is no such run, checkpoint or file, or it does not carry what acting needs.
        FormatError: what it carries is damaged.
        TrainError: the parameters are damaged, or the device is not there.
    """
    path = Path(path)
    world = World(rank=0, size=1, device=choose_device(device))
    if not path.exists():
        raise InputError(f"there is no {path}: give the folder of a run, a checkpoint, or a file that export wrote")
    loaded = _of_folder(path, world, ema=ema) if path.is_dir() else _of_file(path, world)
    return Policy(loaded.model, loaded.card, source=loaded.path, step=loaded.step, held_out=loaded.held_out)


def _of_folder(path: Path, world: World, *, ema: bool) -> Loaded:
    if (path / HEADER).exists():
        header = read_header(path)
        check_files(path, header)
    elif (path / "checkpoints").is_dir():
        path, header = whole_checkpoint(path)
    else:
        raise InputError(f"{path} is neither a run nor a checkpoint: it has no folder checkpoints and no {HEADER}")
    card = _card_of(path, header)
    stored = sum(file.size for name, file in header.files.items() if name.endswith(".safetensors"))
    model = _empty(header.model, card, stored, path, world)
    load_parameters(path, header, dict(model.named_parameters()), world, ema=ema)
    return Loaded(model, card, path, header.step, _held_out(path, header.step))


def _held_out(checkpoint: Path, step: int) -> HeldOut | None:
    """What the run's last evaluation until then says of actions; None where there is no log of it."""
    found = last_evaluation(checkpoint.absolute().parent.parent, step)
    try:
        return None if found is None else msgspec.convert(found, HeldOut)
    except msgspec.ValidationError:  # a log is anybody's
        return None


def _card_of(path: Path, header: CheckpointHeader) -> PolicyCard:
    if POLICY not in header.files:
        raise _without_card(path, "continue the run with --resume and a few more --steps, or train again")
    return decode_card((path / POLICY).read_bytes(), str(path / POLICY))


def _of_file(path: Path, world: World) -> Loaded:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} is no run, checkpoint or exported file ({error})") from error
    origin = of_metadata(metadata, path)
    if origin is None or POLICY_KEY not in metadata:
        raise _without_card(path, "export it again from a run that has it")
    card = decode_card(metadata[POLICY_KEY].encode(), f"the card in {path}")
    model = _empty(origin.model, card, path.stat().st_size, path, world)
    try:
        load_file(model, None, path)
    except (OSError, SafetensorError) as error:
        raise TrainError(f"cannot read {path}: {error}") from error
    return Loaded(model, card, path, origin.step)


def _empty(config: ModelConfig, card: PolicyCard, stored: int, path: Path, world: World) -> Gato:
    """A model without values, for parameters of which so many bytes are stored."""
    ids, wanted = config.rows.ranges[-1][1], card.vocabulary.size
    if ids > wanted or (ids < wanted and not config.id_ranges):
        raise TrainError(
            f"{path} has a table for {ids:,} ids, its {POLICY} is for {wanted:,}: they are of different runs"
        )
    with torch.device("meta"):
        model = Gato(config)
    needed = 4 * count_parameters(model)
    if needed > stored:
        raise TrainError(f"{path} has {stored:,} bytes of parameters, its model has {needed:,}: it is damaged")
    return model.to_empty(device=world.device).requires_grad_(requires_grad=False).eval()


def _without_card(path: Path, advice: str) -> InputError:
    return InputError(f"{path} has no {POLICY}: it was written before runs carried what acting needs; {advice}")
