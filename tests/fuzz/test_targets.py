"""Damaged input of every kind is refused by an error of ours, in bounded memory; run_atheris.py searches longer."""

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import MAX_BYTES, TARGETS, Target, corpus


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_are_accepted(name: str) -> None:
    assert all(TARGETS[name].run(seed) for seed in TARGETS[name].seeds())


@st.composite
def damaged(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A good input with up to four pieces replaced, moved, repeated or cut out."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        stop = min(start + draw(st.sampled_from([0, 1, 1, 1, 2, 8, 64, 4096])), len(data))
        kind = draw(st.sampled_from(["replace", "flip", "cut", "repeat"]))
        piece = data[start:stop]
        if kind == "replace":
            piece = bytearray(
                draw(st.binary(max_size=12) | st.sampled_from([b"\xff" * 10, b"1e999", b"-1", b"[" * 99]))
            )
        elif kind == "flip" and piece:
            piece[0] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            piece = bytearray()
        elif kind == "repeat":
            piece = piece * 2
        data[start:stop] = piece
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=60)
@given(data=st.data())
def test_damage_is_refused_or_harmless(name: str, data: st.DataObject) -> None:
    target = TARGETS[name]
    target.run(data.draw(damaged(target.seeds())))


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=40)
@given(data=st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_or_harmless(name: str, data: bytes) -> None:
    TARGETS[name].run(data)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=10)
@given(data=st.data())
def test_memory_is_bounded(name: str, data: st.DataObject) -> None:
    target = TARGETS[name]
    content = data.draw(damaged(target.seeds()))
    assert peak_of(target, content) < MAX_BYTES


def peak_of(target: Target, content: bytes) -> int:
    tracemalloc.start()
    try:
        target.run(content)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("path", [path for name in TARGETS for path in corpus(name)], ids=lambda path: path.name)
def test_what_was_found_stays_mended(path: Path) -> None:
    assert peak_of(TARGETS[path.parent.name], path.read_bytes()) < MAX_BYTES
