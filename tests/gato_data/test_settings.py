from dataclasses import MISSING, dataclass, fields
from typing import Literal

import pytest

from gato_data.errors import SettingError
from gato_data.settings import check, deciding, declared, flag_name, setting, settings_from


@dataclass(frozen=True, kw_only=True)
class Settings:
    name: str = setting(MISSING, "Its name.")
    size: int = setting(8, "Its size.", minimum=1)
    share: float = setting(0.5, "Its share.", minimum=0, maximum=1, refusal="{name} {value} is no share")
    fit: Literal["resize", "pad"] | None = setting(None, "How it fits.", option="as")
    room: float = setting(1.0, "", minimum=0)
    file: str = setting("", "A file.", "FILE", decides=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 0}, "size 0 is not possible: at least 1 is wanted"),
        ({"share": 1.5}, "share 1.5 is no share"),
        ({"share": float("nan")}, "share nan is no share"),
        ({"room": float("inf")}, "room inf is not possible: at least 0 is wanted"),
        ({"fit": "cut"}, "fit must be one of resize, pad; got 'cut'"),
    ],
)
def test_values_are_checked_against_what_was_declared(changes: dict[str, object], message: str) -> None:
    check(Settings(name="one"))
    check(Settings(name="one", size=10**400))
    with pytest.raises(SettingError) as raised:
        check(Settings(name="one", **changes))  # type: ignore[arg-type]
    assert str(raised.value) == message


def test_a_declaration_says_what_an_option_needs() -> None:
    found = {entry.name: (flag_name(entry), kind) for entry, kind in declared(Settings)}
    assert found["fit"] == ("--as", Literal["resize", "pad"])
    assert found["size"] == ("--size", int)
    assert [entry.name for entry in fields(Settings) if entry.metadata["is_path"]] == ["file"]


def test_only_what_decides_goes_into_a_fingerprint() -> None:
    settings = Settings(name="one", file="elsewhere")
    assert deciding(settings) == {"name": "one", "size": 8, "share": 0.5, "fit": None, "room": 1.0}


@dataclass(frozen=True, kw_only=True)
class Nested:
    tail: float = setting(0.0, "Its tail.", minimum=0, below=1, refusal="{value} is not below {below}")
    inner: Settings = Settings(name="one")


def test_settings_within_settings_are_made_of_values_by_name() -> None:
    found = settings_from(Nested, {"tail": 0.5, "name": "two", "size": 3})
    assert found == Nested(tail=0.5, inner=Settings(name="two", size=3))


def test_a_number_may_have_to_be_below_another() -> None:
    check(Nested(tail=0.999))
    with pytest.raises(SettingError, match=r"^1.0 is not below 1$"):
        check(Nested(tail=1.0))
