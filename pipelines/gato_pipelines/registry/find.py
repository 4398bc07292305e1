"""Sources by their names."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from gato_data.closest import closest
from gato_data.errors import SettingError
from gato_pipelines.registry.own import blamed, find_sources, load_source
from gato_pipelines.source import Source


def source_names() -> list[str]:
    """Names of all sources, without importing any."""
    return sorted(find_sources())


def source_class(name: str) -> type[Source]:
    """The dataclass of a source.

    Raises:
        SettingError: there is no such source, or it is broken.
    """
    found = find_sources()
    if name not in found:
        close = closest(name, found)
        hint = f"Did you mean {close!r}?" if close else f"There are: {', '.join(sorted(found))}."
        raise SettingError(f"no source named {name!r}. {hint}")
    cls: type[Source] = load_source(name, found[name])
    return cls


def make_source(name: str, settings: Mapping[str, Any]) -> Source:
    """A source with the given settings; the others have their defaults.

    Raises:
        SettingError: there is no such source, it is broken, or it has no such setting.
        InputError: a user's own source failed.
    """
    cls = source_class(name)
    known = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    for given in settings:
        if given not in known:
            raise SettingError(f"source {name!r} has no setting {given!r}: it has {', '.join(known)}")
    with blamed(name, cls):
        return cls(**settings)
