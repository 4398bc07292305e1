"""`gato-data verify`: check every byte of a dataset, and mend what can be mended."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gato_cli.options import json_option

if TYPE_CHECKING:
    from gato_data.verify.dataset import Verdict

_SHOWN = 50


@click.command(context_settings={"show_default": True})
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--repair", is_flag=True, help="Mend what can be mended; what is taken out goes to DIR/quarantine.")
@json_option
def command(folder: Path, repair: bool, as_json: bool) -> None:
    """Read every byte of the dataset folder DIR and say what is wrong with it, by file, record and byte.

    Checksums, indexes, manifest, ids, loss masks, positions and patches. Exit code 0 if the dataset is whole (with
    --repair: is whole afterwards), 1 otherwise.

    \b
    Example:
      gato-data verify breakout
    """
    from gato_data.errors import FormatError
    from gato_data.verify.dataset import verify_dataset
    from gato_data.verify.repair import repair_dataset

    done: tuple[str, ...] = ()
    if repair:
        mended = repair_dataset(folder)
        verdict, done = mended.after, mended.done
    else:
        verdict = verify_dataset(folder)
    if as_json:
        _print_json(verdict, done)
    else:
        _print_lines(verdict, done)
    if not verdict.whole:
        raise FormatError(_advice(verdict, repaired=repair))


def _advice(verdict: "Verdict", *, repaired: bool) -> str:
    findings = verdict.findings
    count = "1 finding" if findings.count == 1 else f"{findings.count:,} findings"
    if repaired:
        return (
            f"{count} in {verdict.folder} that cannot be mended here: copy those files again, or run the ingest again"
        )
    if verdict.mendable:
        return f"{count} in {verdict.folder}: --repair sets damaged records aside and makes the rest whole again"
    return f"{count} in {verdict.folder}: copy those files again, or run the ingest again"


def _print_lines(verdict: "Verdict", done: tuple[str, ...]) -> None:
    from gato_data.report.printable import printable, size

    for line in done:
        click.echo(f"Repaired: {printable(line, 500)}")
    for finding in verdict.findings.kept[:_SHOWN]:
        click.echo(f"{printable(finding.place, 300)}: {finding.check}: {printable(finding.message, 500)}")
    if verdict.findings.count > _SHOWN:
        click.echo(f"and {verdict.findings.count - _SHOWN:,} more: --json lists them")
    for note in verdict.findings.notes[:_SHOWN]:
        click.echo(f"Note: {printable(note, 300)}.", err=True)
    if verdict.whole:
        counts = verdict.counts
        click.echo(
            f"{verdict.folder} is whole: {len(verdict.shards):,} shards, {counts.records:,} records, "
            f"{counts.episodes:,} episodes, {counts.tokens:,} tokens, {size(verdict.bytes)}"
        )


def _print_json(verdict: "Verdict", done: tuple[str, ...]) -> None:
    from dataclasses import asdict

    from gato_data.report.answers import as_json, counts_json

    answer: dict[str, Any] = {
        "dir": str(verdict.folder),
        "whole": verdict.whole,
        "bytes": verdict.bytes,
        "shards": len(verdict.shards),
        "totals": counts_json(verdict.counts),
        "findings_total": verdict.findings.count,
        "findings": [asdict(finding) for finding in verdict.findings.kept],
        "notes": list(verdict.findings.notes),
        "repaired": list(done),
    }
    click.echo(as_json(answer))
