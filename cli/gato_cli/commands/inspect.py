"""`gato-data inspect`: look at a shard, a record's tokens, a dataset or a mixture."""

from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from gato_cli.options import LocalPath, Place, Threshold, TokenRange, cache_option, json_option
from gato_cli.output import say, show
from gato_cli.planned_run import planned_run, run_options
from gato_data.closest import closest
from gato_trainer.presets import PLANNED, PLANNED_READING


class InspectGroup(click.Group):
    """Subcommands that may be left out: the path tells which is meant."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the subcommand in front where there is only a path."""
        words = [word for word in args if not word.startswith("-")]
        if words and words[0] not in self.commands and not {"-h", "--help"} & set(args):
            from gato_data.remote.address import is_remote
            from gato_data.report.subject import subject_at, subject_of

            if address := next(filter(is_remote, words), ""):
                return super().parse_args(ctx, [subject_at(address), *args])
            close = closest(words[0], self.commands)
            if close and not Path(words[0]).exists():
                ctx.fail(f"no subcommand and no path is named {words[0]!r}. Did you mean {close!r}?")
            path = next((word for word in words if Path(word).exists()), words[0])
            args = [subject_of(Path(path)), *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a subcommand, or a path."""
        path = [] if incomplete.startswith("-") else [CompletionItem(incomplete, type="file")]
        return [*super().shell_complete(ctx, incomplete), *path]


html_option = click.option(
    "--html",
    "page",
    type=LocalPath(dir_okay=False),
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
@click.argument("file", type=Place())
@cache_option
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
    file: Path | str,
    cache: Path | None,
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
    from gato_data.remote.mirror import at_hand

    path = at_hand(file, cache)
    if page is not None:
        if record is not None:
            raise click.UsageError("--record is for the terminal, leave it out with --html")
        _write_shard_page(path, page, episodes)
        return
    if record is not None:
        if limit is not None:
            raise click.UsageError("--limit is for the list of records, leave it out with --record")
        if timestep is not None and tokens is not None:
            raise click.UsageError("--timestep and --tokens exclude each other")
        _show_record(path, record, timestep, tokens, as_json)
        return
    if timestep is not None or tokens is not None:
        raise click.UsageError("--timestep and --tokens need --record")
    _show_shard(path, limit if limit is not None or as_json else 20, as_json)


def _show_shard(file: Path, limit: int | None, as_json: bool) -> None:
    from gato_data.report.files import check_shard, reading
    from gato_data.report.shard import summarize_shard
    from gato_data.report.terminal.shard import print_shard
    from gato_schemas.index import SUFFIX

    with reading():
        check_shard(file)
        if not file.with_name(file.name + SUFFIX).is_file():
            say(f"Note: no index beside {file.name}: the whole shard is read.")
        summary = summarize_shard(file, limit)
    show(lambda: summary, lambda console: print_shard(console, summary), as_json=as_json)


def _write_shard_page(file: Path, page: Path, episodes: int) -> None:
    from gato_data.report.files import reading
    from gato_data.report.html.content import shard_content

    with reading():
        content = shard_content(file, episodes)
    _write_page(page, file.name, [content])


def _show_record(file: Path, number: int, timestep: int | None, tokens: tuple[int, int] | None, as_json: bool) -> None:
    from gato_data.report.answers import excerpt_answer
    from gato_data.report.files import reading
    from gato_data.report.terminal.timeline import print_excerpt
    from gato_data.report.timeline import read_excerpt

    with reading():
        excerpt = read_excerpt(file, number, timestep, tokens)
    for note in excerpt.notes:
        say(f"Note: {note}.")
    show(lambda: excerpt_answer(excerpt), lambda console: print_excerpt(console, excerpt), as_json=as_json)


@command.command("dataset", short_help="Source, splits, tasks, fields and quality of a dataset.")
@click.argument("folder", metavar="DIR", type=Place())
@cache_option
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
    folder: Path | str,
    cache: Path | None,
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
    from gato_data.remote.mirror import at_hand
    from gato_data.report.answers import dataset_answer
    from gato_data.report.dataset import summarize_dataset
    from gato_data.report.files import reading
    from gato_data.report.html.content import dataset_content
    from gato_data.report.quality import Thresholds, judge
    from gato_data.report.terminal.dataset import print_dataset

    limits = Thresholds.parse(dict(thresholds))
    path = at_hand(folder, cache)
    with reading():
        summary = summarize_dataset(path)
        quality = judge(summary, limits)
        content = dataset_content(summary, quality, episodes) if page else {}
    if page:
        _write_page(page, summary.manifest.name, [content])
    else:
        show(
            lambda: dataset_answer(summary, quality),
            lambda console: print_dataset(console, summary, quality),
            as_json=as_json,
        )
    if strict:
        quality.refuse_problems(path)


@command.command("mixture", short_help="Weights of a mixture, and what a run reads.")
@click.argument("file", type=Place())
@cache_option
@html_option
@episodes_option
@json_option
def mixture(
    file: Path | str,
    cache: Path | None,
    page: Path | None,
    episodes: int,
    as_json: bool,
    **given: Any,
) -> None:
    """What is in the mixture FILE: its datasets, its weights, and what a run reads of each dataset.

    \b
    Example:
      gato-data inspect mixture mixture.json --html mixture.html
    """
    from gato_data.remote.mirror import at_hand
    from gato_data.report.files import reading
    from gato_data.report.html.mixture import mixed_datasets, mixture_content
    from gato_data.report.mixture import mixture_answer, summarize_mixture
    from gato_data.report.terminal.mixture import print_mixture

    path = at_hand(file, cache)
    with reading():
        summary = summarize_mixture(path, lambda run: planned_run(run, given), cache)
        contents = mixed_datasets(summary, episodes) if page else []
    if page:
        _write_page(page, path.name, contents, mixture_content(summary))
    else:
        show(lambda: mixture_answer(summary), lambda console: print_mixture(console, summary), as_json=as_json)


mixture.params += run_options(*PLANNED, *PLANNED_READING)


def _write_page(page: Path, title: str, contents: list[dict[str, Any]], mixture: dict[str, Any] | None = None) -> None:
    from gato_data.report.html.page import render, write_page

    write_page(page, render(title, contents, mixture))
    shown = sum(len(content["episodes"]) for content in contents)
    episodes = sum(content["num_episodes"] for content in contents)
    say(f"Wrote {page}: {shown:,} of {episodes:,} episodes, {page.stat().st_size / 1e6:.1f} MB.")
