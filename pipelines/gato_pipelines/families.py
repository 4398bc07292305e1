"""Whether an input is of the family that a source stands for: a false one would be weighed by the paper's Table 1."""

from pathlib import Path
from typing import Any

from gato_data.errors import GatoError, InputError
from gato_pipelines.containers.container import Container
from gato_pipelines.form import Form, timestep
from gato_pipelines.source import Source, source_class, source_names

_MAX_NAMED = 4


def check_family(source: Source, name: str, folder: Path) -> None:
    """Check that an input looks like what a source is for, as far as the source says what that is.

    The fields that the user has chosen may be those of the family, or those that the source chooses by itself.

    Raises:
        InputError: it does not; names the sources that it looks like.
    """
    if getattr(source, "form", None) is None:
        return
    control: Any = source
    container = control.container(folder)
    usual = type(control)()
    if any(_fits(container, each, name) for each in (control, usual)):
        return
    others = [other for other in source_names() if other != name and _would_fit(container, other)]
    found = timestep(container, control.wanted()) or timestep(container, source_class("rlds")().wanted())  # type: ignore[attr-defined]
    if found is None or (not others and timestep(container, control.wanted()) is None):
        return  # the scan says what is wrong with the fields themselves
    fitting = f"use `gato-data ingest {' or '.join(others[:_MAX_NAMED])}`, " if others else "use "
    raise InputError(
        f"{folder} does not look like {control.family} data: a timestep has {found}, and {control.form.says} were "
        f"wanted; {fitting}`gato-data ingest rlds`, which takes any, or --family {control.family} if it is meant"
    )


def _would_fit(container: Container, name: str) -> bool:
    try:
        source: Any = source_class(name)()
    except GatoError:
        return False
    return getattr(source, "form", None) is not None and _fits(container, source, name)


def _fits(container: Container, source: Any, name: str) -> bool:
    form: Form = source.form
    found = timestep(container, source.wanted())
    if found is None or not found.fits(form):
        return False
    calls_itself = name.replace("-", "_") in container.label.lower().replace("-", "_")
    return calls_itself or not any(_would_fit(container, other) for other in form.unlike)
