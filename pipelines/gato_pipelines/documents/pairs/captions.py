"""Captions as the files beside images hold them: a text, or a key of a JSON object."""

import msgspec

from gato_data.errors import EpisodeError
from gato_pipelines.documents.formats.json_values import NOT_UTF8, decode_json
from gato_schemas.account import Note

MAX_CAPTION_BYTES = 1 << 20
_OBJECT = msgspec.json.Decoder(dict[str, object])
_NO_OBJECT = "the .json member is not a JSON object"
_KINDS = {bool: "true or false", int: "a number", float: "a number", list: "a list without texts", dict: "an object"}


def plain_caption(data: bytes) -> str:
    """The caption of a .txt.

    Raises:
        EpisodeError: it is too long, or not UTF-8.
    """
    _check_size(data)
    try:
        return data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise EpisodeError("the text is not valid UTF-8", stage="decode") from error


def json_caption(data: bytes, key: str) -> tuple[str, tuple[Note, ...]]:
    """The caption under a key of a .json, and how it was read: of a list of captions the first one is taken.

    Raises:
        EpisodeError: it is too long, no JSON object, or there is no text under the key.
    """
    _check_size(data)
    try:
        found = decode_json(_OBJECT, data, _NO_OBJECT).get(key)
    except EpisodeError as error:
        raise error if str(error) == NOT_UTF8 else EpisodeError(_NO_OBJECT, stage="decode") from error
    if isinstance(found, str):
        return found.strip(), ()
    texts = [text for text in found if isinstance(text, str)] if isinstance(found, list) else []
    if texts:
        return texts[0].strip(), (Note("read", f"{key!r} holds a list of captions, the first of which is taken"),)
    if found is None:
        raise EpisodeError(f"there is no text under {key!r} in the .json member", stage="read")
    raise EpisodeError(f"the value under {key!r} is {_KINDS[type(found)]}: a text is wanted", stage="read")


def _check_size(data: bytes) -> None:
    if len(data) > MAX_CAPTION_BYTES:
        raise EpisodeError(f"the caption is longer than {MAX_CAPTION_BYTES >> 20} MiB", stage="read")
