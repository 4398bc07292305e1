"""`gato-data inspect`: look at a shard, a record's tokens, a dataset or a mixture."""

import re
from pathlib import Path
from typing import Any

import click

from gato_cli.inspect_path import InspectGroup
from gato_cli.options import ParamType, json_option


class TokenRange(ParamType):
    """`A:B`, tokens A to B - 1; either may be left out."""

    name = "A:B"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """The two ends; a missing one is the end of the record."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d{0,12}):(\d{0,12})", str(value))
        if match is None:
            self.fail(f"{value!r} is not a range of tokens: A:B is wanted, for example 0:64", param, ctx)
        return int(match[1] or 0), int(match[2] or 10**12)


class Threshold(ParamType):
    """`NAME=VALUE`."""

    name = "NAME=VALUE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        """The name and its value."""
        if isinstance(value, tuple):
            return value
        name, _, number = str(value).partition("=")
        try:
            return name, float(number)
        except ValueError:
            self.fail(f"{value!r} is not a threshold: NAME=VALUE is wanted, for example saturated=0.05", param, ctx)


html_option = click.option(
    "--html",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PAGE",
    help="Write one self-contained web page instead.",
)
episodes_option = click.option(
    "--episodes",
    type=click.IntRange(1, 200),
    metavar="N",
    default=24,
    show_default=True,
    help="Episodes shown in the page, at most 200.",
)


@click.group("inspect", cls=InspectGroup, subcommand_metavar="[COMMAND] PATH [ARGS]...")
def command() -> None:
    """Look at what is in a shard, a dataset or a mixture.

    Without COMMAND the path tells which of them it is.

    \b
    Example:
      gato-data inspect breakout
    """


@command.command("shard", short_help="The records of a shard, or the tokens of one record.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--record", type=click.IntRange(0), metavar="N", help="Show the tokens of record N.")
@click.option("--timestep", type=click.IntRange(0), metavar="T", help="With --record: only timestep T of it.")
@click.option("--tokens", type=TokenRange(), help="With --record: only tokens A to B - 1 of it.")
@click.option(
    "--limit",
    type=click.IntRange(0),
    metavar="N",
    help="Describe the first N records.  [default: 20; with --json all]",
)
@html_option
@episodes_option
@json_option
def shard(
    file: Path,
    record: int | None,
    timestep: int | None,
    tokens: tuple[int, int] | None,
    limit: int | None,
    page: Path | None,
    episodes: int,
    as_json: bool,
) -> None:
    """What is in the shard FILE, record by record; with --record, the tokens of one record.

    The list comes from the index beside the shard and takes no longer for a large one; without an index the whole
    shard is read. Percentages under "loss" are the share of tokens that are trained on. Of a record, the first two
    timesteps are shown unless --timestep or --tokens ask for others.

    \b
    Example:
      gato-data inspect shard breakout/breakout-train.tfrecord-00000-of-00004 --record 0 --timestep 3
    """
    if page is not None:
        if record is not None:
            raise click.UsageError("--record is for the terminal, leave it out with --html")
        _write_shard_page(file, page, episodes)
        return
    if record is not None:
        if limit is not None:
            raise click.UsageError("--limit is for the list of records, leave it out with --record")
        if timestep is not None and tokens is not None:
            raise click.UsageError("--timestep and --tokens exclude each other")
        _show_record(file, record, timestep, tokens, as_json)
        return
    if timestep is not None or tokens is not None:
        raise click.UsageError("--timestep and --tokens need --record")
    _show_shard(file, limit if limit is not None or as_json else 20, as_json)


def _show_shard(file: Path, limit: int | None, as_json: bool) -> None:
    from gato_data.report import answers
    from gato_data.report.files import check_shard, reading
    from gato_data.report.shard import summarize_shard
    from gato_data.report.terminal import console, shard
    from gato_schemas.index import SUFFIX

    with reading():
        check_shard(file)
        if not file.with_name(file.name + SUFFIX).is_file():
            _note(f"no index beside {file.name}: the whole shard is read")
        summary = summarize_shard(file, limit)
    if as_json:
        click.echo(answers.as_json(answers.shard_json(summary)))
    else:
        shard.print_shard(console.stdout(), summary)


def _write_shard_page(file: Path, page: Path, episodes: int) -> None:
    from gato_data.errors import InputError
    from gato_data.report.decoder import load_decoder
    from gato_data.report.files import check_shard, reading
    from gato_data.report.html.content import shard_content
    from gato_data.shards.index import check_fits, index_of

    with reading():
        check_shard(file)
        found = index_of(file)
        if found is None:
            raise InputError(f"no index beside {file.name}: a page wants one, the terminal shows a shard without")
        check_fits(file, found)
        decoder, notes = load_decoder(file.parent, found)
        content = shard_content(file, found, decoder, notes, episodes)
    _write_page(page, file.name, [content])


def _show_record(file: Path, number: int, timestep: int | None, tokens: tuple[int, int] | None, as_json: bool) -> None:
    from gato_data.report import answers, timeline
    from gato_data.report.decoder import load_decoder
    from gato_data.report.files import check_shard, reading
    from gato_data.report.record import open_record
    from gato_data.report.terminal import console
    from gato_data.report.terminal import timeline as printed
    from gato_data.shards.index import index_of

    with reading():
        check_shard(file)
        found = index_of(file)
        opened = open_record(file, found, number)
        decoder, notes = load_decoder(file.parent, found)
    start, stop = timeline.window(opened, timestep, tokens)
    views = timeline.timeline(opened, decoder, start, stop)
    for note in notes:
        _note(note)
    if as_json:
        click.echo(answers.as_json(answers.timeline_json(opened, views)))
        return
    screen = console.stdout()
    printed.print_record(screen, opened)
    printed.print_timeline(screen, opened, views)
    if more := printed.more_line(opened, start, stop):
        screen.print("\n" + more)


@command.command("dataset", short_help="Source, splits, tasks, fields and quality of a dataset.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Exit with 1 where a finding is above its threshold.")
@click.option(
    "--threshold",
    "thresholds",
    type=Threshold(),
    multiple=True,
    help="Move a threshold of the quality report, for example saturated=0.05; may be given more than once.",
)
@html_option
@episodes_option
@json_option
def dataset(
    folder: Path,
    strict: bool,
    thresholds: tuple[tuple[str, float], ...],
    page: Path | None,
    episodes: int,
    as_json: bool,
) -> None:
    """What is in the dataset folder DIR, and whether anything is wrong with it.

    Its source, splits, tasks and fields with what their raw values look like, then the quality report. Saturated is
    the share of values outside the range that the tokenizer can tell apart, bins the number of different ids of a
    field, error the most that a value can lose on its way into an id and back.

    \b
    Example:
      gato-data inspect dataset breakout --strict --threshold saturated=0.05
    """
    from gato_data.errors import InputError
    from gato_data.report import answers
    from gato_data.report.dataset import summarize_dataset
    from gato_data.report.files import reading
    from gato_data.report.html.content import dataset_content
    from gato_data.report.quality import Thresholds, judge
    from gato_data.report.terminal import console
    from gato_data.report.terminal.dataset import print_dataset
    from gato_data.report.terminal.quality import print_quality

    limits = Thresholds.parse(dict(thresholds))
    with reading():
        summary = summarize_dataset(folder)
        quality = judge(summary, limits)
        content = dataset_content(summary, quality, episodes) if page else {}
    if page:
        _write_page(page, summary.manifest.name, [content])
    elif as_json:
        click.echo(answers.as_json(answers.dataset_json(summary, quality)))
    else:
        screen = console.stdout()
        print_dataset(screen, summary)
        print_quality(screen, quality)
    if strict and quality.problems:
        above = "1 finding is" if quality.problems == 1 else f"{quality.problems} findings are"
        raise InputError(f"{above} above the threshold in {folder}: mend the data, or move it with --threshold")


@command.command("mixture", short_help="Weights of a mixture, and what a run reads.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--steps",
    type=click.IntRange(1),
    metavar="N",
    default=1000,
    show_default=True,
    help="Steps of the run to plan for.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    metavar="N",
    default=512,
    show_default=True,
    help="Windows of a step, over all ranks.",
)
@html_option
@episodes_option
@json_option
def mixture(file: Path, steps: int, batch_size: int, page: Path | None, episodes: int, as_json: bool) -> None:
    """What is in the mixture FILE: its datasets, its weights, and what a run reads of each dataset.

    \b
    Example:
      gato-data inspect mixture mixture.json --html mixture.html
    """
    from gato_data.report import answers
    from gato_data.report.files import reading
    from gato_data.report.html.mixture import mixed_datasets, mixture_content
    from gato_data.report.mixture import mixture_json, summarize_mixture
    from gato_data.report.terminal import console
    from gato_data.report.terminal.mixture_file import print_mixture

    with reading():
        summary = summarize_mixture(file, steps, batch_size)
        contents = mixed_datasets(summary, episodes) if page else []
    if page:
        _write_page(page, file.name, contents, mixture_content(summary))
    elif as_json:
        click.echo(answers.as_json(mixture_json(summary)))
    else:
        print_mixture(console.stdout(), summary)


def _write_page(page: Path, title: str, contents: list[dict[str, Any]], mixture: dict[str, Any] | None = None) -> None:
    from gato_data.report.html.page import render, write_page
    from gato_data.report.printable import MAX_LINE, printable

    write_page(page, render(title, contents, mixture))
    shown = sum(len(content["episodes"]) for content in contents)
    episodes = sum(content["num_episodes"] for content in contents)
    written = f"Wrote {printable(str(page), MAX_LINE)}"
    click.echo(f"{written}: {shown:,} of {episodes:,} episodes, {page.stat().st_size / 1e6:.1f} MB.", err=True)


def _note(text: str) -> None:
    from gato_data.report.printable import MAX_LINE, printable

    click.echo(f"Note: {printable(text, MAX_LINE)}.", err=True)
