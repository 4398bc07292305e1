"""`python -m gato_trainer`: train, evaluate and export without the rest of the project's command line.

This is also what torchrun starts: `torchrun --nproc-per-node 8 -m gato_trainer train --mixture M --out RUN`.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gato_data.errors import GatoError
from gato_trainer.presets import PRESETS, train_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 done, 1 an error that the user can fix."""
    options = vars(_parser().parse_args(arguments))
    command, as_json = options.pop("command"), options.pop("json", False)
    try:
        result = {"train": _train, "export": _export}[command](options, as_json)
    except GatoError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    if result is not None:
        print(json.dumps(result, indent=1) if as_json else "\n".join(f"{k}: {v}" for k, v in result.items()))
    return 0


def _train(options: dict[str, Any], as_json: bool) -> dict[str, Any] | None:
    from gato_trainer.train import dry_run, train

    mixture, only_plan = options.pop("mixture"), options.pop("dry_run")
    settings = train_settings(options.pop("model"), options.pop("out"), **options)
    if only_plan:
        made = dry_run(mixture, settings)
        if as_json:
            return made.to_json()
        print("\n".join(made.lines()))
        return None
    result = train(mixture, settings)
    return result.to_json() if result.is_first else None


def _export(options: dict[str, Any], as_json: bool) -> dict[str, Any]:
    from gato_trainer.export import export

    return {"file": str(export(options["run"], options["out"]))}


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
    train.add_argument("--schedule", choices=("cosine", "constant"))
    train.add_argument("--precision", choices=("fp32", "bf16"))
    train.add_argument("--shard", dest="sharding", choices=("none", "zero2", "full"))
    train.add_argument("--device", choices=("auto", "cpu", "cuda"))
    train.add_argument("--kernels", choices=("reference", "fused", "auto"))
    train.add_argument("--compile", action=argparse.BooleanOptionalAction)
    for name in ("resume", "overwrite", "tensorboard", "profile", "dry-run", "json"):
        train.add_argument(f"--{name}", action="store_true")
    export = commands.add_parser("export", help="write a run's parameters as one safetensors file")
    export.add_argument("run", type=Path)
    export.add_argument("--out", type=Path, required=True)
    return parser


if __name__ == "__main__":
    sys.exit(main())
