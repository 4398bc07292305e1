"""`python -m gato_trainer`: train, evaluate and export without the rest of the project's command line.

This is also what torchrun starts: `torchrun --nproc-per-node 8 -m gato_trainer train --mixture M --out RUN`.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import Field, fields
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from gato_data.errors import GatoError
from gato_data.reading.settings import ReadSettings
from gato_data.report.printable import MAX_LINE, printable
from gato_trainer.presets import PRESETS, train_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 done, 1 an error that the user can fix."""
    options = vars(_parser().parse_args(arguments))
    try:
        lines = {"train": _train, "export": _export}[options.pop("command")](options)
    except GatoError as error:
        print(f"Error: {printable(str(error), MAX_LINE)}", file=sys.stderr)
        return 1
    for line in lines:
        print(line)
    return 0


def _train(options: dict[str, Any]) -> list[str]:
    """Train or plan; the lines to print, of which torchrun's other processes have none."""
    from gato_trainer.run.train import dry_run, train

    mixture, only_plan, as_json = (options.pop(name) for name in ("mixture", "dry_run", "json"))
    read = {option.name: options.pop(option.name) for option in _read_options()}
    settings = train_settings(options.pop("model"), options.pop("out"), **options)
    made = dry_run(mixture, settings, **read) if only_plan else train(mixture, settings, **read)
    if os.environ.get("RANK", "0") != "0":
        return []
    return [json.dumps(made.to_json(), indent=1)] if as_json else made.lines()


def _read_options() -> "list[Field[Any]]":
    """Settings of the reader that are not settings of the trainer as well."""
    return [option for option in fields(ReadSettings) if option.name not in ("context_length", "seed")]


def _add_read_option(parser: argparse.ArgumentParser, option: "Field[Any]") -> None:
    flag = "--" + option.name.replace("_", "-")
    text, hint = option.metadata["help"], get_type_hints(ReadSettings)[option.name]
    if hint is bool:
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=option.default, help=text)
    elif get_origin(hint) is Literal:
        parser.add_argument(flag, choices=get_args(hint), default=option.default, help=text)
    else:
        kind = next((arm for arm in get_args(hint) if arm is not NoneType), hint)
        parser.add_argument(flag, type=kind, default=option.default, help=text)


def _export(options: dict[str, Any]) -> list[str]:
    from gato_trainer.checkpoints.export import export

    return [str(export(options["run"], options["out"]))]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gato_trainer", description="Train a Gato transformer.")
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train a Gato transformer on a mixture")
    train.add_argument("--mixture", type=Path, required=True)
    train.add_argument("--out", type=Path, required=True, help="run folder")
    train.add_argument("--model", choices=PRESETS, default="tiny")
    train.add_argument("--fine-tune", action="store_true", help="the paper's fine-tuning values")
    train.add_argument("--init-from", type=Path, help="run folder or .safetensors file to start from")
    for name in ("steps", "batch-size", "micro-batch-size", "context-length", "warmup-steps", "stop-step", "seed"):
        train.add_argument(f"--{name}", type=int)
    for name in ("log-every", "checkpoint-every", "keep-checkpoints", "evaluate-every", "evaluate-samples"):
        train.add_argument(f"--{name}", type=int)
    for name in ("learning-rate", "weight-decay", "clip", "ema", "stochastic-depth", "dropout"):
        train.add_argument(f"--{name}", type=float)
    train.add_argument("--positions", choices=("transformer-xl", "rope"))
    train.add_argument("--action-position", choices=("shared", "none"))
    train.add_argument("--separator-position", choices=("none", "own"))
    train.add_argument("--schedule", choices=("cosine", "constant"))
    train.add_argument("--precision", choices=("fp32", "bf16"))
    train.add_argument("--shard", dest="sharding", choices=("none", "zero2", "full"))
    train.add_argument("--device", choices=("auto", "cpu", "cuda"))
    train.add_argument("--kernels", choices=("reference", "fused", "auto"))
    train.add_argument("--compile", action=argparse.BooleanOptionalAction)
    train.add_argument("--wandb", metavar="PROJECT", help="a project of Weights & Biases")
    for option in _read_options():
        _add_read_option(train, option)
    for name in ("resume", "overwrite", "tensorboard", "profile", "dry-run", "json"):
        train.add_argument(f"--{name}", action="store_true")
    export = commands.add_parser("export", help="write a run's parameters as one safetensors file")
    export.add_argument("run", type=Path)
    export.add_argument("--out", type=Path, required=True)
    return parser


if __name__ == "__main__":
    sys.exit(main())
