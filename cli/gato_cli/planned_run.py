"""The run that a mixture is planned for: what is given, else what its file says, else what `train` would do."""

from collections.abc import Mapping
from typing import Any

import click

from gato_cli.options import unset_option
from gato_data.reading.settings import ReadSettings
from gato_data.settings import declared
from gato_schemas.mixture import MixtureRun
from gato_trainer.presets import DEFAULT_MODEL, PLANNED, PRESETS

_MODEL = PRESETS[DEFAULT_MODEL]
OF_TRAIN = f"{{value:,}}, as train --model {DEFAULT_MODEL}"
"""What help calls the defaults of a mixture that is made."""


def run_options(*names: str, default: str = "the mixture's") -> list[click.Option]:
    """Options for what `PLANNED` names, None where not given.

    Args:
        names: of them, those wanted.
        default: what their help calls the default, with {value} for that of `train`.
    """
    length = next(unset_option(entry, kind) for entry, kind in declared(ReadSettings) if entry.name == "context_length")
    found = [
        click.Option(["--steps"], type=click.IntRange(1), metavar="N", help="Steps of the run to plan for."),
        click.Option(["--batch-size"], type=click.IntRange(1), metavar="N", help="Windows of a step, over all ranks."),
        length,
    ]
    for option in found:
        told = default.format(value=getattr(_MODEL, str(option.name)))
        option.help = f"{option.help}  [default: {told}]"
    return [option for option in found if option.name in names]


def planned_run(run: MixtureRun, given: Mapping[str, Any]) -> dict[str, int]:
    """Steps, batch size and context length, of what is given (None is not), what the mixture says, and `train`."""
    own = {name: getattr(_MODEL, name) for name in PLANNED}
    return own | run.told | {name: given[name] for name in PLANNED if given.get(name) is not None}
