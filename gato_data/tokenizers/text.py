"""Text to the ids of a text model and back (paper section 2.1: 32000 subwords, ids [0, 32000))."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError, FormatError, OutputError, SettingError
from gato_schemas.regular_file import check_regular

MAX_MODEL_BYTES = 64 * 1024 * 1024
"""A larger file is refused unread; models of 256000 pieces take 5 MiB, as a tokenizer.json 33 MiB."""


@dataclass(frozen=True)
class TextTokenizer(ABC):
    """A text model: text to ids [0, size) and back. There are two kinds, told apart by what the file holds:

        a `.model` of SentencePiece           `sentencepiece_model.py`; the packaged one is such a model
        a `tokenizer.json` of Hugging Face    `tokenizer_json.py`

    The packaged model gives every valid Unicode text back exactly: it does not normalise, and what it has no piece for
    becomes bytes. Other models do what their own normalisation says. No text becomes a control id (begin, end,
    padding), however it is spelled. Two tokenizers are equal when their models are.

    Pickles as the model's bytes, starts no threads, and may be used by several threads at once.
    """

    model_bytes: bytes = field(repr=False)

    refusal: ClassVar[str]
    """What is said of a file that is taken for one and is none."""
    library: ClassVar[str]
    """The package that decides the ids."""

    @classmethod
    def default(cls) -> TextTokenizer:
        """The packaged model of 32000 pieces (`gato_data/assets/README.md` says what it was trained on)."""
        packaged = resources.files("gato_data").joinpath("assets", "text-32k.model")
        try:
            model = packaged.read_bytes()
        except OSError as error:
            raise FormatError(
                f"the packaged text model is missing ({error.strerror or error}): reinstall gato-data"
            ) from error
        return cls._checked(model, str(packaged))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TextTokenizer:
        """Read a `.model` of SentencePiece or a `tokenizer.json`, whatever the file is called.

        Raises:
            SettingError: the file is missing, is a folder or cannot be read.
            FormatError: it is no text model, or one that cannot be used.
            MissingPackageError: it is a tokenizer.json, and the package tokenizers is not installed.
        """
        return cls._checked(read_text_model(path), str(path))

    @classmethod
    def of(cls, model_bytes: bytes) -> TextTokenizer:
        """The text model that these bytes are; they are parsed when something is asked of it."""
        from gato_data.tokenizers.sentencepiece_model import SentencePieceTokenizer
        from gato_data.tokenizers.tokenizer_json import HuggingFaceTokenizer

        is_json = model_bytes.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{"
        return HuggingFaceTokenizer(model_bytes) if is_json else SentencePieceTokenizer(model_bytes)

    @classmethod
    def _checked(cls, model: bytes, name: str) -> TextTokenizer:
        """Refuse what is not a model before anything is tokenized with it."""
        tokenizer = cls.of(model)
        wrong = None
        if not model:
            wrong = "the file is empty"
        elif model.startswith(b"version https://git-lfs"):
            wrong = "the file is a Git LFS pointer; fetch the file itself with: git lfs pull"
        elif len(model) > MAX_MODEL_BYTES:
            wrong = f"the file is larger than {MAX_MODEL_BYTES >> 20} MiB"
        wrong = wrong or tokenizer.trouble()
        if wrong is None:
            return tokenizer
        raise FormatError(f"{name} {tokenizer.refusal}: {wrong}") from None

    @abstractmethod
    def trouble(self) -> str | None:
        """Why the bytes are no model of this kind; None where they are one.

        Raises:
            MissingPackageError: the package that reads it is not installed.
        """

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file, byte for byte.

        Raises:
            OutputError: the file cannot be written.
        """
        try:
            Path(path).write_bytes(self.model_bytes)
        except OSError as error:
            raise OutputError(f"cannot write the text model {path}: {error.strerror or error}") from error

    def __reduce__(self) -> tuple[type[TextTokenizer], tuple[bytes]]:
        """Leave the library's object behind: the other side makes its own when it first needs one."""
        return (type(self), (self.model_bytes,))

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of ids, V: ids are in [0, V)."""

    @property
    @abstractmethod
    def eos_id(self) -> int | None:
        """Id of the token that ends a text, or None where the model has none."""

    @property
    @abstractmethod
    def unknown_id(self) -> int | None:
        """Id of the piece of characters that the model does not know, None where their bytes have pieces."""

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the model file, in hexadecimal: equal digests give equal ids."""
        return hashlib.sha256(self.model_bytes).hexdigest()

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Ids of each text: int32 arrays (n,), values [0, size), without begin or end of sentence.

        Equal texts are tokenized once and share one array; the arrays are read-only.

        Raises:
            EpisodeError: a text is not valid Unicode, or the model fails at it.
        """
        if isinstance(texts, str):
            raise TypeError("encode takes a sequence of texts; wrap a single text in a list")
        known = {text: self._encode_text(text) for text in dict.fromkeys(texts)}
        return [known[text] for text in texts]

    def _encode_text(self, text: str) -> NDArray[np.int32]:
        _check_unicode(text)
        ids = self._ids_of(text)
        ids.flags.writeable = False
        return ids

    @abstractmethod
    def _ids_of(self, text: str) -> NDArray[np.int32]:
        """Ids of one text that is valid Unicode."""

    def decode(self, ids: Sequence[int] | NDArray[np.integer]) -> str:
        """The text of ids; begin and end of sentence leave no trace, bytes that are not UTF-8 become U+FFFD.

        Raises:
            FormatError: an id is not in [0, size).
        """
        pieces = np.asarray(ids, dtype=np.int64)
        outside = pieces[(pieces < 0) | (pieces >= self.size)]
        if outside.size:
            raise self._no_such_piece(int(outside[0]))
        return self._text_of(pieces.tolist())

    @abstractmethod
    def _text_of(self, ids: list[int]) -> str:
        """The text of ids in [0, size)."""

    def piece(self, id: int) -> str:
        """The piece behind an id as the model spells it: U+2581 for a space, `<0x0A>` for a byte; empty for a gap.

        Raises:
            FormatError: the id is not in [0, size).
        """
        if not 0 <= id < self.size:
            raise self._no_such_piece(id)
        return self._spelled(int(id))

    @abstractmethod
    def _spelled(self, id: int) -> str:
        """The piece behind an id in [0, size)."""

    @abstractmethod
    def id_of(self, piece: str) -> int | None:
        """The id of a piece as the model spells it, None where it has no such piece."""

    def _no_such_piece(self, id: int) -> FormatError:
        return FormatError(f"token id {id} is not a text token of this model: its ids are 0 to {self.size - 1}")


def read_text_model(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a text model's file, one more than `MAX_MODEL_BYTES` at most; they are not looked at.

    Raises:
        SettingError: the file is missing, is a folder or cannot be read.
    """
    try:
        check_regular(Path(path))
        with Path(path).open("rb") as file:
            return file.read(MAX_MODEL_BYTES + 1)
    except OSError as error:
        inside = Path(path) / "tokenizer.json"
        what = inside if inside.is_file() else "the .model file that SentencePiece wrote, or a tokenizer.json"
        raise SettingError(f"cannot read the text model {path}: {error.strerror or error}; give {what}") from error


def _check_unicode(text: str) -> None:
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise EpisodeError(
            f"the text is not valid Unicode: lone surrogate U+{ord(text[error.start]):04X} at character {error.start} "
            f"of {len(text)}; decode it as UTF-8 with errors='replace' or leave it out"
        ) from None
