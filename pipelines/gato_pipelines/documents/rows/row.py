"""A row of a table, and what its values are."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from gato_data.errors import EpisodeError
from gato_pipelines.documents.formats.json_values import BOM, NOT_UTF8
from gato_schemas.account import Note

Kind: TypeAlias = Literal["picture", "pictures", "text", "texts", "turns", "other"]
"""What a column holds: a picture or its name, several of them, a text, several, or the turns of a conversation."""
IMAGE_NAMES = ("image", "images", "img", "imgs", "picture", "pictures", "photo", "jpg", "jpeg", "png", "webp")
IMAGE_FILE_NAMES = ("file_name", "file_names", "filename", "image_path", "image_file", "image_name", "img_path")
"""Usual names of columns of pictures, the likeliest first; those of the second kind name files."""
_MAX_NAME = 200
TURN_MEMBERS = (
    ("from", "value"),
    ("role", "content"),
    ("user", "assistant"),
    ("human", "gpt"),
    ("question", "answer"),
    ("prompt", "response"),
)
"""Members of an entry of a conversation: who says what, or what both say."""


class Row(NamedTuple):
    """One row, or why there is none.

    Attributes:
        key: where in the file it stands.
        values: by column; strings may be bytes.
        reason: why it cannot be read; empty where it can.
        lost: how many rows the reason costs.
        notes: how it was read.
    """

    key: str
    values: Mapping[str, Any]
    reason: str = ""
    lost: int = 1
    notes: tuple[Note, ...] = ()


def value_at(values: Mapping[str, Any], key: str) -> Any:
    """The value under a name, whose dots may lead into nested ones; None where there is none."""
    if key in values:
        return values[key]
    first, _, rest = key.partition(".")
    inner = values.get(first)
    return value_at(inner, rest) if rest and isinstance(inner, Mapping) else None


def text_of(value: Any, what: str = "text") -> str:
    """A text, without white space around it; empty for null.

    Raises:
        EpisodeError: it is none, or not UTF-8.
    """
    if value is None:
        return ""
    try:
        if isinstance(value, bytes):
            return value.removeprefix(BOM).decode().strip()
        if isinstance(value, str):
            value.encode()
            return value.strip()
    except UnicodeError as error:
        raise EpisodeError(NOT_UTF8, stage="decode") from error
    raise EpisodeError(f"the {what} is no text", stage="read")


def name_of(value: Any) -> str:
    """A row's own name, a text or a number; empty where it is neither."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    return str(value)[:_MAX_NAME] if isinstance(value, str | int) else ""


def kind_of_text(name: str) -> Kind:
    """What a column of strings of that name holds: texts, unless it names pictures."""
    last = name.rpartition(".")[2].lower()
    if last.endswith("file_name"):
        return "picture"
    return "picture" if last in (*IMAGE_NAMES, *IMAGE_FILE_NAMES) else "text"


def kind_of_value(name: str, value: Any) -> Kind:
    """What a column holds of which one value out of JSON is given."""
    if isinstance(value, str):
        return kind_of_text(name)
    if isinstance(value, dict):
        return kind_of_members(list(value), nested=all(isinstance(each, list) for each in value.values()))
    if isinstance(value, list):
        first = next((each for each in value if each is not None), None)
        if isinstance(first, dict) and is_turn(list(first)):
            return "turns"
        return kind_of_list("other" if isinstance(first, list) else kind_of_value(name, first))
    return "other"


def kind_of_members(names: list[str], *, nested: bool) -> Kind:
    """What an object with these members is: a picture, or a turn; `nested` where they are lists, one entry a turn."""
    if {"bytes", "path"} <= set(names) or names in (["bytes"], ["path"]):
        return "picture"
    return "turns" if nested and is_turn(names) else "other"


def is_turn(names: list[str]) -> bool:
    """Whether an object with these members is an entry of a conversation."""
    return any({*pair} <= {*names} for pair in TURN_MEMBERS)


def kind_of_list(kind: Kind) -> Kind:
    """What a list of such values is."""
    plural: dict[Kind, Kind] = {"picture": "pictures", "text": "texts"}
    return plural.get(kind, "other")
