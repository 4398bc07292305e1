"""`gato-data sources`: what ingest can read, and a file to start a source of one's own from."""

import json
from pathlib import Path
from typing import Any

import click

from gato_cli.options import LocalPath, first_line, json_option
from gato_data.errors import GatoError
from gato_data.printable import MAX_LINE, printable


@click.group(invoke_without_command=True, context_settings={"show_default": True})
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List the sources that ingest can read.

    Families are rows of the paper's Table 1, with its sample weights; tokens are those of one timestep.

    \b
    Example:
      gato-data sources
    """
    if ctx.invoked_subcommand is not None:
        return
    from gato_pipelines.registry.find import source_names

    rows = [_row(name) for name in source_names()]
    if as_json:
        print(json.dumps({"sources": rows}, sort_keys=True))
        return
    for row in rows:
        if "broken" in row:
            print(f"{row['name']}\n    {'broken':<9} {printable(row['broken'], MAX_LINE)}")
            continue
        print(f"{row['name']}\n    {row['reads']}")
        families = ", ".join(_weighed(family, weight) for family, weight in row["families"].items())
        facts = {"families": families, "input": row["formats"], "tokens": row["tokens_per_timestep"]}
        for label, text in {**facts, "licence": row["licence"]}.items():
            if text:
                print(f"    {label:<9} {text}")


@command.command("new", context_settings={"show_default": True})
@click.argument("name")
@click.option("--out", metavar="DIR", default="sources", type=LocalPath(), help="Folder for Python's path.")
def new(name: str, out: Path) -> None:
    """Write a file to start a source of your own from.

    It reads .npz files of episodes as it is; change what is otherwise in yours.

    \b
    Example:
      gato-data sources new my-arm
    """
    from gato_pipelines.plugin.new import write_source

    file = write_source(name, out)
    print(f"{file}: a source named {name.replace('_', '-')}; it is on the list with PYTHONPATH={out.resolve()}")


def _weighed(family: str, weight: float | None) -> str:
    return family if weight is None else f"{family} ({weight:g} %)"


def _row(name: str) -> dict[str, Any]:
    """What a source says of itself, or why it cannot be used."""
    from gato_data.families import TABLE_1
    from gato_pipelines.registry.find import source_class

    try:
        cls: Any = source_class(name)
    except GatoError as error:
        return {"name": name, "broken": str(error)}
    family = getattr(cls, "family", "")  # of some a property
    families = cls.families or ((family,) if family and isinstance(family, str) else ())
    return {
        "name": name,
        "reads": first_line(cls),
        "formats": str(cls.formats),
        "families": {family: TABLE_1.get(family) for family in families},
        "tokens_per_timestep": str(cls.tokens_per_timestep),
        "licence": str(cls.licence),
        "example": str(cls.example),
    }
