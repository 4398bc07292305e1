"""`gato-data info`: what is installed, for a bug report."""

import json
from collections.abc import Iterator
from typing import Any

import click

from gato_cli.options import json_option


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Say what is installed here: versions, extras, GPUs, settings.

    Paste it into a bug report. It has no names of people, machines or folders, and nothing heavy is imported.

    \b
    Example:
      gato-data info
    """
    from gato_cli.installation import installation
    from gato_data.printable import printable

    found = installation()
    if as_json:
        click.echo(json.dumps(found, sort_keys=True))
        return
    for label, text in _rows(found):
        click.echo(f"{label:<12} {printable(text, 300)}")


def _rows(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is told, line by line."""
    formats = ", ".join(f"{name} {_told(version)}" for name, version in found["formats"].items())
    yield "version", f"{_told(found['gato_data'])}{', editable' if found['editable'] else ''}; formats: {formats}"
    yield "Python", f"{found['python']}, {found['implementation']}, output in {_told(found['encoding'])}"
    yield "platform", found["platform"]
    memory = "memory unknown" if found["memory_bytes"] is None else f"{found['memory_bytes'] / 2**30:.1f} GiB of memory"
    yield "processors", f"{found['processors']} of {_told(found['processor'])}, {memory}"
    for gpu in found["gpus"]:
        yield "GPU", f"{gpu['name']}, {_told(gpu['memory_mib'])} MiB, driver {gpu['driver']}"
    if not found["gpus"]:
        yield "GPU", "none that nvidia-smi names"
    yield "torch", _torch(found)
    for extra, missing in found["extras"].items():
        yield "extra", f"{extra}: {'missing ' + ', '.join(missing) if missing else 'complete'}"
    for name, value in found["settings"].items():
        yield "setting", f"{name}={value}"
    for name, version in found["packages"].items():
        yield "package", f"{name} {version or 'missing'}"


def _torch(found: dict[str, Any]) -> str:
    seen = found["seen_by_torch"]
    built = "missing" if found["torch_build"] is None else f"built for {found['torch_build']}"
    if seen is None:
        return built
    return f"{built}, cannot be imported ({seen})" if isinstance(seen, str) else f"{built}, sees {seen or 'no GPU'}"


def _told(value: object) -> str:
    return "unknown" if value is None else str(value)
