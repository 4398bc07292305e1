"""The datasets that a grown one was before: whole folders inside it, whose files are links to the same bytes."""

from pathlib import Path

from gato_data.remote.mirror import at_hand, mirror_of
from gato_schemas.dataset import MANIFEST, Manifest, read_manifest
from gato_schemas.origin import Parent

PARENTS = "parents"
"""Folder inside a grown dataset that holds them, one folder each, called by the beginning of its content id."""
APPEND = "append"
"""Folder inside the work folder in which an append makes the grown dataset."""
_DIGITS = 16


def parent_of(manifest: Manifest) -> Parent:
    """What a dataset that is made of this one keeps of it."""
    return Parent(
        name=manifest.name,
        content_id=manifest.content_id,
        fingerprint=manifest.fingerprint,
        source=manifest.source,
        episodes=manifest.totals.episodes,
    )


def parent_folder(folder: Path, content_id: str) -> Path:
    """Where a grown dataset keeps the parent of a content id."""
    return folder / PARENTS / content_id[:_DIGITS]


def folder_of_content(folder: Path, content_id: str) -> Path:
    """The folder that holds the dataset of a content id: this one, or a parent inside it; this one if neither does.

    Raises:
        FormatError: a parent is damaged.
        InputError: a parent is at an address and cannot be read.
    """
    kept = parent_folder(folder, content_id)
    if not (kept / MANIFEST).is_file() or read_manifest(folder).content_id == content_id:
        return folder
    if (mirror := mirror_of(folder)) is not None:
        kept = at_hand(f"{mirror.remote.address}/{kept.relative_to(folder).as_posix()}", mirror.cache)
    return kept if read_manifest(kept).content_id == content_id else folder
