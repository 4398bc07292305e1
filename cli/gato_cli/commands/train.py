"""`gato-data train`: the door to the separate trainer; torch is imported only when it runs."""

import json
from pathlib import Path
from typing import Any

import click

from gato_cli.options import json_option, settings_options

_MODELS = ("tiny", "79m", "364m", "1.2b")


def _read_options() -> list[click.Option]:
    """Options of the reader that are not options of the trainer as well."""
    from gato_data.reading.settings import ReadSettings

    return [option for option in settings_options(ReadSettings) if option.name not in ("context_length", "seed")]


def _with_read_options(command: click.Command) -> click.Command:
    command.params.extend(_read_options())
    return command


@click.command(context_settings={"show_default": True})
@click.option("--mixture", required=True, type=click.Path(path_type=Path), help="File made by `gato-data mix`.")
@click.option("--out", required=True, metavar="RUN", type=click.Path(path_type=Path), help="Folder of the run.")
@click.option("--model", type=click.Choice(_MODELS), default="tiny", help="Size of the model.")
@click.option("--steps", type=click.IntRange(1), help="Optimizer steps of the whole run.")
@click.option("--stop-step", type=click.IntRange(1), help="Save and stop here although the schedule goes on.")
@click.option("--batch-size", type=click.IntRange(1), help="Windows in one step, over all processes.")
@click.option("--micro-batch-size", type=click.IntRange(1), help="Windows computed at once.")
@click.option("--context-length", type=click.IntRange(1), help="Input tokens of a window.")
@click.option("--learning-rate", type=float, help="Peak of the schedule.")
@click.option("--warmup-steps", type=click.IntRange(0), help="Steps until the peak.")
@click.option("--schedule", type=click.Choice(["cosine", "constant"]), help="After the warm-up.")
@click.option("--weight-decay", type=float, help="AdamW's.")
@click.option("--clip", type=float, help="Largest gradient norm; 0 does not clip.")
@click.option("--ema", type=float, help="Decay of averaged parameters; 0 keeps none.")
@click.option("--positions", type=click.Choice(["transformer-xl", "rope"]), help="Positions along the sequence.")
@click.option("--action-position", type=click.Choice(["shared", "none"]), help="Position of action tokens.")
@click.option("--separator-position", type=click.Choice(["none", "own"]), help="Position of separators.")
@click.option("--stochastic-depth", type=float, help="Chance that a sub-layer is skipped.")
@click.option("--dropout", type=float, help="0 in pre-training, 0.1 in fine-tuning.")
@click.option("--precision", type=click.Choice(["fp32", "bf16"]), help="Of the computation.")
@click.option("--shard", "sharding", type=click.Choice(["none", "zero2", "full"]), help="Over several processes.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where to train.")
@click.option("--kernels", type=click.Choice(["reference", "fused", "auto"]), help="Plain torch by default.")
@click.option("--compile/--no-compile", default=None, help="torch.compile each block; by default on a GPU.")
@click.option("--seed", type=click.IntRange(0), help="Of parameters, data order and all randomness.")
@click.option("--log-every", type=click.IntRange(1), help="Steps between two log lines.")
@click.option("--checkpoint-every", type=click.IntRange(0), help="Steps between two checkpoints; 0: at the end.")
@click.option("--keep-checkpoints", type=click.IntRange(1), help="How many stay.")
@click.option("--evaluate-every", type=click.IntRange(0), help="Steps between two evaluations; 0: at the end.")
@click.option("--evaluate-samples", type=click.IntRange(1), help="Validation windows of one evaluation.")
@click.option("--init-from", type=click.Path(path_type=Path), help="Run folder or .safetensors file to start from.")
@click.option("--fine-tune", is_flag=True, help="The paper's fine-tuning values (appendix E).")
@click.option("--resume", is_flag=True, help="Continue the run in RUN.")
@click.option("--overwrite", is_flag=True, help="Replace the run in RUN.")
@click.option("--tensorboard", is_flag=True, help="Write TensorBoard files as well.")
@click.option("--wandb", metavar="PROJECT", help="Send the curves to this project of Weights & Biases as well.")
@click.option("--profile", is_flag=True, help="Write a profile of a few steps.")
@click.option("--dry-run", is_flag=True, help="Show the plan; write nothing.")
@json_option
def command(
    model: str, out: Path, mixture: Path, fine_tune: bool, dry_run: bool, as_json: bool, **options: Any
) -> None:
    """Train a Gato transformer on a mixture, on a CPU or a GPU.

    Values that are not given are the model's own. For several GPUs run the same through torchrun:
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
    from gato_trainer.presets import train_settings
    from gato_trainer.run.train import dry_run as plan
    from gato_trainer.run.train import train

    read = {str(option.name): options.pop(str(option.name)) for option in _read_options()}
    settings = train_settings(model, out, fine_tune=fine_tune, **options)
    if dry_run:
        made = plan(mixture, settings, **read)
        print(json.dumps(made.to_json(), sort_keys=True) if as_json else "\n".join(made.lines()))
        return
    result = train(mixture, settings, **read)
    if not result.is_first:
        return
    print(json.dumps(result.to_json(), sort_keys=True) if as_json else "\n".join(result.lines()))


command = _with_read_options(command)
