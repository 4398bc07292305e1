"""`gato-data inspect`: look at a shard, a record's tokens, or a dataset."""

import re
from pathlib import Path

import click

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


@click.group("inspect")
def command() -> None:
    """Look at what is in a shard or a dataset."""


@command.command("shard")
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
@json_option
def shard(
    file: Path,
    record: int | None,
    timestep: int | None,
    tokens: tuple[int, int] | None,
    limit: int | None,
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


def _show_record(file: Path, number: int, timestep: int | None, tokens: tuple[int, int] | None, as_json: bool) -> None:
    from gato_data.report import answers, timeline
    from gato_data.report.decoder import load_decoder
    from gato_data.report.files import check_shard, index_of, reading
    from gato_data.report.record import open_record
    from gato_data.report.terminal import console
    from gato_data.report.terminal import timeline as printed

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


@command.command("dataset")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@json_option
def dataset(folder: Path, as_json: bool) -> None:
    """What is in the dataset folder DIR: its source, splits, tasks, fields and what their raw values look like.

    Saturated is the share of values outside the range that the tokenizer can tell apart; bins used counts the
    different ids of a field.

    \b
    Example:
      gato-data inspect dataset breakout
    """
    from gato_data.report import answers
    from gato_data.report.dataset import summarize_dataset
    from gato_data.report.files import reading
    from gato_data.report.terminal import console
    from gato_data.report.terminal import dataset as printed

    with reading():
        summary = summarize_dataset(folder)
    if as_json:
        click.echo(answers.as_json(answers.dataset_json(summary)))
    else:
        printed.print_dataset(console.stdout(), summary)


def _note(text: str) -> None:
    click.echo(f"Note: {text}.", err=True)
