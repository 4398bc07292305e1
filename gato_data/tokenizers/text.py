"""Text to SentencePiece ids and back (paper section 2.1: 32000 subwords, ids [0, 32000))."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError, FormatError, OutputError, SettingError
from gato_schemas.regular_file import check_regular
from gato_schemas.wire_lists import fields

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

MAX_MODEL_BYTES = 64 * 1024 * 1024
"""A larger file is refused unread; models of 256000 pieces take about 5 MiB."""

_WORD_SIGN = "\u2581"
"""What SentencePiece writes for a space inside a piece."""
_RUN = 1 << 15
"""Characters of a run that is encoded by itself."""
_SEAM = re.compile(r"(?<=[A-Za-z]) (?=[A-Za-z])")


@dataclass(frozen=True)
class TextTokenizer:
    """A SentencePiece model: text to ids [0, size) and back.

    The packaged model gives every valid Unicode text back exactly: it does not normalise, and what it has no piece for
    becomes bytes. Other models do what their own normalisation says. Two tokenizers are equal when their models are.

    Pickles as the model's bytes, starts no threads, and may be used by several threads at once.
    """

    model_bytes: bytes = field(repr=False)

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
        """Read a `.model` file.

        Raises:
            SettingError: the file is missing, is a folder or cannot be read.
            FormatError: it is not a SentencePiece model.
        """
        try:
            check_regular(Path(path))
            with Path(path).open("rb") as file:
                model = file.read(MAX_MODEL_BYTES + 1)
        except OSError as error:
            raise SettingError(
                f"cannot read the text model {path}: {error.strerror or error}; give the .model file that "
                "SentencePiece wrote"
            ) from error
        return cls._checked(model, str(path))

    @classmethod
    def _checked(cls, model: bytes, name: str) -> TextTokenizer:
        """Refuse what is not a model before anything is tokenized with it."""
        wrong = None
        if not model:
            wrong = "the file is empty"
        elif model.startswith(b"version https://git-lfs"):
            wrong = "the file is a Git LFS pointer; fetch the file itself with: git lfs pull"
        elif len(model) > MAX_MODEL_BYTES:
            wrong = f"the file is larger than {MAX_MODEL_BYTES >> 20} MiB"
        tokenizer = cls(model)
        if wrong is None:
            try:
                if tokenizer.size > 0:
                    return tokenizer
                wrong = "it has no pieces"
            except (RuntimeError, ValueError):
                wrong = "it cannot be parsed"
        raise FormatError(f"{name} is not a SentencePiece model: {wrong}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file, byte for byte.

        Raises:
            OutputError: the file cannot be written.
        """
        try:
            Path(path).write_bytes(self.model_bytes)
        except OSError as error:
            raise OutputError(f"cannot write the text model {path}: {error.strerror or error}") from error

    @cached_property
    def _processor(self) -> SentencePieceProcessor:
        from sentencepiece import SentencePieceProcessor

        return SentencePieceProcessor(model_proto=self.model_bytes)

    def __reduce__(self) -> tuple[type[TextTokenizer], tuple[bytes]]:
        """Leave the processor behind: the other side makes its own when it first needs one."""
        return (TextTokenizer, (self.model_bytes,))

    @cached_property
    def size(self) -> int:
        """Number of pieces, V: ids are in [0, V)."""
        return int(self._processor.get_piece_size())

    @cached_property
    def eos_id(self) -> int | None:
        """Id of the end-of-sentence piece, or None where the model has none."""
        piece = int(self._processor.eos_id())
        return piece if piece >= 0 else None

    @cached_property
    def unknown_id(self) -> int | None:
        """Id of the piece of characters that the model does not know, None where their bytes have pieces."""
        return int(self._processor.unk_id()) if self._word_sign_bytes is None else None

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the model file, in hexadecimal: equal digests give equal ids."""
        return hashlib.sha256(self.model_bytes).hexdigest()

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Ids of each text: int32 arrays (n,), values [0, size), without begin or end of sentence.

        Equal texts are tokenized once and share one array; the arrays are read-only.

        Raises:
            EpisodeError: a text is not valid Unicode.
        """
        if isinstance(texts, str):
            raise TypeError("encode takes a sequence of texts; wrap a single text in a list")
        known = {text: self._encode_text(text) for text in dict.fromkeys(texts)}
        return [known[text] for text in texts]

    def _encode_text(self, text: str) -> NDArray[np.int32]:
        _check_unicode(text)
        if _WORD_SIGN in text and self._word_sign_bytes is not None:
            ids = self._encode_with_word_signs(text, self._word_sign_bytes)
        else:
            ids = self._ids(text)
        ids.flags.writeable = False
        return ids

    def _ids(self, text: str) -> NDArray[np.int32]:
        if len(text) < 2 * _RUN or not self._cuts_at_spaces:
            return self._encode_run(text)
        return np.concatenate([self._encode_run(run) for run in _runs(text, self._keeps_space)])

    @cached_property
    def _encode_run(self) -> Callable[[str], NDArray[np.int32]]:
        """SentencePiece's own way to an array, where it has one: a list takes half as long again."""
        to_array = getattr(self._processor, "encode_as_numpy", None)
        if to_array is not None:
            return lambda text: np.asarray(to_array(text), dtype=np.int32)
        return lambda text: np.array(self._processor.encode(text), dtype=np.int32)

    @cached_property
    def _cuts_at_spaces(self) -> bool:
        """Whether a text can be encoded in runs, cut where a space stands between two letters, with the same ids.

        In a BPE model that has no piece with a space after its first character, nothing is ever joined across that
        place. (A unigram model adds up floats along the whole text, so there near-ties could come out otherwise.)
        SentencePiece takes 42 bytes of memory for a byte of text, and in long texts more and more time.
        """
        if not self._is_bpe or self._processor.piece_to_id(_WORD_SIGN) == self._processor.unk_id():
            return False
        if self._processor.normalize("b") != _WORD_SIGN + "b" and not self._keeps_space:
            return False
        pieces = (str(self._processor.id_to_piece(number)) for number in range(self.size))
        return not any(_WORD_SIGN in piece.lstrip(_WORD_SIGN) for piece in pieces)

    @cached_property
    def _keeps_space(self) -> bool:
        """Whether a text that begins with a space is taken as it is: the model puts none before a text itself."""
        return (self._processor.normalize("b"), self._processor.normalize(" b")) == ("b", _WORD_SIGN + "b")

    @cached_property
    def _is_bpe(self) -> bool:
        """Whether the model's TrainerSpec (field 2) has the model type (field 3) 2."""
        types = [
            value[0]
            for number, _, spec in fields(memoryview(self.model_bytes))
            if number == 2
            for inner, _, value in fields(spec)
            if inner == 3
        ]
        return types[-1:] == [2]

    @cached_property
    def _word_sign_bytes(self) -> list[int] | None:
        """Ids of the byte pieces of U+2581, or None where the model has no byte pieces."""
        return self._byte_pieces(_WORD_SIGN)

    def _byte_pieces(self, character: str) -> list[int] | None:
        ids = [int(self._processor.piece_to_id(f"<0x{byte:02X}>")) for byte in character.encode()]
        return ids if all(self._processor.is_byte(piece) for piece in ids) else None

    def _encode_with_word_signs(self, text: str, word_sign: list[int]) -> NDArray[np.int32]:
        """Encode a text that holds U+2581 itself, which SentencePiece would give back as a space.

        A private-use character that neither the text nor the model knows stands in for it: that character becomes
        three byte pieces, which then take the bytes of U+2581.
        """
        used = set(text)
        private = (character for character in map(chr, range(0xE000, 0xF900)) if character not in used)
        unknown = self._processor.unk_id()
        stand_in = next((character for character in private if self._processor.piece_to_id(character) == unknown), None)
        if stand_in is None:
            raise EpisodeError("the text holds U+2581 and every private-use character there is: leave it out")
        ids = self._ids(text.replace(_WORD_SIGN, stand_in)).copy()
        windows = np.lib.stride_tricks.sliding_window_view(ids, 3)
        starts = np.flatnonzero((windows == self._byte_pieces(stand_in)).all(axis=1))
        ids[starts[:, None] + np.arange(3)] = word_sign
        return ids

    def decode(self, ids: Sequence[int] | NDArray[np.integer]) -> str:
        """The text of ids; begin and end of sentence leave no trace, bytes that are not UTF-8 become U+FFFD.

        Raises:
            FormatError: an id is not in [0, size).
        """
        pieces = np.asarray(ids, dtype=np.int64)
        outside = pieces[(pieces < 0) | (pieces >= self.size)]
        if outside.size:
            raise self._no_such_piece(int(outside[0]))
        return str(self._processor.decode(pieces.tolist()))

    def piece(self, id: int) -> str:
        """The piece behind an id as the model spells it: U+2581 for a space, `<0x0A>` for a byte.

        Raises:
            FormatError: the id is not in [0, size).
        """
        if not 0 <= id < self.size:
            raise self._no_such_piece(id)
        return str(self._processor.id_to_piece(int(id)))

    def _no_such_piece(self, id: int) -> FormatError:
        return FormatError(f"token id {id} is not a text token of this model: its ids are 0 to {self.size - 1}")


def _runs(text: str, keeps_space: bool) -> Iterator[str]:
    """Cut a long text before single spaces between ASCII letters; the space itself goes unless it is kept."""
    start = 0
    while match := _SEAM.search(text, start + _RUN):
        yield text[start : match.start()]
        start = match.start() + (0 if keeps_space else 1)
    yield text[start:]


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
