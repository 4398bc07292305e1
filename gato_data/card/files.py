"""Everything that is made of a manifest and lies beside the shards: one list for all that write a dataset."""

import hashlib
from pathlib import Path

from gato_data.card.croissant import croissant
from gato_data.card.hub import MARK
from gato_data.card.picture import picture
from gato_data.card.readme import readme
from gato_data.card.samples import Read, read_samples
from gato_schemas.dataset import CARD, CROISSANT, MANIFEST, MANIFEST_COPY, PICTURE, Manifest, encode_manifest
from gato_schemas.tfds import tfds_files

_HEAD, _MOST = 4096, 1 << 26
"""Bytes of a card in which its mark has to stand, and of a file that is looked through."""


def files_of_manifest(folder: Path, manifest: Manifest, read: Read | None = None) -> dict[str, bytes]:
    """The files by name, in the order in which they are written: the manifest last.

    A README.md that somebody else wrote is not among them.

    Args:
        folder: of the dataset, with its shards, their indexes and the text model.
        manifest: of it.
        read: bytes of its shards; None where they lie in the folder.

    Raises:
        InputError: `read` does not get them.
    """
    data = encode_manifest(manifest)
    return {**card_files(folder, manifest, data, read), **tfds_files(manifest), MANIFEST_COPY: data, MANIFEST: data}


def card_files(folder: Path, manifest: Manifest, data: bytes, read: Read | None = None) -> dict[str, bytes]:
    """The card, its picture and the metadata; `data` are the bytes of the manifest. Raises as `files_of_manifest`."""
    samples = read_samples(folder, manifest, read)
    files = {CROISSANT: croissant(manifest, hashlib.sha256(data).hexdigest())}
    if samples.frames:
        files[PICTURE] = picture(samples.frames)
    if not is_somebodys(folder / CARD):
        files[CARD] = readme(manifest, samples.excerpt, has_picture=bool(samples.frames))
    return files


def is_somebodys(path: Path) -> bool:
    """Whether there is a README.md that we did not write, or that somebody took our mark out of."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return MARK.encode() not in file.read(_HEAD)


def stale_card(folder: Path, manifest: Manifest) -> list[str]:
    """What is wrong with card and metadata of a folder, a sentence each: they are missing, or of another content."""
    found = []
    for name in (CARD, CROISSANT):
        path = folder / name
        if not path.is_file():
            found.append(f"{name} is missing: gato-data verify --repair writes it")
        elif not (name == CARD and is_somebodys(path)) and not _names(path, manifest.content_id):
            found.append(f"{name} is of another content than the dataset: gato-data verify --repair writes it anew")
    return found


def _names(path: Path, content_id: str) -> bool:
    with path.open("rb") as file:
        return content_id.encode() in file.read(_MOST)
