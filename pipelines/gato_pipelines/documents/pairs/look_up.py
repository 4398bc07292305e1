"""Whether the images of the first pairs are where they are looked for, found out before any is decoded."""

from collections.abc import Iterable

from gato_data.errors import EpisodeError, InputError
from gato_pipelines.documents.image_files import MISSING, ImageFiles
from gato_pipelines.documents.pairs.source import Pair, PairOrBad
from gato_pipelines.files.git_lfs import is_pointer
from gato_schemas.account import Note

LOOKED_UP = 100
"""Pairs that are tried."""


def missing_images(pairs: Iterable[PairOrBad], image_files: ImageFiles) -> list[Note]:
    """A note with a name that is looked for and one that is there, where none of these images is."""
    missing, _ = _without_image(pairs)
    if not missing:
        return []
    there = image_files.some_name()
    what = f"there is {there}, for instance" if there else "there is no image at all"
    text = f"none of the first images is where it is looked for ({missing[0].key}): {what}"
    return [Note("missing", text, len(missing))]


def check_images(pairs: Iterable[PairOrBad], place: str) -> None:
    """Check that the images are more than Git LFS pointers.

    Raises:
        InputError: these are nothing else, or missing.
    """
    if _without_image(pairs)[1]:
        raise InputError(f"the images of {place} are Git LFS pointers, not themselves: run git lfs pull there")


def _without_image(pairs: Iterable[PairOrBad]) -> tuple[list[Pair], list[Pair]]:
    """The pairs whose image is missing, and those where it is a pointer; none as soon as one has an image."""
    missing, pointers = [], []
    for pair in pairs:
        if not isinstance(pair, Pair):
            continue
        try:
            data = pair.load()
        except EpisodeError as error:
            if str(error) != MISSING:
                return [], []
            missing.append(pair)
            continue
        if not is_pointer(data):
            return [], []
        pointers.append(pair)
    return missing, pointers
