"""`gato-data merge`: the episodes of several datasets as one dataset."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click

from gato_cli.options import LocalPath, json_option
from gato_cli.output import say, show
from gato_data.families import TABLE_1


@click.command(context_settings={"show_default": True})
@click.argument("datasets", metavar="DATASET...", nargs=-1, required=True, type=LocalPath())
@click.option("--out", required=True, metavar="DIR", type=LocalPath(), help="Folder of the new dataset.")
@click.option(
    "--copies",
    type=click.Choice(["keep", "drop"]),
    default="keep",
    help="What becomes of episodes that an earlier DATASET has as well.",
)
@click.option("--name", help="Name of the new dataset; by default the folder's.")
@click.option(
    "--family",
    type=click.Choice([*TABLE_1]),
    metavar="NAME",
    help="Row of the paper's Table 1 that it stands for, where those of DATASET... differ.",
)
@json_option
def command(
    datasets: Sequence[Path],
    out: Path,
    copies: Literal["keep", "drop"],
    name: str | None,
    family: str | None,
    as_json: bool,
) -> None:
    """Write a dataset that has the episodes of the folders DATASET..., one behind the other.

    Records are copied and nothing is decoded. Datasets whose tokens do not mean the same are refused; those that only
    have to be read together need no merge, gato-data mix does that.

    \b
    Example:
      gato-data merge breakout pong --out atari
    """
    from gato_cli.ingest_progress import CopyProgress
    from gato_data.growing.merge import merge
    from gato_data.printable import counted
    from gato_data.report.growing import made_answer, print_made

    with CopyProgress(sys.stderr) as shown:
        made = merge(datasets, out, name, copies=copies, family=family, progress=shown.show)
    show(
        lambda: {**made_answer(out, made.manifest), "copies": made.copies, "leaks": made.leaks},
        lambda console: print_made(console, made.manifest),
        as_json=as_json,
    )
    if made.copies:
        leaks = f", {made.leaks:,} of them trained on by one and held out by the other" if made.leaks else ""
        done = "left out" if copies == "drop" else "kept: --copies drop leaves them out"
        say(f"{counted(made.copies, 'episode')} that an earlier dataset has as well{leaks}: {done}")
    say(f"{out} is complete: {counted(made.manifest.totals.episodes, 'episode')} of {len(datasets)} datasets")
