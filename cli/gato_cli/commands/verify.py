"""`gato-data verify`: check every byte of a dataset, and mend what can be mended."""

from pathlib import Path

import click

from gato_cli.options import Place, cache_option, json_option
from gato_cli.output import show


@click.command(context_settings={"show_default": True})
@click.argument("folder", metavar="DIR", type=Place())
@cache_option
@click.option("--repair", is_flag=True, help="Mend what can be mended; what is taken out goes to DIR/quarantine.")
@click.option(
    "--force",
    is_flag=True,
    help="With --repair: set aside whole records that cannot be right as well, and take shards that are other ones.",
)
@json_option
def command(folder: Path | str, cache: Path | None, repair: bool, force: bool, as_json: bool) -> None:
    """Read every byte of the dataset DIR, a path or an address, and say what is wrong by file, record and byte.

    Digests, checksums, indexes, manifest, ids, loss masks, positions and patches. Exit code 0 if the dataset is whole
    (with --repair: is whole afterwards), 1 otherwise.

    \b
    Example:
      gato-data verify breakout
    """
    from gato_data.errors import FormatError
    from gato_data.printable import printable
    from gato_data.remote.as_it_is import as_it_is
    from gato_data.report.repair import advice, repair_answer
    from gato_data.report.terminal.repair import SHOWN, print_repair
    from gato_data.verify.dataset import verify_dataset
    from gato_data.verify.repair import Repair, repair_dataset

    if force and not repair:
        raise click.UsageError("--force is for --repair: without it nothing is changed")
    if repair and not isinstance(folder, Path):
        raise click.UsageError("--repair writes to the dataset: copy it to this machine first")
    with as_it_is(folder, cache) as path:
        if repair:
            mended = repair_dataset(path, force=force)
        else:
            found = verify_dataset(path)
            mended = Repair(found, found)
        verdict = mended.after
        show(
            lambda: repair_answer(mended),
            lambda console: print_repair(console, mended, given_up=force),
            as_json=as_json,
        )
        for note in () if as_json else verdict.findings.notes[:SHOWN]:
            click.echo(f"Note: {printable(note, 300)}.", err=True)
        if not verdict.whole:
            raise FormatError(advice(verdict, repaired=repair))
