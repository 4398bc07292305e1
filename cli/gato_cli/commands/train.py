"""`gato-data train`: the door to the separate trainer; torch is imported only when it runs."""

import json
from pathlib import Path
from typing import Any

import click

from gato_cli.options import LocalPath, Place, json_option, setting_option, unset_option
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


def _with_settings(command: click.Command) -> click.Command:
    """The command with an option for every setting of the run, of its model and of the reader."""
    command.params += [unset_option(entry, kind, default_told(entry)) for entry, kind in OPTIONS]
    command.params += [unset_option(entry, kind) for entry, kind in PLAN_OPTIONS]
    for entry, kind in READ_OPTIONS:
        planned = entry.name in PLANNED_READING
        command.params.append(
            unset_option(entry, kind, default_told(entry)) if planned else setting_option(entry, kind)
        )
    command.help = (command.help or "").replace("MODELS", models_told())
    return command


@_with_settings
@click.command(context_settings={"show_default": True})
@click.option("--mixture", required=True, type=Place(), help="File made by `gato-data mix`.")
@click.option("--out", required=True, metavar="RUN", type=LocalPath(), help="Folder of the run.")
@click.option("--model", type=click.Choice(list(PRESETS)), default=DEFAULT_MODEL, help="Size of the model.")
@click.option("--fine-tune", is_flag=True, help="The paper's fine-tuning values (appendix E).")
@click.option("--dry-run", is_flag=True, help="Show the plan; write nothing.")
@json_option
def command(
    model: str, out: Path, mixture: Path | str, fine_tune: bool, dry_run: bool, as_json: bool, **options: Any
) -> None:
    """Train a Gato transformer on a mixture, on a CPU or a GPU.

    Steps, batch size and context length that are not given are those that the mixture was planned for (`gato-data mix
    --steps ...`), then the model's own (MODELS); --window and --pack are the mixture's as well. For several GPUs run
    the same through torchrun:
    `torchrun --nproc-per-node 8 -m gato_trainer train ...`.

    \b
    Example:
      gato-data train --mixture mixture.json --model tiny --steps 50 --out run
    """
    try:
        import torch  # noqa: F401
    except ImportError as error:
        from gato_data.errors import MissingPackageError

        raise MissingPackageError("train needs torch: pip install 'gato-data[train]'") from error
    from gato_data.remote.mirror import at_hand
    from gato_schemas.mixture import read_mixture
    from gato_trainer.run.train import dry_run as plan
    from gato_trainer.run.train import train

    read = {entry.name: options.pop(entry.name) for entry, _ in READ_OPTIONS}
    planned = planned_machine(dry_run, **{entry.name: options.pop(entry.name) for entry, _ in PLAN_OPTIONS})
    path = at_hand(mixture, read["cache"])
    told = read_mixture(path).run.told
    settings = train_settings(model, out, fine_tune=fine_tune, planned=told, reading=read, **options)
    read = read_settings(told, **read)
    if dry_run:
        made = plan(path, settings, planned, **read)
        print(json.dumps(made.to_json(), sort_keys=True) if as_json else "\n".join(made.lines()))
        return
    result = train(path, settings, **read)
    if result.is_first:
        print(json.dumps(result.to_json(), sort_keys=True) if as_json else "\n".join(result.lines()))
    click.get_current_context().exit(result.exit_code)
