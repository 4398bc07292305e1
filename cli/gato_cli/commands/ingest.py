"""`gato-data ingest SOURCE INPUT --out DIR`: one subcommand per source, its options made from the source's settings."""

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


class SourceGroup(click.Group):
    """The sources as subcommands; one that is broken is listed with the reason and keeps no other from working."""

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


def _ingest_options() -> list[click.Parameter]:
    from gato_pipelines.ingest.runners import RUNNERS

    share = click.FloatRange(0, 1, max_open=True)
    return [
        click.Argument(["inputs"], metavar="[INPUT]...", nargs=-1, type=Place()),
        click.Option(["--out"], required=True, metavar="DIR", type=Place(), help="Folder of the dataset."),
        click.Option(["--per-task"], is_flag=True, help="One dataset for each task, in folders inside DIR."),
        click.Option(["--name"], help="Name of the dataset; by default the folder's.", default=""),
        click.Option(["--holdout"], type=share, default=0.0, help="Share of episodes in the validation split."),
        click.Option(["--max-episodes"], type=click.IntRange(1), help="Read only so many episodes."),
        click.Option(["--max-bad"], type=click.IntRange(0), default=0, help="Episodes that may be left out."),
        click.Option(
            ["--patch-encoding"], type=click.Choice(["zlib", "raw"]), default="zlib", help="How patches are stored."
        ),
        click.Option(["--max-observation-tokens"], type=click.IntRange(1), default=512, help="Of one timestep."),
        click.Option(["--text-model"], type=click.Path(path_type=Path), help="SentencePiece model of your own."),
        click.Option(
            ["--discrete-ids"],
            type=click.Choice(["paper", "separate"]),
            default="paper",
            help="Ids of discrete values: shared with text as in the paper, or a range of their own.",
        ),
        click.Option(["--runner"], type=click.Choice(RUNNERS), default="local", help="Beam runner."),
        click.Option(["--workers"], type=click.IntRange(1), help="Processes of the local runner; default all cores."),
        click.Option(["--beam-option"], multiple=True, metavar="NAME=VALUE", help="Passed on to Beam; repeatable."),
        click.Option(["--tfds-name"], metavar="NAME", help="Instead of INPUT: a dataset that TFDS downloads."),
        click.Option(["--overwrite"], is_flag=True, help="Start again where DIR holds a dataset of ours."),
        click.Option(
            ["--retry-dead-letters"],
            is_flag=True,
            help="After the input was mended: make those shards anew that hold dead letters.",
        ),
        click.Option(["--dry-run"], is_flag=True, help="Show what would be done; write nothing."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON object instead of a table."),
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
    usual = {option.name for option in _ingest_options()}
    if taken := sorted(str(option.name) for option in options if option.name in usual):
        raise SettingError(f"source {name!r} is broken: every ingest has the option {taken[0]!r}, rename its setting")
    return options


def _command(name: str, cls: type[Any]) -> click.Command:
    first = first_line(cls)
    example = cls.example or f"gato-data ingest {name} INPUT --out DIR"
    settings, usual = _source_options(name, cls), _ingest_options()

    def callback(**values: Any) -> None:
        chosen = {str(option.name): values.pop(str(option.name)) for option in settings}
        origin = click.get_current_context().get_parameter_source
        given = {key: value for key, value in chosen.items() if origin(key) is not ParameterSource.DEFAULT}
        _run(name, given, **values)

    return click.Command(
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
    if per_task and asked["name"]:
        raise click.UsageError("with --per-task every dataset is named after its task: leave --name out")
    ingest = _ingest_settings(asked)
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
        from gato_cli.ingest_report import dry_run_json, print_dry_run, print_summary, print_warnings, summary_json
        from gato_pipelines.ingest.run import plan_only, run

        if self.dry_run:
            dry = plan_only(self.source, self.settings, inputs, out, self.ingest)
            if not self.as_json:
                print_dry_run(dry, out)
            return dry_run_json(dry, out)
        start = time.monotonic()
        try:
            with IngestProgress(sys.stderr) as shown:
                summary = run(self.source, self.settings, inputs, out, self.ingest, report=shown.say, watcher=shown)
        except KeyboardInterrupt as error:
            advice = "run the same command again to continue; finished shards are kept"
            raise KeyboardInterrupt(advice) from error
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


def _ingest_settings(asked: dict[str, Any]) -> Any:
    from gato_data.tokenize import TokenizeSettings
    from gato_pipelines.ingest.settings import IngestSettings
    from gato_schemas.compression import PatchEncoding

    return IngestSettings(
        name=asked["name"],
        holdout=asked["holdout"],
        max_episodes=asked["max_episodes"],
        max_bad=asked["max_bad"],
        encoding=PatchEncoding(asked["patch_encoding"]),
        tokenize=TokenizeSettings(max_observation_tokens=asked["max_observation_tokens"]),
        discrete_ids=asked["discrete_ids"],
        text_model=asked["text_model"],
        runner=asked["runner"],
        beam_options=asked["beam_option"],
        workers=asked["workers"],
        overwrite=asked["overwrite"],
        retry_dead_letters=asked["retry_dead_letters"],
    )


@click.command(cls=SourceGroup)
def command() -> None:
    """Turn raw episodes into a dataset of Gato tokens.

    An interrupted ingest continues when the same command is run again.

    \b
    Example:
      gato-data ingest atari breakout-rlds --out breakout --holdout 0.1
    """
