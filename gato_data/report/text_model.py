"""What a text model is like, and the table of ids that datasets made with it have."""

from pathlib import Path
from typing import Any

import msgspec

from gato_data.errors import InputError
from gato_data.tokenizers.text import TextTokenizer
from gato_data.tokenizers.tokenizer_json import HuggingFaceTokenizer
from gato_data.vocabulary import DISCRETE_VALUES, DiscreteIds, Vocabulary
from gato_schemas.dataset import TEXT_MODEL, read_manifest
from gato_schemas.sequence import Modality
from gato_schemas.wire_lists import fields

_TYPES = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}


class TextModelSummary(msgspec.Struct, frozen=True, kw_only=True, rename={"kind": "type"}):
    """A text model.

    Attributes:
        model: where it is, or "packaged".
        format: "SentencePiece" or "tokenizer.json".
        sha256: of the file, in hexadecimal; equal digests give equal ids.
        size: number of ids.
        kind: "bpe", "unigram" and the like.
        bytes: pieces that stand for one byte: 256, or 0.
        normalization: name of the rule that texts go through first; "identity" changes nothing.
        special: ids of the unknown, begin, end and padding pieces, where there are any and the file says it.
        control: how many special tokens or control pieces there are, which no text becomes.
        ranges: first and last id of each modality in the datasets made with it.
    """

    model: str
    format: str
    sha256: str
    size: int
    kind: str
    bytes: int
    normalization: str
    special: dict[str, int]
    control: int
    ranges: dict[str, tuple[int, int]]


def open_text_model(path: Path | None) -> TextTokenizer:
    """The text model in a file or in a dataset's folder; None is the packaged one.

    Raises:
        InputError: the dataset has no text.
        SettingError: the file is missing or cannot be read, or the folder is one of a model.
        FormatError: it is no text model, or the folder no dataset.
    """
    if path is None:
        return TextTokenizer.default()
    if not path.is_dir():
        return TextTokenizer.load(path)
    if not (path / TEXT_MODEL).exists() and (path / "tokenizer.json").is_file():
        return TextTokenizer.load(path)  # says what to give instead
    if not (path / TEXT_MODEL).exists() and read_manifest(path).vocabulary.text_model is None:
        raise InputError(f"{path} has no text, so it keeps no text model: leave MODEL out to see the packaged one")
    return TextTokenizer.load(path / TEXT_MODEL)


def summarize_text_model(path: Path | None, tokenizer: TextTokenizer) -> TextModelSummary:
    """What a model is like that was opened from `path`."""
    return TextModelSummary(
        model=str(path) if path else "packaged",
        sha256=tokenizer.sha256,
        size=tokenizer.size,
        ranges=_ranges(Vocabulary(tokenizer.size, _discrete_ids(tokenizer.size), tokenizer.sha256)),
        **_told(tokenizer),
    )


def _told(tokenizer: TextTokenizer) -> dict[str, Any]:
    """What its file says."""
    if isinstance(tokenizer, HuggingFaceTokenizer):
        return _of_tokenizer_json(tokenizer)
    return _of_sentencepiece(tokenizer)


def _of_tokenizer_json(tokenizer: HuggingFaceTokenizer) -> dict[str, Any]:
    special = {"unknown": tokenizer.unknown_id, "end": tokenizer.eos_id}
    return {
        "format": "tokenizer.json",
        "kind": tokenizer.file.model.type.lower(),
        "bytes": len(tokenizer.byte_tokens),
        "normalization": ", ".join(tokenizer.file.normalizers) or "none",
        "special": {name: number for name, number in special.items() if number is not None},
        "control": len(tokenizer.special),
    }


def _of_sentencepiece(tokenizer: TextTokenizer) -> dict[str, Any]:
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor(model_proto=tokenizer.model_bytes)
    special = {"unknown": processor.unk_id(), "begin": processor.bos_id(), "end": processor.eos_id()}
    special["padding"] = processor.pad_id()
    kind, normalization = _specs(tokenizer.model_bytes)
    return {
        "format": "SentencePiece",
        "kind": kind,
        "bytes": sum(processor.is_byte(number) for number in range(tokenizer.size)),
        "normalization": normalization,
        "special": {name: number for name, number in special.items() if number >= 0},
        "control": sum(processor.is_control(number) for number in range(tokenizer.size)),
    }


def _ranges(vocabulary: Vocabulary) -> dict[str, tuple[int, int]]:
    ranges = {}
    for modality in (Modality.TEXT, Modality.DISCRETE, Modality.CONTINUOUS, Modality.SEPARATOR):
        first, end = vocabulary.id_range(modality)
        ranges[modality.name.lower()] = (first, end - 1)
    return ranges


def _discrete_ids(size: int) -> DiscreteIds:
    """The paper's layout, unless the model is too small to share its ids."""
    return "paper" if size >= DISCRETE_VALUES else "separate"


def _specs(model: bytes) -> tuple[str, str]:
    """Type and normalization rule, out of the model's TrainerSpec (field 2) and NormalizerSpec (field 3)."""
    kind, normalization = "unigram", ""
    for number, _, payload in fields(memoryview(model)):
        for inner, _, value in fields(payload) if number in (2, 3) else ():
            if number == 2 and inner == 3:
                kind = _TYPES.get(value[0], "unknown")
            elif number == 3 and inner == 1:
                normalization = bytes(value).decode(errors="replace")
    return kind, normalization or "none"
