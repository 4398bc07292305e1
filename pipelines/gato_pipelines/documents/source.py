"""What all vision-language sources share: settings, names of inputs, and a scan that only counts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from gato_data.errors import EpisodeError, SettingError
from gato_pipelines.files.unpacking import MAX_WINDOW_MIB, WINDOW_MIB
from gato_pipelines.source import Item, PartScan, Source, check_family, setting
from gato_schemas.index import Part

AGENT = ""
"""Nobody acts in a document."""


def family_setting(family: str) -> Any:
    """The field `family` of a source whose documents are of that family unless said otherwise."""
    return setting(family, "Row of the paper's Table 1 that the dataset stands for.")


def window_setting() -> Any:
    """The field `max_window` of a source that reads compressed texts."""
    text = "MiB of memory that a .zst or .xz file may ask for (zstd --long=31: 2048)."
    return setting(WINDOW_MIB, text, "MIB")


def check_window(window: int) -> None:
    """Check a setting `max_window`.

    Raises:
        SettingError: no decoder takes it.
    """
    if not 1 <= window <= MAX_WINDOW_MIB:
        raise SettingError(f"--max-window {window} cannot be: from 1 to {MAX_WINDOW_MIB} MiB are wanted")


@dataclass(frozen=True)
class DocumentSource(Source):
    """Reads documents; the fields are settings."""

    licence: ClassVar[str] = "as the input says"
    reads_documents: ClassVar[bool] = True

    family: str = family_setting("")
    task: str = setting("", "Name of the task; by default the family's.")
    end_of_text: bool = setting(True, "End every text with the text model's end-of-sentence piece.")

    def __post_init__(self) -> None:
        if self.family != type(self).family:
            check_family(self.family)

    @property
    def task_name(self) -> str:
        """The one task of the dataset."""
        return self.task or self.family

    def scan(self, folder: Path, part: Part) -> PartScan:
        """Nothing is left to be found out: the part knows its number of episodes."""
        return PartScan(part=part, agents=[AGENT])

    def files_to_scan(self, folder: Path, part: Part) -> list[str] | None:
        """None is opened, unless a source looks into them."""
        return [] if type(self).scan is DocumentSource.scan else None

    def input_names(self, folder: Path) -> list[str]:
        """Name of the input file or folder."""
        return [folder.resolve().name]

    def input_licence(self, folder: Path) -> str:
        """Nothing: these formats do not say."""
        return ""

    def libraries(self) -> dict[str, str]:
        """None decides the bytes of a text."""
        return {}


def bad(key: str, reason: str, *, stage: str = "read", count: int = 1, ordinal: int = 0) -> Item:
    """An item that becomes a dead letter; reasons of one kind are worded alike, so that they can be counted."""
    return Item(key, ordinal, error=EpisodeError(reason, stage=stage), count=count)
