"""The run that a mixture is planned for: what is given, else what its file says, else what `train` would do."""

from collections.abc import Mapping
from typing import Any

import click

from gato_cli.options import unset_option
from gato_data.reading.settings import ReadSettings
from gato_data.settings import declared
from gato_schemas.mixture import MixtureRun
from gato_trainer.presets import DEFAULT_MODEL, PLANNED, PLANNED_READING, PRESETS

_MODEL = PRESETS[DEFAULT_MODEL]
_READING = {name: getattr(ReadSettings(), name) for name in PLANNED_READING}
OF_TRAIN = f"{{value:,}}, as train --model {DEFAULT_MODEL}"
"""What help calls the defaults of a mixture that is made."""


def run_options(*names: str, default: str = "the mixture's") -> list[click.Option]:
    """Options for what `PLANNED` and `PLANNED_READING` name, None where not given.

    Args:
        names: of them, those wanted.
        default: what their help calls the default, with {value} for that of `train`.
    """
    of_reader = {entry.name: unset_option(entry, kind) for entry, kind in declared(ReadSettings)}
    found = [
        click.Option(["--steps"], type=click.IntRange(1), metavar="N", help="Steps of the run to plan for."),
        click.Option(["--batch-size"], type=click.IntRange(1), metavar="N", help="Windows of a step, over all ranks."),
        of_reader["context_length"],
    ]
    for option in found:
        told = default.format(value=getattr(_MODEL, str(option.name)))
        option.help = f"{option.help}  [default: {told}]"
    for option in (of_reader[name] for name in PLANNED_READING):
        told = default if default != OF_TRAIN else str(_READING[str(option.name)] or "no")
        option.help = f"{option.help}  [default: {told}]"
        found.append(option)
    return [option for option in found if option.name in names]


def planned_run(run: MixtureRun, given: Mapping[str, Any]) -> dict[str, Any]:
    """What `PLANNED` and `PLANNED_READING` name: as given (None is not), else as the mixture says, else as `train`."""
    own = {name: getattr(_MODEL, name) for name in PLANNED} | _READING
    return own | run.told | {name: given[name] for name in own if given.get(name) is not None}
