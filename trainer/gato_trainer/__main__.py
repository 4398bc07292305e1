"""`python -m gato_trainer`: train, evaluate and export without the rest of the project's command line.

This is also what torchrun starts:
`torchrun --nproc-per-node 8 -m gato_trainer train --mixture M --out RUN`.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import Field
from pathlib import Path
from typing import Any

from gato_data.errors import GatoError, SettingError
from gato_data.printable import MAX_LINE, printable
from gato_data.settings import choices, flag_name
from gato_data.sizes import parse_size
from gato_trainer.presets import (
    DEFAULT_MODEL,
    OPTIONS,
    PLAN_OPTIONS,
    PLANNED_READING,
    PRESETS,
    READ_OPTIONS,
    default_told,
    models_told,
    planned_machine,
    read_settings,
    train_settings,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 done, 1 an error that the user can fix, 128 and more stopped by a signal."""
    options = vars(_parser().parse_args(arguments))
    try:
        lines, code = {"train": _train, "export": _export}[options.pop("command")](options)
    except GatoError as error:
        print(f"Error: {printable(str(error), MAX_LINE)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    for line in lines:
        print(line)
    return code


def _train(options: dict[str, Any]) -> tuple[list[str], int]:
    """Train or plan; the lines to print, of which torchrun's other processes have none, and the exit code."""
    from gato_schemas.mixture import read_mixture
    from gato_trainer.run.train import RunResult, dry_run, train

    mixture, only_plan, as_json = (options.pop(name) for name in ("mixture", "dry_run", "json"))
    read = {entry.name: options.pop(entry.name) for entry, _ in READ_OPTIONS}
    planned = planned_machine(only_plan, **{entry.name: options.pop(entry.name) for entry, _ in PLAN_OPTIONS})
    run = read_mixture(mixture).run.told
    settings = train_settings(options.pop("model"), options.pop("out"), planned=run, reading=read, **options)
    read = read_settings(run, **read)
    made = dry_run(mixture, settings, planned, **read) if only_plan else train(mixture, settings, **read)
    code = made.exit_code if isinstance(made, RunResult) else 0
    if os.environ.get("RANK", "0") != "0":
        return [], code
    return [json.dumps(made.to_json(), indent=1)] if as_json else made.lines(), code


def _add_option(parser: argparse.ArgumentParser, entry: "Field[Any]", kind: Any, default: Any) -> None:
    """One setting as an option."""
    told = default_told(entry)
    text = f"{entry.metadata['help']} [default: {told}]" if told else entry.metadata["help"]
    given: dict[str, Any] = {"dest": entry.name, "default": default, "help": text.replace("%", "%%")}
    if entry.metadata["flag"]:
        given["action"] = "store_true"
    elif entry.metadata["repeatable"]:
        given |= {"action": "append", "metavar": entry.metadata["metavar"]}
    elif kind is bool:
        given["action"] = argparse.BooleanOptionalAction
    else:
        read = _size if entry.metadata["is_size"] else kind
        given |= {"choices": choices(kind)} if choices(kind) else {"type": read}
        given["metavar"] = entry.metadata["metavar"]
        if (alone := entry.metadata["alone"]) is not None:
            given |= {"nargs": "?", "const": alone}
    parser.add_argument(flag_name(entry), **given)


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except SettingError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _export(options: dict[str, Any]) -> tuple[list[str], int]:
    from gato_trainer.checkpoints.export import export

    return [str(export(options["run"], options["out"]))], 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gato_trainer", description="Train a Gato transformer.")
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train a Gato transformer on a mixture")
    train.add_argument("--mixture", type=Path, required=True, help="File made by `gato-data mix`.")
    train.add_argument("--out", type=Path, required=True, metavar="RUN", help="Folder of the run.")
    train.add_argument("--model", choices=PRESETS, default=DEFAULT_MODEL, help=f"Size of the model. {models_told()}.")
    for entry, kind in (*OPTIONS, *PLAN_OPTIONS):
        _add_option(train, entry, kind, None)
    for entry, kind in READ_OPTIONS:
        _add_option(train, entry, kind, None if entry.name in PLANNED_READING else entry.default)
    for flag, text in (
        ("--fine-tune", "The paper's fine-tuning values (appendix E)."),
        ("--dry-run", "Show the plan; write nothing."),
        ("--json", "Print one JSON object instead of a table."),
    ):
        train.add_argument(flag, action="store_true", help=text)
    export = commands.add_parser("export", help="write a run's parameters as one safetensors file")
    export.add_argument("run", type=Path)
    export.add_argument("--out", type=Path, required=True)
    return parser


if __name__ == "__main__":
    sys.exit(main())
