"""Whether an input is of the family that a source stands for: a false one would be weighed by the paper's Table 1."""

from pathlib import Path
from typing import Any

from gato_data.errors import GatoError, InputError
from gato_pipelines.containers.container import Container
from gato_pipelines.control.form import Form, timestep
from gato_pipelines.registry.find import source_class, source_names
from gato_pipelines.source import Source

_MAX_NAMED = 3


def check_family(source: Source, name: str, folder: Path) -> None:
    """Check that an input looks like what a source is for, as far as the source says what that is.

    The fields that the user has chosen may be those of the family, or those that the source chooses by itself. Where
    no fields can be chosen and no other source could, the scan will say why.

    Raises:
        InputError: it does not; names the sources that it looks like.
    """
    form: Form | None = getattr(source, "form", None)
    if form is None:
        return
    control: Any = source
    container: Container = control.container(folder)
    if any(_fits(container, each, name) for each in (control, type(control)())):
        return
    others = sorted(
        filter(lambda other: other != name and _looks_like(container, other), source_names()), key=_looseness
    )
    chosen = timestep(container, control.wanted())
    if chosen is None and not others:
        return
    found = chosen or timestep(container, _source(others[0]).wanted())
    like = [other for other in form.unlike if other in others]
    why = f"which is the form of {like[0]}" if like else f"but {form.says} are wanted"
    sources = " or ".join((*(f"`{other}`" for other in others[:_MAX_NAMED]), "`rlds`"))
    raise InputError(
        f"{folder} does not look like {control.family}: a timestep has {found}, {why}; ingest it with {sources}, "
        f"or say --family {'|'.join(control.families)} if it is that"
    )


def _looks_like(container: Container, name: str) -> bool:
    """Whether a source would take an input for its own; not that of a user's file that cannot be imported."""
    try:
        source = _source(name)
    except (GatoError, ImportError, SyntaxError):
        return False
    return getattr(source, "form", None) is not None and _fits(container, source, name)


def _fits(container: Container, source: Any, name: str) -> bool:
    form: Form = source.form
    found = timestep(container, source.wanted())
    if found is None or not found.fits(form):
        return False
    calls_itself_so = name.replace("-", "_") in container.label.lower().replace("-", "_")
    return calls_itself_so or not any(_looks_like(container, other) for other in form.unlike)


def _looseness(name: str) -> tuple[int, str]:
    """By which sources are sorted: those of narrow bounds first."""
    form: Form = _source(name).form
    return form.floats[1] + form.texts[1] + form.width[1], name


def _source(name: str) -> Any:
    """A source with its defaults."""
    return source_class(name)()
