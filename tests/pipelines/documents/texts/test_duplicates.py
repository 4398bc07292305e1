"""Exact duplicates: the first stays, whatever the parts and passes."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_pipelines.documents.texts import duplicates
from gato_pipelines.documents.texts.duplicates import (
    NO_HASH,
    find_duplicates,
    pack_hashes,
    read_duplicates,
    text_hash,
    write_duplicates,
)
from gato_pipelines.source import PartScan
from gato_schemas.index import Part


def scan(number: int, hashes: list[int]) -> PartScan:
    return PartScan(part=Part("file", "text", 1, number, len(hashes), "corpus"), hashes=pack_hashes(hashes))


@given(
    parts=st.lists(st.lists(st.integers(0, 9), max_size=12), min_size=1, max_size=5),
    at_once=st.sampled_from([1, 3, 1000]),
)
def test_the_first_of_equal_documents_stays(parts: list[list[int]], at_once: int) -> None:
    seen: set[int] = set()
    wanted = [
        [n for n, value in enumerate(hashes) if value != NO_HASH and (value in seen or seen.add(value))]
        for hashes in parts
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "HASHES_AT_ONCE", at_once)
        found = find_duplicates([scan(number, hashes) for number, hashes in enumerate(parts)])
    assert [ordinals.tolist() for ordinals in found] == wanted


def test_every_part_finds_its_own(tmp_path: Path) -> None:
    scans = [scan(0, [5, 6]), scan(1, [6, 5, 7]), scan(2, [8])]
    assert write_duplicates(scans, tmp_path) == 2
    assert [sorted(read_duplicates(tmp_path, s.part)) for s in scans] == [[], [0, 1], []]


def test_nothing_is_written_where_nothing_was_hashed(tmp_path: Path) -> None:
    assert write_duplicates([PartScan(part=Part("file", "text", 1))], tmp_path) == 0
    assert list(tmp_path.iterdir()) == []


def test_hashes_are_the_same_everywhere() -> None:
    assert text_hash("a red cup of coffee") == GOLDEN
    assert text_hash("") != NO_HASH
    assert np.frombuffer(pack_hashes([GOLDEN]), "<u8")[0] == GOLDEN


GOLDEN = 0x1F438F1222FA26BC
