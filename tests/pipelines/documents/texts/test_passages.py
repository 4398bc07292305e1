"""Pieces of files: every piece once, whatever the ranges; long ones without memory."""

import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_pipelines.documents.texts import passages as lines
from gato_pipelines.documents.texts.passages import read_passages
from gato_pipelines.sources.massivetext import is_findable


def pieces(path: Path, separator: bytes = b"\n", first: int = 0, size: int | None = None) -> list[tuple[int, bytes]]:
    return [(piece.start, piece.data or b"-") for piece in read_passages(path, separator, first, size)]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lines") / "file"


def test_pieces_and_where_they_begin(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one\n\nthree\nend")
    assert [(p.start, p.data) for p in read_passages(path)] == [(0, b"one"), (4, b""), (5, b"three"), (11, b"end")]


def test_an_empty_file_has_no_piece(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert pieces(tmp_path / "file") == []


@given(
    data=st.binary(max_size=60).map(lambda data: data.translate(bytes(b"ab|\n"[value % 4] for value in range(256)))),
    separator=st.sampled_from([b"\n", b"|a", b"ab|"]),
    cuts=st.lists(st.integers(0, 60), max_size=6),
    block=st.integers(1, 9),
)
def test_ranges_share_a_file_out(file: Path, data: bytes, separator: bytes, cuts: list[int], block: int) -> None:
    assert is_findable(separator)
    file.write_bytes(data)
    bounds = sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "_BLOCK", block)
        shared = [piece for start, stop in pairwise(bounds) for piece in pieces(file, separator, start, stop - start)]
    whole = data.split(separator)
    whole = whole if whole[-1] else whole[:-1]
    assert [piece for _, piece in shared] == [piece or b"-" for piece in whole]
    assert all(data[start:].startswith(piece) for start, piece in shared if piece != b"-")


@pytest.mark.parametrize(("separator", "findable"), [(b"", False), (b"\n", True), (b"\n\n", False), (b"aba", False)])
def test_separators_that_look_the_same_from_anywhere(separator: bytes, findable: bool) -> None:
    assert is_findable(separator) is findable


@pytest.mark.parametrize("separator", [b"\n", b"ab"])
def test_a_piece_that_is_too_long_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, separator: bytes
) -> None:
    monkeypatch.setattr(lines, "MAX_PASSAGE_BYTES", 50)
    monkeypatch.setattr(lines, "_BLOCK", 7)
    path = tmp_path / "file"
    long = b"x" * 51
    path.write_bytes(separator.join([b"one", long, b"three", long + b"y", long]))
    n = len(separator)
    assert [(p.start, p.data) for p in read_passages(path, separator)] == [
        (0, b"one"),
        (3 + n, None),
        (54 + 2 * n, b"three"),
        (59 + 3 * n, None),
        (111 + 4 * n, None),
    ]


def test_a_line_of_200_mb_takes_a_bounded_amount_of_memory(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.write(b'{"text": "first"}\n{"text": "')
        file.truncate(200_000_000)
        file.seek(0, 2)
        file.write(b'"}\n{"text": "last"}\n')
    tracemalloc.start()
    found = [(p.start, p.data if p.data is None else len(p.data)) for p in read_passages(path)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == [(0, 17), (18, None), (200_000_003, 16)]
    assert peak < 3 * lines.MAX_PASSAGE_BYTES
