"""`gato-data verify`: check every byte of a dataset, and mend what can be mended."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gato_cli.options import json_option

if TYPE_CHECKING:
    from gato_data.verify.dataset import Verdict
    from gato_data.verify.repair import Repair

_SHOWN = 50


@click.command(context_settings={"show_default": True})
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--repair", is_flag=True, help="Mend what can be mended; what is taken out goes to DIR/quarantine.")
@click.option(
    "--force",
    is_flag=True,
    help="With --repair: set aside whole records that cannot be right as well, and take shards that are other ones.",
)
@json_option
def command(folder: Path, repair: bool, force: bool, as_json: bool) -> None:
    """Read every byte of the dataset folder DIR and say what is wrong with it, by file, record and byte.

    Digests, checksums, indexes, manifest, ids, loss masks, positions and patches. Exit code 0 if the dataset is whole
    (with --repair: is whole afterwards), 1 otherwise.

    \b
    Example:
      gato-data verify breakout
    """
    from gato_data.errors import FormatError
    from gato_data.verify.dataset import verify_dataset
    from gato_data.verify.repair import Repair, repair_dataset

    if force and not repair:
        raise click.UsageError("--force is for --repair: without it nothing is changed")
    if repair:
        mended = repair_dataset(folder, force=force)
    else:
        found = verify_dataset(folder)
        mended = Repair(found, found)
    verdict = mended.after
    if as_json:
        _print_json(mended)
    else:
        _print_lines(mended, given_up=force)
    if not verdict.whole:
        raise FormatError(_advice(verdict, repaired=repair))


def _advice(verdict: "Verdict", *, repaired: bool) -> str:
    findings = verdict.findings
    count = "1 finding" if findings.count == 1 else f"{findings.count:,} findings"
    waiting = sum(finding.remedy == "force" for finding in findings.kept)
    if repaired and waiting:
        return (
            f"{count} in {verdict.folder} that a repair would have to give up whole records for: copy the right files "
            "here again, or add --force"
        )
    if repaired:
        return (
            f"{count} in {verdict.folder} that cannot be mended here: copy those files again, or run the ingest again"
        )
    if verdict.mendable:
        return f"{count} in {verdict.folder}: --repair sets damaged records aside and makes the rest whole again"
    return f"{count} in {verdict.folder}: copy those files again, or run the ingest again"


def _print_lines(mended: "Repair", *, given_up: bool) -> None:
    from gato_data.report.printable import printable, size

    verdict = mended.after
    for finding in mended.before.findings.kept if given_up else ():
        if finding.remedy == "force":
            click.echo(f"Given up: {printable(finding.place, 300)}: {finding.check}: {printable(finding.message, 500)}")
    for line in mended.done:
        click.echo(f"Repaired: {printable(line, 500)}")
    for line in mended.doubts:
        click.echo(f"Not vouched for: {printable(line, 500)}.")
    for finding in verdict.findings.kept[:_SHOWN]:
        click.echo(f"{printable(finding.place, 300)}: {finding.check}: {printable(finding.message, 500)}")
    if verdict.findings.count > _SHOWN:
        click.echo(f"and {verdict.findings.count - _SHOWN:,} more: --json lists them")
    for note in verdict.findings.notes[:_SHOWN]:
        click.echo(f"Note: {printable(note, 300)}.", err=True)
    if verdict.whole:
        counts, folder = verdict.counts, printable(str(verdict.folder), 300)
        click.echo(
            f"{folder} is whole: {len(verdict.shards):,} shards, {counts.records:,} records, "
            f"{counts.episodes:,} episodes, {counts.tokens:,} tokens, {size(verdict.bytes)}"
        )


def _print_json(mended: "Repair") -> None:
    from dataclasses import asdict

    from gato_data.report.answers import as_json, counts_json

    verdict = mended.after
    answer: dict[str, Any] = {
        "dir": str(verdict.folder),
        "whole": verdict.whole,
        "bytes": verdict.bytes,
        "shards": len(verdict.shards),
        "totals": counts_json(verdict.counts),
        "findings_total": verdict.findings.count,
        "findings": [asdict(finding) for finding in verdict.findings.kept],
        "notes": list(verdict.findings.notes),
        "repaired": list(mended.done),
        "not_vouched_for": list(mended.doubts),
    }
    click.echo(as_json(answer))
