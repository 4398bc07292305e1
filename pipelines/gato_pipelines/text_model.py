"""Text models of one's own: training a SentencePiece model."""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from gato_data.errors import InputError, OutputError, SettingError
from gato_data.files import write_durably
from gato_data.tokenizers.text import TextTokenizer
from gato_data.tokenizers.training import SETTINGS, sentences
from gato_pipelines.ingest.inputs import find_inputs
from gato_pipelines.sources.massivetext import Source

ModelType: TypeAlias = Literal["bpe", "unigram"]
LINES_OF_SENTENCE = 50
"""Lines that are trained on together, so that line breaks are learned."""
_TOO_LARGE = re.compile(r"too high \(\d+\)\. Please set it to a value <= (\d+)")
_TOO_SMALL = re.compile(r"smaller than required_chars\. \d+ vs (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """What a text model is trained on.

    Attributes:
        inputs: files or folders, as `gato-data ingest massivetext` takes them.
        text_key: field or column of the text.
        separator: what stands between documents in .txt files.
        characters: at most so many, an equal share from the beginning of each part of the input.
    """

    inputs: Sequence[Path]
    text_key: str = "text"
    separator: str = ""
    characters: int = 100_000_000

    def texts(self) -> Iterator[str]:
        """The texts, in the order of the inputs; what cannot be read is passed over.

        Raises:
            InputError: an input is missing, or holds no text file.
        """
        source = Source(text_key=self.text_key, separator=self.separator)
        folders = find_inputs(source, self.inputs).values()
        parts = [(folder, part) for folder in folders for part in source.parts(folder)]
        share = -(-self.characters // max(len(parts), 1))
        for folder, part in parts:
            left = share
            for record in source.texts(folder, part):
                if record.text is not None:
                    yield record.text[:left]
                    left -= len(record.text)
                if left <= 0:
                    break


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A text model that was trained, and on how much."""

    tokenizer: TextTokenizer
    documents: int
    characters: int


def train_text_model(corpus: Corpus, size: int, kind: ModelType = "bpe") -> Trained:
    """Train a model with the settings of the packaged one: nothing is normalised, and bytes stand in for the rest.

    The same texts and settings give the same bytes with the same version of sentencepiece.

    Raises:
        InputError: there is no text.
        SettingError: the texts do not permit so large a model, or so small a one.
    """
    import sentencepiece

    counted = _Counted()
    model = io.BytesIO()
    settings = {**SETTINGS, "vocab_size": size, "model_type": kind, "minloglevel": 2}
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=counted.sentences(corpus), model_writer=model, **settings
        )
    except RuntimeError as error:
        raise _refusal(error, size, counted) from error
    return Trained(
        tokenizer=TextTokenizer.of(model.getvalue()), documents=counted.documents, characters=counted.characters
    )


class _Counted:
    """Counts what goes by on its way to the trainer."""

    def __init__(self) -> None:
        self.documents = self.characters = 0

    def sentences(self, corpus: Corpus) -> Iterator[str]:
        for text in corpus.texts():
            self.documents += 1
            self.characters += len(text)
            yield from sentences(text, LINES_OF_SENTENCE)


def _refusal(error: RuntimeError, size: int, counted: _Counted) -> InputError | SettingError:
    """What SentencePiece's assertion means."""
    if not counted.characters:
        return InputError("the input has no text: nothing was written")
    of = f"{counted.characters:,} characters of text"
    if match := _TOO_LARGE.search(str(error)):
        return SettingError(f"{of} permit at most {match[1]} pieces, not {size}: give --size {match[1]}, or more text")
    if match := _TOO_SMALL.search(str(error)):
        return SettingError(
            f"{size} pieces are too few, bytes and characters alone are {match[1]}: give a larger --size"
        )
    return SettingError(f"SentencePiece could not train on {of} ({error})")


def save_text_model(tokenizer: TextTokenizer, out: Path, *, overwrite: bool) -> None:
    """Write a model file.

    Raises:
        OutputError: the file is there already, or cannot be written.
    """
    check_out(out, overwrite=overwrite)
    try:
        write_durably(out, tokenizer.model_bytes)
    except OSError as error:
        raise OutputError(f"{out} cannot be written ({error.strerror}): choose another --out") from error


def check_out(out: Path, *, overwrite: bool) -> None:
    """Check before the training that the model can be saved.

    Raises:
        OutputError: the file is there already, or its folder is not.
    """
    if out.exists() and not overwrite:
        raise OutputError(f"{out} exists already: choose another --out, or --overwrite to replace it")
    if out.is_dir() or not out.parent.is_dir():
        raise OutputError(f"{out} cannot be a file: choose another --out")
