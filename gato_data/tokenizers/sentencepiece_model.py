"""Models of SentencePiece: the packaged one, and those of other people's kinds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError
from gato_data.tokenizers.text import TextTokenizer
from gato_schemas.wire_lists import fields

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

_WORD_SIGN = "\u2581"
"""What SentencePiece writes for a space inside a piece."""
_RUN = 1 << 15
"""Characters of a run that is encoded by itself."""
_SEAM = re.compile(r"(?<=[A-Za-z]) (?=[A-Za-z])")


@dataclass(frozen=True)
class SentencePieceTokenizer(TextTokenizer):
    """A `.model` file of SentencePiece."""

    refusal: ClassVar[str] = "is neither a SentencePiece model nor a tokenizer.json of Hugging Face"
    library: ClassVar[str] = "sentencepiece"

    def trouble(self) -> str | None:
        """Why the bytes are no model; None where they are one."""
        try:
            return None if self.size > 0 else "it has no pieces"
        except (RuntimeError, ValueError):
            is_list = self.model_bytes.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["
            return "it begins as a JSON list, a tokenizer.json is an object" if is_list else "it cannot be parsed"

    @cached_property
    def _processor(self) -> SentencePieceProcessor:
        from sentencepiece import SentencePieceProcessor

        return SentencePieceProcessor(model_proto=self.model_bytes)

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

    def _ids_of(self, text: str) -> NDArray[np.int32]:
        if _WORD_SIGN in text and self._word_sign_bytes is not None:
            return self._encode_with_word_signs(text, self._word_sign_bytes)
        return self._ids(text)

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

    def _text_of(self, ids: list[int]) -> str:
        return str(self._processor.decode(ids))

    def _spelled(self, id: int) -> str:
        return str(self._processor.id_to_piece(id))

    def id_of(self, piece: str) -> int | None:
        """The id of a piece, None where the model has no such piece."""
        found = int(self._processor.piece_to_id(piece))
        return found if str(self._processor.id_to_piece(found)) == piece else None


def _runs(text: str, keeps_space: bool) -> Iterator[str]:
    """Cut a long text before single spaces between ASCII letters; the space itself goes unless it is kept."""
    start = 0
    while match := _SEAM.search(text, start + _RUN):
        yield text[start : match.start()]
        start = match.start() + (0 if keeps_space else 1)
    yield text[start:]
