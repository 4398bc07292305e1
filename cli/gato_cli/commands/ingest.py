"""`gato-data ingest SOURCE INPUT --out DIR`: one subcommand per source, of the source's settings."""

import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from gato_cli.options import Place, first_line, settings_options
from gato_cli.output import say
from gato_data.errors import GatoError, SettingError
from gato_data.settings import settings_from

_NEGATIVE = re.compile(r"-\.?\d")


class SourceGroup(click.Group):
    """The sources as subcommands; one that is broken is listed with the reason and harms no other."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all sources."""
        from gato_pipelines.registry.find import source_names

        return source_names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand of a source.

        Raises:
            SettingError: it is broken.
        """
        from gato_pipelines.registry.find import source_class

        if cmd_name not in self.list_commands(ctx):
            if Path(cmd_name).exists():
                ctx.fail(f"{cmd_name} is an input: name the source that reads it first, `gato-data sources` lists them")
            try:
                source_class(cmd_name)
            except GatoError as error:
                ctx.fail(str(error))
        return _command(cmd_name, source_class(cmd_name))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the sources, the broken ones as well."""
        rows = [(name, self._line(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _line(self, ctx: click.Context, name: str) -> str:
        from gato_data.printable import MAX_LINE, printable

        try:
            command = self.get_command(ctx, name)
        except GatoError as error:
            return printable(str(error), MAX_LINE)
        return "" if command is None else command.get_short_help_str(limit=200)


class SourceCommand(click.Command):
    """A source. Negative values of options that may go without a value are values, and not options as to click."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse options and inputs."""
        options = [option for option in self.params if isinstance(option, click.Option)]
        alone = {name for option in options if isinstance(option.flag_value, str) for name in option.opts}
        words: list[str] = []
        for arg in args:
            word = f"{words.pop()}={arg}" if words and words[-1] in alone and _NEGATIVE.match(arg) else arg
            name, _, value = word.partition("=")
            # click takes what begins with a space for no option
            words.append(f"{name}= {value}" if name in alone and value.startswith("-") else word)
        return super().parse_args(ctx, words)


def _ingest_options() -> list[click.Parameter]:
    """What every ingest is given: its settings, and what else a command line says of it."""
    from gato_pipelines.ingest.settings import IngestSettings

    settings = settings_options(IngestSettings, bounded=True)
    at = [option.name for option in settings].index("overwrite")
    out = "Folder of the dataset."
    per_task = "One dataset for each task, in folders inside DIR."
    tfds_name = "Instead of INPUT: a dataset that TFDS downloads."
    dry_run = "Show what would be done; write nothing."
    as_json = "Print one JSON object instead of a table."
    return [
        click.Argument(["inputs"], metavar="[INPUT]...", nargs=-1, type=Place()),
        click.Option(["--out"], required=True, metavar="DIR", type=Place(), help=out),
        click.Option(["--per-task"], is_flag=True, help=per_task),
        *settings[:at],
        click.Option(["--tfds-name"], metavar="NAME", help=tfds_name),
        *settings[at:],
        click.Option(["--dry-run"], is_flag=True, help=dry_run),
        click.Option(["--json", "as_json"], is_flag=True, help=as_json),
    ]


def _source_options(name: str, cls: type[Any]) -> list[click.Option]:
    """The settings of a source as options.

    Raises:
        SettingError: it has one that can be none.
    """
    try:
        options = settings_options(cls)
    except Exception as error:
        raise SettingError(f"source {name!r} is broken: {error}") from error
    usual = {name for option in _ingest_options() for name in (option.name, *option.opts)}
    both = [str(option.name) for option in options if usual & {option.name, *option.opts}]
    if both:
        raise SettingError(f"source {name!r} is broken: every ingest has the option {min(both)!r}, rename its setting")
    return options


def _command(name: str, cls: type[Any]) -> click.Command:
    first = first_line(cls)
    example = cls.example or f"gato-data ingest {name} INPUT --out DIR"
    settings, usual = _source_options(name, cls), _ingest_options()

    def callback(**values: Any) -> None:
        chosen = {str(option.name): values.pop(str(option.name)) for option in settings}
        origin = click.get_current_context().get_parameter_source
        default = ParameterSource.DEFAULT
        given = {key: value for key, value in chosen.items() if origin(key) is not default}
        _run(name, given, **values)

    return SourceCommand(
        name,
        params=[*usual, *settings],
        callback=callback,
        help=f"{first}\n\n\b\nExample:\n  {example}",
        short_help=first,
        context_settings={"show_default": True},
    )


def _run(
    source: str,
    settings: dict[str, Any],
    *,
    inputs: tuple[Path | str, ...],
    out: Path | str,
    per_task: bool,
    tfds_name: str | None,
    dry_run: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    if bool(inputs) == (tfds_name is not None):
        raise click.UsageError("give either INPUT, folders or files of episodes, or --tfds-name")
    if tfds_name is not None and asked["runner"] == "array":
        raise click.UsageError("--tfds-name downloads, and every task of an array would: download it first, give INPUT")
    if per_task and asked["name"]:
        raise click.UsageError("with --per-task every dataset is named after its task: leave --name out")
    from gato_pipelines.ingest.settings import IngestSettings

    ingest = settings_from(IngestSettings, asked)
    if tfds_name is not None:
        from gato_pipelines.containers.tfds_library import prepare
        from gato_pipelines.registry.find import source_class

        documents = source_class(source).reads_documents
        inputs = (prepare(tfds_name, report=say, documents=documents),)
    asked_for = _Ingest(source, settings, ingest, dry_run, as_json)
    if per_task:
        asked_for.one_per_task(_local(inputs), _local([out])[0])
        return
    result = asked_for.one(inputs, out)
    if as_json:
        print(result)


@dataclass(frozen=True)
class _Ingest:
    """What is asked of one ingest, or of several that differ in input and output only."""

    source: str
    settings: dict[str, Any]
    ingest: Any
    dry_run: bool
    as_json: bool

    def one(self, inputs: Sequence[Path | str], out: Path | str) -> str:
        """One dataset; returns the result as JSON."""
        from gato_cli.ingest_progress import IngestProgress
        from gato_cli.ingest_report import (
            dry_run_json,
            print_dry_run,
            print_summary,
            print_unfinished,
            print_warnings,
            summary_json,
            unfinished_json,
        )
        from gato_pipelines.ingest.run import plan_only, run
        from gato_pipelines.ingest.run_task import run_task
        from gato_pipelines.ingest.summary import Unfinished

        if self.dry_run:
            dry = plan_only(self.source, self.settings, inputs, out, self.ingest)
            if not self.as_json:
                print_dry_run(dry, out)
            return dry_run_json(dry, out)
        start = time.monotonic()
        try:
            with IngestProgress(sys.stderr) as shown:
                asked = (self.source, self.settings, inputs, out, self.ingest)
                ingest = run if self.ingest.which_task is None else run_task
                summary = ingest(*asked, report=shown.say, watcher=shown)
        except KeyboardInterrupt as error:
            advice = "run the same command again to continue; finished shards are kept"
            raise KeyboardInterrupt(advice) from error
        if isinstance(summary, Unfinished):
            print_unfinished(summary, out)
            return unfinished_json(summary, out)
        if not self.as_json:
            print_summary(summary, out, seconds=time.monotonic() - start)
        print_warnings(summary)
        return summary_json(summary, out)

    def one_per_task(self, inputs: Sequence[Path], out: Path) -> None:
        """One dataset for each task; one that fails does not stop the others."""
        from gato_pipelines.ingest.per_task import by_task

        results, failed = [], []
        folders = by_task(self.source, self.settings, inputs, out)
        for folder, paths in folders.items():
            say(f"{folder.name}:")
            try:
                results.append(self.one(paths, folder))
            except GatoError as error:
                say(f"Error: {error}")
                failed.append(folder.name)
        if self.as_json:
            print(f'{{"datasets":[{",".join(results)}]}}')
        if failed:
            raise GatoError(
                f"{len(failed)} of {len(folders)} tasks failed ({', '.join(failed)}), the others are there: "
                "mend what is said of each above, then run the same command again"
            )


def _local(places: Sequence[Path | str]) -> list[Path]:
    for place in places:
        if isinstance(place, str):
            raise click.UsageError(f"--per-task wants folders of this machine, {place} is remote: ingest task by task")
    return [Path(place) for place in places]


@click.command(cls=SourceGroup)
def command() -> None:
    """Turn raw episodes into a dataset of Gato tokens.

    An interrupted ingest continues when the same command is run again.

    \b
    Example:
      gato-data ingest atari breakout-rlds --out breakout --holdout 0.1
    """
