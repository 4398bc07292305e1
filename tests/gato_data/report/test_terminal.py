import io
from operator import itemgetter

import numpy as np
import pytest
from rich.console import Console

from gato_data.report.table import TableColumn
from gato_data.report.terminal.console import open_console
from gato_data.report.terminal.image import can_draw, image_lines, print_images
from gato_data.report.terminal.table import print_facts, print_table

COLUMNS = (
    TableColumn("number", itemgetter(0), number=True),
    TableColumn("name", itemgetter(1)),
    TableColumn("extra", itemgetter(2), optional=True),
    TableColumn("empty", itemgetter(3)),
    TableColumn("last", itemgetter(4), number=True),
)
ROWS = [["1", "one", "uno", "", "10"], ["22", "twenty-two", "veintidós", "", "1,000"]]


def at(width: int) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=width, highlight=False, markup=False, emoji=False), out


def table_at(width: int) -> list[str]:
    console, out = at(width)
    print_table(console, COLUMNS, ROWS)
    return out.getvalue().splitlines()


def test_a_table_with_room() -> None:
    assert table_at(40) == [
        "number  name        extra       last",
        "     1  one         uno           10",
        "    22  twenty-two  veintidós  1,000",
    ]


def test_without_room_the_optional_columns_go_and_are_named() -> None:
    assert table_at(30) == [
        "number  name         last",
        "     1  one            10",
        "    22  twenty-two  1,000",
        "(no room for extra: see",
        "--json)",
    ]


def test_no_more_columns_go_than_must() -> None:
    console, out = at(14)
    columns = [TableColumn(name, itemgetter(place), optional=place > 0) for place, name in enumerate("abcd")]
    print_table(console, columns, [["1111", "2222", "3333", "4444"]])
    assert out.getvalue().splitlines()[:2] == ["a     b", "1111  2222"]


def test_a_narrow_table_becomes_blocks() -> None:
    assert table_at(20) == [
        "number 1",
        "  name one",
        "  extra uno  last 10",
        "number 22",
        "  name twenty-two",
        "  extra veintidós",
        "  last 1,000",
    ]


@pytest.mark.parametrize("width", [16, 20, 30, 40, 80, 200])
def test_no_line_is_wider_than_the_console_and_nothing_is_lost(width: int) -> None:
    text = "".join(table_at(width))
    assert all(len(line) <= width for line in table_at(width))
    for number in ("1,000", "22"):
        assert number in text


def test_wide_characters_keep_the_columns_straight() -> None:
    console, out = at(80)
    print_table(
        console, [TableColumn("a", itemgetter(0)), TableColumn("b", itemgetter(1))], [["猫", "x"], ["cat", "y"]]
    )
    assert out.getvalue().splitlines() == ["a    b", "猫   x", "cat  y"]


def test_markup_in_data_stays_text() -> None:
    console, out = at(80)
    print_facts(console, [("text", "[red]not red[/red] :smile:")])
    assert out.getvalue() == "text  [red]not red[/red] :smile:\n"


def test_long_facts_hang_under_themselves() -> None:
    console, out = at(20)
    print_facts(console, [("name", "one two three four five")])
    assert out.getvalue().splitlines() == ["name  one two three", "      four five"]


def test_a_pipe_is_not_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    out = io.StringIO()
    print_facts(open_console(out), [("name", "word " * 1000)])
    assert out.getvalue().count("\n") == 1


def test_an_ascii_terminal_prints_escapes_instead_of_failing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    print_facts(open_console(out), [("piece", "\u2581pick")])
    out.flush()
    assert raw.getvalue() == b"piece  \\u2581pick\n"


def test_pictures_are_average_colours_of_two_pixels_a_character() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2, :2], image[2:, 2:] = (200, 0, 0), (0, 100, 50)
    (line,) = image_lines(image, 2)
    styles = [(span.style.color.triplet, span.style.bgcolor.triplet) for span in line.spans]
    assert line.plain == "\u2580\u2580"
    assert styles == [((200, 0, 0), (0, 0, 0)), ((0, 0, 0), (0, 100, 50))]


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (64, 80), (480, 640), (16, 1024), (1024, 16)])
def test_pictures_fit(shape: tuple[int, int]) -> None:
    lines = image_lines(np.full((*shape, 3), 7, np.uint8), 48)
    assert 1 <= len(lines) <= 48
    assert len({len(line.plain) for line in lines}) == 1
    assert 1 <= len(lines[0].plain) <= 48
    assert {span.style.color.triplet for line in lines for span in line.spans} == {(7, 7, 7)}


def test_nothing_is_drawn_without_colours() -> None:
    assert not can_draw(at(80)[0])
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    coloured = Console(file=out, force_terminal=True, color_system="truecolor", width=80)
    assert can_draw(coloured)
    print_images(coloured, [np.full((2, 2, 3), 9, np.uint8)])
    out.flush()
    assert b"\x1b[38;2;9;9;9;48;2;9;9;9m" in out.buffer.getvalue()  # type: ignore[attr-defined]
