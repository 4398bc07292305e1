"""What a `tokenizer.json` says of itself, as far as it matters here; anybody may have written one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from gato_data.errors import FormatError

_MAX_STEPS = 64
"""Steps of normalizers, pre-tokenizers and decoders; common ones have up to ten."""
_MAX_GROWTH = 64
"""How many times longer a chain of replacements may make a text."""
_MAX_STEPS_BYTES = 4 << 20
"""Of the JSON of one chain of steps; the table of a normalizer of SentencePiece has half a megabyte."""


class AddedToken(msgspec.Struct, frozen=True):
    """A token that is found in a text before the model sees it; never, where it is special."""

    id: int
    content: str
    special: bool = False


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """The model, without its tokens."""

    type: str = ""
    unk_token: str | None = None
    unk_id: int | None = None
    byte_fallback: bool | None = None
    dropout: float | None = None
    vocab: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    merges: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _File(msgspec.Struct, frozen=True, kw_only=True):
    model: Model | None = None
    added_tokens: list[AddedToken] | None = None
    normalizer: msgspec.Raw = msgspec.Raw(b"null")
    pre_tokenizer: msgspec.Raw = msgspec.Raw(b"null")
    decoder: msgspec.Raw = msgspec.Raw(b"null")


@dataclass(frozen=True, slots=True)
class TokenizerFile:
    """The parts of a file.

    Attributes:
        model: its kind, and what becomes of characters that it does not know.
        added_tokens: in the file's order.
        normalizers: the kinds of steps that texts go through first.
        is_byte_level: whether bytes are written as 256 characters of their own.
    """

    model: Model
    added_tokens: tuple[AddedToken, ...]
    normalizers: tuple[str, ...]
    is_byte_level: bool


def parse_tokenizer_file(data: bytes) -> TokenizerFile:
    """Read a file, its tokens aside.

    Raises:
        FormatError: it cannot be used; says why, not which file.
    """
    try:
        file = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"), type=_File)
        chains = [_steps(chain) for chain in (file.normalizer, file.pre_tokenizer, file.decoder)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"it cannot be parsed ({error})") from error
    if file.model is None:
        raise FormatError("it has no model, as a vocab.json or tokenizer_config.json: give the tokenizer.json itself")
    if file.model.dropout:
        raise FormatError(
            f"it leaves out merges at random (dropout {file.model.dropout:g}), so that a text has not always the same "
            "ids: set its dropout to null"
        )
    for chain in chains:
        if len(chain) > _MAX_STEPS or _growth(chain) > _MAX_GROWTH:
            raise FormatError(f"its replacements make a text more than {_MAX_GROWTH} times as long, or are too many")
    kinds = [tuple(str(step.get("type")) for step in chain) for chain in chains]
    tokens = tuple(file.added_tokens or ())
    return TokenizerFile(file.model, tokens, kinds[0], "ByteLevel" in kinds[0] + kinds[1])


def _steps(chain: msgspec.Raw) -> list[dict[str, Any]]:
    """The steps of a normalizer, pre-tokenizer or decoder, those within sequences one by one.

    Raises:
        FormatError: it is larger than any.
    """
    data = bytes(chain)
    if len(data) > _MAX_STEPS_BYTES:
        raise FormatError(f"a chain of its steps has more than {_MAX_STEPS_BYTES >> 20} MiB")
    return list(_flat(msgspec.json.decode(data)))


def _flat(step: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(step, dict):
        return
    inner = next((step[name] for name in ("normalizers", "pretokenizers", "decoders") if name in step), None)
    if inner is None:
        yield step
        return
    for each in inner if isinstance(inner, list) else ():
        yield from _flat(each)


def _growth(chain: list[dict[str, Any]]) -> float:
    """How many times longer a chain of steps can make a text, its replacements and prefixes."""
    growth = 1.0
    for step in chain:
        content, pattern = step.get("content"), step.get("pattern")
        if step.get("type") == "Replace" and isinstance(content, str):
            plain = pattern.get("String") if isinstance(pattern, dict) else None
            # what a regular expression matches may be empty, everywhere
            growth *= max(1.0, len(content) / len(plain)) if isinstance(plain, str) and plain else 1 + len(content)
        elif step.get("type") == "Prepend":
            growth += len(str(step.get("prepend")))
    return growth
