"""`gato-data sources`: what ingest can read."""

import json
from typing import Any

import click

from gato_cli.options import json_option


@click.command(context_settings={"show_default": True})
@json_option
def command(as_json: bool) -> None:
    """List the sources that ingest can read.

    Families are rows of the paper's Table 1, with its sample weights; tokens are those of one timestep.

    \b
    Example:
      gato-data sources
    """
    from gato_pipelines.source import source_class, source_names

    rows = [_row(name, source_class(name)) for name in source_names()]
    if as_json:
        print(json.dumps({"sources": rows}, sort_keys=True))
        return
    for row in rows:
        print(f"{row['name']}\n    {row['reads']}")
        families = ", ".join(f"{family} ({weight:g} %)" for family, weight in row["families"].items())
        facts = {"families": families, "input": row["formats"], "tokens": row["tokens_per_timestep"]}
        for label, text in {**facts, "licence": row["licence"]}.items():
            if text:
                print(f"    {label:<9} {text}")


def _row(name: str, cls: type[Any]) -> dict[str, Any]:
    """What a source says of itself."""
    from gato_data.mixing.weight_text import TABLE_1

    families = getattr(cls, "families", ()) or tuple(filter(None, (str(getattr(cls, "family", "")),)))
    return {
        "name": name,
        "reads": (cls.__doc__ or "").strip().splitlines()[0],
        "formats": getattr(cls, "formats", ""),
        "families": {family: TABLE_1.get(family) for family in families},
        "tokens_per_timestep": getattr(cls, "tokens_per_timestep", ""),
        "licence": cls.licence,
        "example": getattr(cls, "example", ""),
    }
