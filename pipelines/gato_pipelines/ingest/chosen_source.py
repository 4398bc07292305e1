"""The source that an ingest reads with, as it travels to workers."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gato_pipelines.registry.find import make_source
from gato_pipelines.registry.own import blamed
from gato_pipelines.source import Source


@dataclass(frozen=True)
class ChosenSource:
    """A source by its name.

    Attributes:
        name: of the source.
        settings: of the source; those not given have their defaults.
    """

    name: str
    settings: Mapping[str, Any]

    def __reduce__(self) -> tuple[type["ChosenSource"], tuple[str, dict[str, Any]]]:
        return ChosenSource, (self.name, dict(self.settings))

    @cached_property
    def made(self) -> Source:
        """The source, made once in every process."""
        return make_source(self.name, self.settings)

    def blamed(self) -> AbstractContextManager[None]:
        """Turn what goes wrong in the code of a user's own source into one sentence."""
        return blamed(self.name, type(self.made))
