"""The quality report on a terminal: problems first, each with its measure and threshold."""

from rich.console import Console
from rich.text import Text

from gato_data.printable import counted, printable, real
from gato_data.report.quality import Quality
from gato_data.report.terminal.table import print_hanging, print_heading

NARROW = 50
"""On a narrower console a finding has its message below it instead of beside it."""

_STYLES = {"problem": "bold red", "notice": "yellow"}


def print_quality(console: Console, quality: Quality) -> None:
    """Print the findings of a dataset."""
    print_heading(console, "Quality")
    if not quality.findings:
        console.print(f"nothing found in {counted(len(quality.episodes), 'episode')}", soft_wrap=True)
        return
    width = max(len(finding.check) for finding in quality.findings)
    for finding in quality.findings:
        head = Text(f"{finding.level:7}  ", _STYLES[finding.level])
        head.append(f"{finding.check:{width}}  ", "default")
        where = "" if finding.where == "all" else f"{printable(finding.where)}: "
        against = f"({real(finding.measure, 3)}, threshold {real(finding.threshold, 3)})"
        if console.width < NARROW:
            head.rstrip()
            console.print(head, overflow="fold")
            head = Text("  ")
        print_hanging(console, head, f"{where}{printable(finding.message, 400)} {against}")
