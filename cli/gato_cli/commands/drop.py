"""`gato-data drop`: a dataset without some of its episodes."""

import sys
from pathlib import Path

import click

from gato_cli.options import LocalPath, json_option
from gato_cli.output import say, show


@click.command(context_settings={"show_default": True})
@click.argument("folder", metavar="DIR", type=LocalPath())
@click.option("--where", required=True, metavar="CONDITIONS", help="Which episodes go, such as 'task=pong,return<20'.")
@click.option("--out", required=True, metavar="DIR", type=LocalPath(), help="Folder of the new dataset.")
@click.option("--name", help="Name of the new dataset; by default the folder's.")
@json_option
def command(folder: Path, where: str, out: Path, name: str | None, as_json: bool) -> None:
    """Write a dataset that has the episodes of the folder DIR but for those that meet all CONDITIONS.

    Conditions are those of gato-data mix, told by the indexes: task, agent, return, length, tokens, loss-tokens,
    terminal and share. Records are copied and nothing is decoded; DIR stays as it is.

    \b
    Example:
      gato-data drop breakout --where 'return<2' --out breakout-good
    """
    from gato_cli.ingest_progress import CopyProgress
    from gato_data.growing.drop import drop
    from gato_data.printable import counted, printable
    from gato_data.report.growing import made_answer, print_made

    with CopyProgress(sys.stderr) as shown:
        made = drop(folder, where, out, name, progress=shown.show)
    show(
        lambda: {**made_answer(out, made.manifest), "dropped": made.episodes, "tasks_gone": made.tasks},
        lambda console: print_made(console, made.manifest),
        as_json=as_json,
    )
    if made.tasks:
        say(f"{counted(len(made.tasks), 'task')} without episodes: {printable(', '.join(made.tasks), 300)}")
    left = made.manifest.totals.episodes
    say(f"{out} is complete: {counted(left, 'episode')}, {made.episodes:,} dropped")
