"""`gato-data mix`: plan a mixture of datasets; `mix explain` names the windows of a batch."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from gato_cli.options import LocalPath, Place, json_option, settings_options
from gato_cli.output import say, show
from gato_cli.planned_run import OF_TRAIN, planned_run, run_options
from gato_data.reading.settings import ReadSettings
from gato_trainer.presets import DEFAULT_MODEL, PLANNED, PLANNED_READING

if TYPE_CHECKING:
    from gato_data.mixing.make import WeightOptions
    from gato_data.mixing.plan import MixturePlan, Run
    from gato_schemas.mixture import Mixture

_PATH = LocalPath()
_NOTHING_SAID = (
    f"Note: nothing was said of the run, so the plan is that of train --model {DEFAULT_MODEL}. What --steps, "
    "--batch-size and --context-length say is kept in the file, and train takes it from there."
)
_NO_WEIGHTS = (
    "Note: no --weights were given, so every dataset has the same; --weights tokens draws them in proportion to how "
    "much there is."
)

_Command = TypeVar("_Command", bound=click.Command)


def read_options(*names: str) -> Callable[[_Command], _Command]:
    """Options for some of the fields of `ReadSettings`."""

    def add(command: _Command) -> _Command:
        command.params += [option for option in settings_options(ReadSettings) if option.name in names]
        return command

    return add


def planned_options(*names: str, default: str = "the mixture's") -> Callable[[_Command], _Command]:
    """Options for the run that is planned for."""

    def add(command: _Command) -> _Command:
        command.params += run_options(*names, default=default)
        return command

    return add


class MixGroup(click.Group):
    """`mix` itself is a command with options and arguments; only its subcommands' names are special."""

    allow_interspersed_args = True

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """The context of a subcommand if the first word names one."""
        if args and args[0] in self.commands:
            return self.commands[args[0]].make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse options and datasets, no subcommand."""
        return click.Command.parse_args(self, ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command itself."""
        return click.Command.invoke(self, ctx)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """The usage line, without a subcommand."""
        return click.Command.collect_usage_pieces(self, ctx)


@read_options("cache")
@planned_options(*PLANNED, *PLANNED_READING, default=OF_TRAIN)
@click.group(cls=MixGroup, context_settings={"show_default": True})
@click.argument("datasets", metavar="DATASET...", nargs=-1, type=Place())
@click.option(
    "--weights",
    multiple=True,
    metavar="NAME=W,...|FILE.toml|PRESET",
    help="Weights, see above; NAME=W may come in several of them.  [default: uniform]",
)
@click.option("--out", metavar="FILE", type=_PATH, help="The mixture file; with --dry-run it may be left out.")
@click.option(
    "--by",
    "measure",
    type=click.Choice(["windows", "tokens", "loss-tokens", "episodes"]),
    help="What the weights are shares of.  [default: windows]",
)
@click.option("--temperature", type=float, help="Raise weights to 1/T: above 1 they become more alike.  [default: 1]")
@click.option("--max-epochs", type=float, help="Draw no dataset more often than this in the run.")
@click.option(
    "--at-step", type=click.IntRange(1), metavar="N", help="Give the mixture FILE these weights from step N on."
)
@click.option("--plot", metavar="FILE", type=_PATH, help="Draw the plan, for instance into plan.png.")
@click.option("--dry-run", is_flag=True, help="Print the plan, write nothing.")
@json_option
def command(
    datasets: Sequence[Path | str],
    weights: tuple[str, ...],
    out: Path | None,
    measure: Any,
    temperature: float | None,
    max_epochs: float | None,
    at_step: int | None,
    plot: Path | None,
    dry_run: bool,
    as_json: bool,
    cache: Path | None,
    **given: Any,
) -> None:
    """Mix the folders DATASET..., paths or addresses, by relative weights, and print what a run will read of each.

    Weights are NAME=W for every dataset, or NAME[VIEW]=W for some of its episodes ("breakout[return>=20]=1"); a TOML
    file with a table [weights]; or a preset: gato (the paper's Table 1, by the family of each dataset), uniform,
    tokens, loss-tokens or episodes (in proportion to how much there is). Without them all datasets have the same.
    With --at-step, the mixture file gets a further stage, and DATASET... names datasets to add. No record is read.

    \b
    Example:
      gato-data mix --out mixture.json breakout
      gato-data mix --weights breakout=2,pong=1 --out mixture.json --steps 200 --batch-size 8 breakout pong
      gato-data mix --weights gato --out mixture.json --dry-run breakout pong
      gato-data mix explain mixture.json --step 10 --rank 1 --world-size 8
    """
    from gato_data.mixing.make import WeightOptions
    from gato_data.mixing.mixture_file import check_out, write_mixture
    from gato_data.mixing.plan import describe
    from gato_data.remote.mirror import at_hand

    if out is None and (at_step is not None or not dry_run):
        raise click.UsageError("give --out FILE: only a plan that writes nothing (--dry-run) goes without it")
    if not weights and at_step is not None:
        raise click.UsageError("give --weights: those that hold from step N on")
    if out is not None and at_step is None:
        check_out(out)
    file = out or Path("mixture.json")
    options = WeightOptions(measure=measure, temperature=temperature, max_epochs=max_epochs)
    folders = [at_hand(place, cache) for place in datasets]
    mixture, run = _mixed(folders, ",".join(weights) if weights else "uniform", file, options, at_step, given, cache)
    plan = describe(mixture, file, run)
    plan.check_trained()
    if plot is not None:
        from gato_data.report.mixture_plot import draw_plan

        draw_plan(plan, plot)
    if not dry_run:
        write_mixture(file, mixture)
    _print(plan, None if dry_run else out, plot, as_json)
    if not weights and len(mixture.datasets) > 1:
        say(_NO_WEIGHTS)
    if not mixture.run.told.keys() & set(PLANNED):
        say(_NOTHING_SAID)
    if at_step is not None and at_step >= run.steps:
        say(f"Warning: the plan ends at step {run.steps:,}, before these weights begin: give --steps.")


def _mixed(
    folders: list[Path],
    weights: str,
    file: Path,
    options: "WeightOptions",
    at_step: int | None,
    given: dict[str, Any],
    cache: Path | None,
) -> "tuple[Mixture, Run]":
    """The mixture, and the run that it is planned for; what is given of that stays in the file.

    With a limit of epochs, shares are those of one run alone, so all of it stays there.
    """
    from gato_data.mixing.make import add_stage, plan_mixture
    from gato_data.mixing.plan import Run
    from gato_schemas.mixture import MixtureRun, read_mixture

    earlier = None if at_step is None else read_mixture(file)
    said = earlier.run if earlier else MixtureRun()
    values = planned_run(said, given)
    reading = {name: values[name] for name in ("context_length", *PLANNED_READING)}
    settings = ReadSettings(**reading, cache=cache)
    run = Run(steps=values["steps"], batch_size=values["batch_size"], settings=settings)
    if earlier is None or at_step is None:
        mixture = plan_mixture(folders, weights, folder=file.parent, options=options, run=run)
    else:
        first_sample = at_step * run.batch_size
        mixture = add_stage(earlier, file, first_sample, folders, weights, options=options, run=run)
    told = said.told | {name: value for name, value in given.items() if value is not None}
    told = told if options.max_epochs is None else values
    return msgspec.structs.replace(mixture, run=MixtureRun(**told)), run


def _print(plan: "MixturePlan", out: Path | None, plot: Path | None, as_json: bool) -> None:
    from gato_data.report.mixture import plan_answer
    from gato_data.report.terminal.mixture import print_plan

    show(lambda: plan_answer(plan, out), lambda console: print_plan(console, plan), as_json=as_json)
    for warning in plan.warnings:
        say(f"Warning: {warning}.")
    written = [str(file) for file in (out, plot) if file is not None]
    if written and not as_json:
        say(f"Wrote {' and '.join(written)}.")


@read_options(
    "seed",
    "prompt_share",
    "prompt_end_share",
    "prompt_tokens",
    "prompt_loss",
    "history",
    "cache",
)
@planned_options("batch_size", "context_length", *PLANNED_READING)
@command.command("explain", context_settings={"show_default": True})
@click.argument("mixture", type=Place())
@click.option("--step", required=True, type=click.IntRange(0), help="Step of the run, counted from 0.")
@click.option("--rank", type=int, default=0, help="Rank whose part of the batch is shown.")
@click.option("--world-size", type=int, default=1, help="Number of ranks.")
@click.option("--split", type=click.Choice(["train", "validation"]), default="train", help="Which episodes.")
@json_option
def explain(
    mixture: Path | str,
    step: int,
    rank: int,
    world_size: int,
    split: str,
    as_json: bool,
    **given: Any,
) -> None:
    """Name the episodes that one rank reads at one step of a run over the mixture file MIXTURE.

    The settings must be those of the run: they decide which window each sample is.

    \b
    Example:
      gato-data mix explain mixture.json --step 10 --rank 1 --world-size 8 --batch-size 64
    """
    from gato_data.reading.reader import open_mixture
    from gato_data.reading.sampler import rank_samples
    from gato_data.remote.mirror import at_hand
    from gato_data.report.terminal.batch import print_batch
    from gato_schemas.mixture import read_mixture

    path = at_hand(mixture, given["cache"])
    run = planned_run(read_mixture(path).run, given)
    del given["batch_size"], run["steps"]
    samples = rank_samples(step, run.pop("batch_size"), rank, world_size)
    settings = ReadSettings(**given | run)
    with open_mixture(path, split=split, settings=settings) as reader:
        windows = reader.explain(samples)
    answer = {"step": step, "rank": rank, "world_size": world_size, "windows": windows}
    show(lambda: answer, lambda console: print_batch(console, windows), as_json=as_json)
