"""Whether an input is of the family that a source stands for: a false one would be weighed by the paper's Table 1."""

from pathlib import Path

from gato_data.errors import GatoError, InputError
from gato_pipelines.containers.container import Container
from gato_pipelines.control.form import timestep
from gato_pipelines.control_source import ControlSource
from gato_pipelines.registry.find import source_class, source_names
from gato_pipelines.source import Source

_MAX_NAMED = 3


def check_looks(source: Source, name: str, folder: Path) -> None:
    """Check that an input looks like what a source is for, as far as the source says what that is.

    The fields that the user has chosen may be those of the family, or those that the source chooses
    by itself. Where no fields can be chosen and no other source could, the scan will say why.

    Raises:
        InputError: it does not; names the sources that it looks like.
    """
    if not isinstance(source, ControlSource) or source.form is None:
        return
    container = source.container(folder)
    if any(_fits(container, each, name) for each in (source, type(source)())):
        return
    asked = {other: _liked(container, other) for other in source_names() if other != name}
    like = {other: liked for other, liked in asked.items() if liked is not None}
    others = sorted(like, key=lambda other: (_looseness(like[other]), other))
    chosen = timestep(container, source.field_choice())
    if chosen is None and not others:
        return
    found = chosen or timestep(container, like[others[0]].field_choice())
    narrower = [other for other in source.form.unlike if other in others]
    why = f"which is the form of {narrower[0]}" if narrower else f"but {source.form.says} are wanted"
    sources = " or ".join((*(f"`{other}`" for other in others[:_MAX_NAMED]), "`rlds`"))
    raise InputError(
        f"{folder} does not look like {source.family}: a timestep has {found}, {why}; ingest it with {sources}, "
        f"or say --family {'|'.join(source.families)} if it is that"
    )


def _liked(container: Container, name: str) -> ControlSource | None:
    """The source of a name, with its defaults, if it would take an input for its own.

    None as well for a user's file that cannot be imported.
    """
    try:
        source = source_class(name)()
    except (GatoError, ImportError, SyntaxError):
        return None
    return source if isinstance(source, ControlSource) and _fits(container, source, name) else None


def _fits(container: Container, source: ControlSource, name: str) -> bool:
    found = timestep(container, source.field_choice())
    if source.form is None or found is None or not found.fits(source.form):
        return False
    calls_itself_so = name.replace("-", "_") in container.label.lower().replace("-", "_")
    return calls_itself_so or not any(_liked(container, other) for other in source.form.unlike)


def _looseness(source: ControlSource) -> int:
    """How wide the bounds of a source's form are: narrow ones are named first."""
    form = source.form
    return 0 if form is None else form.floats[1] + form.texts[1] + form.width[1]
