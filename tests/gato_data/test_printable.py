import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_data.printable import counted, printable, real, share, size


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pick up the cube", "pick up the cube"),
        ("\x1b[2J\x1b[31mred", "\\x1b[2J\\x1b[31mred"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\x9b31m", "\\x9b31m"),
        ("\ud800", "\\ud800"),
        ("שלום 🤖 猫", "שלום 🤖 猫"),
    ],
)
def test_what_steers_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_long_text_is_cut_and_says_so() -> None:
    assert printable("x" * 100, 10) == "xxxxxxxxxx... (90 more characters)"


@given(st.text(alphabet=st.characters()))
def test_nothing_printable_controls_the_terminal(text: str) -> None:
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in printable(text))


def test_numbers() -> None:
    assert [share(0, 10), share(1, 10_000), share(1, 8), share(1, 0)] == ["0.0%", "<0.1%", "12.5%", "-"]
    assert [real(0.123456), real(float("nan")), real(None), real(1e9)] == ["0.1235", "-", "-", "1e+09"]
    assert [size(999), size(168_401), size(1_092_050_490), size(2 * 10**15)] == [
        "999 bytes",
        "168.4 kB",
        "1.1 GB",
        "2000.0 TB",
    ]
    assert [counted(1, "episode"), counted(2000, "episode")] == ["1 episode", "2,000 episodes"]
