"""What is said of a dataset that was made, of raw episodes or of other datasets."""

from pathlib import Path
from typing import Any

from rich.console import Console

from gato_data.report.facts import split_columns
from gato_data.report.terminal.table import print_table
from gato_schemas.dataset import Manifest


def made_answer(out: Path | str, manifest: Manifest) -> dict[str, Any]:
    """What was made, and of what."""
    return {
        "out": str(out),
        "name": manifest.name,
        "content_id": manifest.content_id,
        "fingerprint": manifest.fingerprint,
        "origin": manifest.origin,
        "splits": {name: split.totals for name, split in manifest.splits.items()},
        "totals": manifest.totals,
        "bytes": sum(shard.size for split in manifest.splits.values() for shard in split.shards),
        "dead_letters": manifest.dead_letters,
    }


def print_made(console: Console, manifest: Manifest) -> None:
    """Print the splits of what was made."""
    print_table(console, split_columns(), sorted(manifest.splits.items()))
