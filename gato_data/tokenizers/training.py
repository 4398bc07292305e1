"""How text models are trained: the packaged one, and a user's own on other texts."""

from collections.abc import Iterator
from typing import Any

REQUIRED_CHARACTERS = (
    "".join(map(chr, range(0xA1, 0x100))) + "\u2013\u2014\u2018\u2019\u201c\u201d\u2026\u2022\u20ac\u2122\u2192"
)
"""Latin-1 letters, dashes, quotes and the like: a piece each however rare they are in the text."""

SETTINGS: dict[str, Any] = {
    "model_type": "bpe",  # whole numbers only, so bytes do not depend on the processor
    "vocab_size": 32_000,  # spec: the paper's section 2.1
    "unk_id": 0,
    "bos_id": 1,
    "eos_id": 2,
    "pad_id": -1,
    "byte_fallback": True,
    "split_digits": True,
    "normalization_rule_name": "identity",  # text comes back as it was, white space too
    "remove_extra_whitespaces": False,
    "allow_whitespace_only_pieces": True,  # indentation of code
    "add_dummy_prefix": True,  # the first word of a caption gets the id it has inside a sentence
    "character_coverage": 0.99995,
    "required_chars": REQUIRED_CHARACTERS,
    "max_sentence_length": 1 << 24,
    "input_sentence_size": 0,
    "shuffle_input_sentence": False,
    "num_threads": 1,
    "minloglevel": 1,
}
"""Options of SentencePiece's trainer."""


def sentences(text: str, lines: int) -> Iterator[str]:
    """Cut a text into training sentences of that many lines; empty ones are left out."""
    rows = text.split("\n")
    for start in range(0, len(rows), lines):
        sentence = "\n".join(rows[start : start + lines])
        if sentence.strip():
            yield sentence
