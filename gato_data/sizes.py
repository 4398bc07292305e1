"""Numbers of bytes as people write them: `16GB`, `500 MiB`, `1000000`."""

import re
from fractions import Fraction

from gato_data.errors import SettingError

MOST = 2**63 - 1
"""Bytes that a file can have, and more than any memory or disk."""
_DECIMAL = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BINARY = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_UNITS = {name.lower(): value for name, value in (_DECIMAL | _BINARY).items()}
_WANTED = f"give bytes, such as 1000000, or a unit with them, such as 16GB or 1.5GiB ({', '.join(_DECIMAL | _BINARY)})"
_SIZE = re.compile(r"([0-9]{1,30}(?:\.[0-9]{1,30})?) ?([A-Za-z]*)")


def parse_size(text: str) -> int:
    """The whole bytes that a text stands for; units are decimal or binary, in any case.

    Raises:
        SettingError: it stands for none, or for more than `MOST`.
    """
    match = _SIZE.fullmatch(text.strip())
    unit = _UNITS.get(match[2].lower() or "b") if match else None
    if match is None or unit is None or (unit == 1 and "." in match[1]):
        raise SettingError(f"{text!r} is not a size: {_WANTED}")
    found = Fraction(match[1]) * unit
    if found > MOST:
        raise SettingError(f"{text!r} is more than any memory or disk holds: {_WANTED}")
    return int(found)


def written_size(number: int) -> str:
    """A number of bytes in the largest unit of which it is a multiple, as `parse_size` reads it: "4GiB", "1500001"."""
    whole = [(value, name) for name, value in (_DECIMAL | _BINARY).items() if value > 1 and number % value == 0]
    value, name = max(whole) if number and whole else (1, "")
    return f"{number // value}{name}"
