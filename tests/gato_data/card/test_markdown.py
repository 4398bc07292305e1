"""Nothing that a text holds becomes markup of a card, or ends the place where it stands."""

import pytest

from gato_data.card.hub import licences, size_category
from gato_data.card.markdown import block, code, table

HOSTILE = (
    "`</code><script>alert(1)</script>`",
    "a | b",
    "a\\| b",
    "[x](http://evil)",
    "![x](http://evil/x.png)",
    "line\nend",
    "# heading",
    "www.evil.com",
    "\u202egnp.exe",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_stays_in_its_cell(text: str) -> None:
    shown = code(text)
    assert shown[0] == shown[-1] == "`"
    assert not set("`|\n\u202e") & set(shown[1:-1])
    assert table(["a", ">b"], [[shown, "1"]]).splitlines()[2].count("|") == 3
    assert block([text]).splitlines()[1:-1] == [shown[1:-1]]


def test_a_long_text_and_an_empty_one() -> None:
    assert code("x" * 200) == f"`{'x' * 80}... (120 more characters)`"
    assert (code(""), code("  ")) == ("-", "-")


@pytest.mark.parametrize(
    ("stated", "wanted"),
    [
        ("", ["unknown"]),
        ("unknown", ["unknown"]),
        ("CC BY 4.0 (LIBERO)", ["cc-by-4.0"]),
        ("Apache License, Version 2.0", ["apache-2.0"]),
        ("MIT License; Apache-2.0 (JAT); mit", ["mit", "apache-2.0"]),
        ("GPL-2.0-only", ["gpl-2.0"]),
        ("Recorded with metaworld (MIT).", ["other"]),
        ("mit\nviewer: true", ["other"]),
    ],
)
def test_licences_in_the_words_of_the_hub(stated: str, wanted: list[str]) -> None:
    assert licences(stated) == wanted


def test_classes_of_size() -> None:
    found = [size_category(count) for count in (0, 999, 1000, 10**6, 10**12)]
    assert found == ["n<1K", "n<1K", "1K<n<10K", "1M<n<10M", "n>1T"]
