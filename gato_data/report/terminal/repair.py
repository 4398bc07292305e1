"""What `verify` prints: a line for everything that was done or is wrong."""

from rich.console import Console

from gato_data.printable import printable, size
from gato_data.remote.mirror import origin
from gato_data.verify.findings import Finding
from gato_data.verify.repair import Repair

SHOWN = 50
"""Findings, and notes, that are shown; `--json` has all."""


def print_repair(console: Console, mended: Repair, *, given_up: bool) -> None:
    """Print what a repair did and what is wrong after it; `given_up`: whole records might go."""

    def say(line: str) -> None:
        console.print(line, soft_wrap=True)

    verdict = mended.after
    for finding in mended.before.findings.kept if given_up else ():
        if finding.remedy == "force":
            say(f"Given up: {_line(finding)}")
    for done in mended.done:
        say(f"Repaired: {printable(done, 500)}")
    for doubt in mended.doubts:
        say(f"Not vouched for: {printable(doubt, 500)}.")
    for finding in verdict.findings.kept[:SHOWN]:
        say(_line(finding))
    if verdict.findings.count > SHOWN:
        say(f"and {verdict.findings.count - SHOWN:,} more: --json lists them")
    if verdict.whole:
        counts, folder = verdict.counts, printable(origin(verdict.folder), 300)
        say(
            f"{folder} is whole: {len(verdict.shards):,} shards, {counts.records:,} records, "
            f"{counts.episodes:,} episodes, {counts.tokens:,} tokens, {size(verdict.bytes)}"
        )


def _line(finding: Finding) -> str:
    return f"{printable(finding.place, 300)}: {finding.check}: {printable(finding.message, 500)}"
