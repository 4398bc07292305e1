"""A `tokenizer.json` of Hugging Face: ids of the package tokenizers, without what it puts around or cuts off a text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError, FormatError, GatoError, MissingPackageError
from gato_data.tokenizers.text import TextTokenizer
from gato_data.tokenizers.tokenizer_json_file import TokenizerFile, parse_tokenizer_file

if TYPE_CHECKING:
    from tokenizers import Tokenizer

ENDS = (
    "<|endoftext|>",
    "<|end_of_text|>",
    "</s>",
    "<eos>",
    "<|eos|>",
    "<EOS_TOKEN>",
    "<\uff5cend\u2581of\u2581sentence\uff5c>",
    "[EOS]",
    "[SEP]",
)
"""What ends a text, the first that is a special token of the model: the file itself does not say which one does."""
MAX_IDS = 1 << 24
_MAX_PIECE = 4096
"""Characters of a piece: runs of spaces have some hundred."""
_Result = TypeVar("_Result")


class _LibraryError(Exception):
    """The library could not do it; says why in a few words."""


@dataclass(frozen=True)
class HuggingFaceTokenizer(TextTokenizer):
    """A `tokenizer.json`: ids are those of `Tokenizer.encode(text, add_special_tokens=False)`.

    Its truncation, padding and post-processor (begin and end of text) do not count, and what is spelled like a special
    token in a text is text (`encode_special_tokens`); added tokens that are not special are found as the library does.
    """

    refusal: ClassVar[str] = "is not a tokenizer.json of Hugging Face"
    library: ClassVar[str] = "tokenizers"

    def trouble(self) -> str | None:
        """Why the bytes are no model that can be used; None where they are one."""
        try:
            size = self.size
        except FormatError as error:
            return str(error)
        if not size:
            return "it has no tokens"
        if size > MAX_IDS:
            return f"its ids reach {size - 1}, at most {MAX_IDS - 1} are possible"
        if max(map(len, self._ids)) > _MAX_PIECE:
            return f"a token has more than {_MAX_PIECE} characters"
        if self.file.model.type == "BPE" and self.file.model.unk_token is None and not self.knows_bytes:
            return (
                "it has neither all bytes nor an unk_token, so that characters which it does not know would be lost: "
                "train it with one of them (byte_fallback, or initial_alphabet=ByteLevel.alphabet())"
            )
        return None

    @cached_property
    def file(self) -> TokenizerFile:
        """What the file says of itself.

        Raises:
            FormatError: it cannot be used; says why.
        """
        return parse_tokenizer_file(self.model_bytes)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        self.file  # noqa: B018 - is checked before the library sees it
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingPackageError(
                "the text model is a tokenizer.json of Hugging Face, which needs the package tokenizers: "
                "pip install 'gato-data[tokenizers]'"
            ) from error
        try:
            text = self.model_bytes.removeprefix(b"\xef\xbb\xbf").decode()
            made: Tokenizer = _asked(lambda: Tokenizer.from_str(text))
        except (_LibraryError, UnicodeDecodeError) as error:
            raise FormatError(f"the package tokenizers cannot load it ({error})") from error
        made.no_truncation()
        made.no_padding()
        made.encode_special_tokens = True
        return made

    @cached_property
    def _ids(self) -> Mapping[str, int]:
        """Every token and its id."""
        found: dict[str, int] = self._tokenizer.get_vocab(with_added_tokens=True)
        return found

    @cached_property
    def _tokens(self) -> Mapping[int, str]:
        return {number: token for token, number in sorted(self._ids.items(), reverse=True)}

    @cached_property
    def size(self) -> int:
        """One more than the highest id, V: ids are in [0, V), of which some may be no token."""
        return max(self._ids.values(), default=-1) + 1

    @cached_property
    def special(self) -> Mapping[str, int]:
        """The special tokens, which no text becomes, and their ids."""
        contents = [token.content for token in self.file.added_tokens if token.special]
        return {content: self._ids[content] for content in contents if content in self._ids}

    @cached_property
    def eos_id(self) -> int | None:
        """Id of the first of `ENDS` that is a special token, or None."""
        return next((self.special[end] for end in ENDS if end in self.special), None)

    @cached_property
    def unknown_id(self) -> int | None:
        """Id of the token of what the model does not know, None where bytes stand for that."""
        if self.knows_bytes:
            return None
        model = self.file.model
        return model.unk_id if model.type == "Unigram" else self._ids.get(model.unk_token or "")

    @cached_property
    def byte_tokens(self) -> tuple[str, ...]:
        """The tokens that stand for single bytes, as the model spells them; empty where there are not 256."""
        wanted = tuple(f"<0x{byte:02X}>" for byte in range(256)) if self.file.model.byte_fallback else ()
        if self.file.is_byte_level:
            self._tokenizer  # noqa: B018 - the package is there
            from tokenizers.pre_tokenizers import ByteLevel

            wanted = tuple(sorted(ByteLevel.alphabet()))
        return wanted if all(token in self._ids for token in wanted) else ()

    @property
    def knows_bytes(self) -> bool:
        """Whether every character has tokens."""
        return bool(self.byte_tokens)

    def _ids_of(self, text: str) -> NDArray[np.int32]:
        try:
            ids = _asked(lambda: self._tokenizer.encode(text, add_special_tokens=False).ids)
        except _LibraryError as error:
            raise EpisodeError(f"the text model fails at a text of {len(text)} characters ({error})") from error
        return np.array(ids, np.int32)

    def _text_of(self, ids: list[int]) -> str:
        try:
            return str(_asked(lambda: self._tokenizer.decode(ids, skip_special_tokens=True)))
        except _LibraryError as error:
            raise FormatError(f"the text model cannot decode {len(ids)} ids ({error})") from error

    def _spelled(self, id: int) -> str:
        return self._tokens.get(id, "")

    def id_of(self, piece: str) -> int | None:
        """The id of a token as the model spells it, None where it has no such token."""
        return self._ids.get(piece)


def _asked(call: Callable[[], _Result]) -> _Result:
    """The answer of the library, whose faults are exceptions of no kind, and panics of Rust."""
    try:
        return call()
    except GatoError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise _LibraryError(str(error).partition("\n")[0][:200]) from error
