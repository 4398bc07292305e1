"""`gato-data sources`: what ingest can read."""

import json
from typing import Any

import click

from gato_cli.options import json_option


@click.command(context_settings={"show_default": True})
@json_option
def command(as_json: bool) -> None:
    """List the sources that ingest can read.

    \b
    Example:
      gato-data sources
    """
    from rich.console import Console
    from rich.table import Table

    from gato_pipelines.source import source_class, source_names

    rows: list[dict[str, Any]] = []
    for name in source_names():
        cls = source_class(name)
        first = (cls.__doc__ or "").strip().splitlines()[0]
        rows.append({"name": name, "family": cls.family, "reads": first, "licence": cls.licence})
    if as_json:
        print(json.dumps({"sources": rows}, sort_keys=True))
        return
    table = Table("source", "family", "reads", "licence", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(row[key] for key in ("name", "family", "reads", "licence")))
    Console(highlight=False).print(table)
