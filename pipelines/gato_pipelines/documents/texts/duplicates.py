"""Exact duplicates: found by hash in the planning pass, so that no part has to know what the others hold.

Of equal documents the first one stays, in the order of parts and of documents within a part. Hashes
have 64 bits: among a billion documents the chance that a single one is dropped by mistake is 3 in
100.
"""

import hashlib
import io
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gato_data.files import write_durably
from gato_data.permutation import Numbers
from gato_pipelines.part_scan import PartScan
from gato_schemas.index import Part

HASHES_AT_ONCE = 1 << 26
"""Hashes that are sorted together, 16 bytes each; more are sorted in several passes."""
NO_HASH = 0
"""Stands for a document that could not be read: it is nobody's duplicate."""


def text_hash(text: str) -> int:
    """64 bits of a text, never `NO_HASH`."""
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8, person=b"gato-duplicates").digest()
    return int.from_bytes(digest, "little") or 1


def pack_hashes(hashes: Sequence[int]) -> bytes:
    """The hashes of a part's documents, for `PartScan.hashes`."""
    return np.array(hashes, "<u8").tobytes()


def find_duplicates(scans: Sequence[PartScan]) -> list[Numbers]:
    """For every part (at least one), the ordinals of the documents that occurred before."""
    parts = [np.frombuffer(scan.hashes, "<u8") for scan in scans]
    passes = max(-(-sum(map(len, parts)) // HASHES_AT_ONCE), 1)
    found: list[list[Numbers]] = [[] for _ in scans]
    for number in range(passes):
        chosen = [np.flatnonzero((hashes % np.uint64(passes) == number) & (hashes != NO_HASH)) for hashes in parts]
        again = _repeated(np.concatenate([hashes[at] for hashes, at in zip(parts, chosen, strict=True)]))
        bounds = np.cumsum([len(at) for at in chosen])[:-1]
        for part, at, repeated in zip(found, chosen, np.split(again, bounds), strict=True):
            part.append(at[repeated])
    return [np.sort(np.concatenate(pieces)) for pieces in found]


def _repeated(hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether each hash stands further up already."""
    order = np.argsort(hashes, kind="stable")
    again = np.zeros(len(hashes), bool)
    again[order[1:]] = hashes[order[1:]] == hashes[order[:-1]]
    return again


def write_duplicates(scans: Sequence[PartScan], work: Path) -> int:
    """Leave each part's duplicates in a folder, where its worker looks for them; returns how many there are."""
    total = 0
    if any(scan.hashes for scan in scans):
        for scan, ordinals in zip(scans, find_duplicates(scans), strict=True):
            if len(ordinals):
                content = io.BytesIO()
                np.save(content, ordinals)
                write_durably(work / duplicates_file(scan.part), content.getvalue(), work)
                total += len(ordinals)
    return total


def read_duplicates(work: Path, part: Part) -> Collection[int]:
    """Ordinals of the documents of a part that are left out."""
    path = work / duplicates_file(part)
    return frozenset(np.load(path, allow_pickle=False).tolist()) if path.exists() else frozenset()


def duplicates_file(part: Part) -> str:
    """Name of the file of a part's duplicates; there is none where it has none."""
    name = "\0".join((part.input, part.file, str(part.first)))
    return f"duplicates-{hashlib.blake2b(name.encode(), digest_size=8).hexdigest()}.npy"
