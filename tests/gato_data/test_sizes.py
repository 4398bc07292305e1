import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_data.errors import SettingError
from gato_data.sizes import MOST, parse_size, written_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("16GB", 16 * 10**9),
        ("16GiB", 16 * 2**30),
        ("1.5 GiB", 3 * 2**29),
        ("0.3MB", 300_000),
        ("1.3kib", 1331),
        ("7kb", 7000),
        ("2 TB", 2 * 10**12),
        ("12B", 12),
        ("1000000", 1_000_000),
        (" 0 ", 0),
        (str(MOST), MOST),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "16XB",
        "-1GB",
        "0.5",
        "10.5B",
        "1e9GB",
        "16G",
        "GB",
        "",
        "1,5GB",
        "1 000",
        "1_000",
        "\u0663GB",
        "16GBs",
        "nan",
        "1.GB",
    ],
)
def test_what_is_no_size_is_told_what_is_one(text: str) -> None:
    with pytest.raises(SettingError) as raised:
        parse_size(text)
    assert str(raised.value) == (
        f"{text!r} is not a size: give bytes, such as 1000000, or a unit with them, such as 16GB or 1.5GiB "
        "(B, kB, MB, GB, TB, KiB, MiB, GiB, TiB)"
    )


@pytest.mark.parametrize("text", [str(MOST + 1), "99999999TB", "9" * 30 + "TiB"])
def test_more_than_a_disk_holds(text: str) -> None:
    with pytest.raises(SettingError, match=f"'{text}' is more than any memory or disk holds: give bytes"):
        parse_size(text)


@given(st.integers(0, MOST))
def test_what_is_written_is_read_as_the_same(number: int) -> None:
    assert parse_size(written_size(number)) == number


def test_sizes_are_written_in_the_largest_unit() -> None:
    written = {0: "0", 1: "1", 1500: "1500", 16 * 10**9: "16GB", 4 * 2**30: "4GiB", 2**20: "1MiB", 1000: "1kB"}
    assert {number: written_size(number) for number in written} == written
