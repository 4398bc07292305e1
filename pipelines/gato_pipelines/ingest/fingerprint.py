"""Everything that decides the bytes of the shards apart from the input itself, and its hash: the fingerprint."""

import hashlib
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from gato_data.tokenize import TokenizeSettings
from gato_data.tokenizers.text import TextTokenizer
from gato_data.vocabulary import DiscreteIds, Vocabulary
from gato_pipelines.ingest.planning import without_reasons
from gato_pipelines.source import Plan, Source, recorded_settings
from gato_schemas.compression import PatchEncoding
from gato_schemas.dataset import FORMAT_VERSION
from gato_schemas.index import INDEX_VERSION


@dataclass(frozen=True, slots=True)
class Decided:
    """What decides the bytes.

    Attributes:
        values: by name, as JSON has them.
        fingerprint: their hash.
    """

    values: dict[str, Any]
    fingerprint: str

    @property
    def libraries(self) -> dict[str, str]:
        """Versions of the libraries that decide bytes."""
        found: dict[str, str] = self.values["libraries"]
        return found


def vocabulary_of(plan: Plan, text_model: Path | None, discrete_ids: DiscreteIds) -> tuple[Vocabulary, bytes | None]:
    """The vocabulary, and the serialized text model where any text will be tokenized.

    Args:
        plan: of the dataset.
        text_model: path of a SentencePiece model; None for the packaged one.
        discrete_ids: layout of the vocabulary.

    Raises:
        InputError, FormatError: the model cannot be read, or is none.
    """
    model = TextTokenizer.load(text_model) if text_model else TextTokenizer.default()
    fields = [field for task in plan.tasks.values() for field in task.observations]
    has_text = any(field.modality == "text" for field in fields) or not fields
    digest = model.sha256 if has_text else None
    vocabulary = Vocabulary(model.size, discrete_ids, digest)
    return vocabulary, model.model_bytes if has_text else None


def decide(
    name: str,
    source: Source,
    plan: Plan,
    vocabulary: Vocabulary,
    tokenize: TokenizeSettings,
    encoding: PatchEncoding,
    holdout: float,
) -> Decided:
    """Gather what decides the bytes of a dataset.

    Args:
        name, source: the source.
        plan, vocabulary, tokenize, encoding, holdout: as a job has them.
    """
    values = {
        "format": [FORMAT_VERSION, INDEX_VERSION],
        "source": name,
        "settings": recorded_settings(source),
        "tasks": {name: without_reasons(task) for name, task in plan.tasks.items()},
        "agents": plan.agents,
        "shards": len(plan.parts),
        "vocabulary": vocabulary.info,
        "tokenize": asdict(tokenize),
        "encoding": asdict(encoding),
        "holdout": holdout,
        "libraries": _libraries(source, has_text=vocabulary.text_model is not None),
    }
    encoded = msgspec.json.encode(values, order="deterministic")
    fingerprint = hashlib.sha256(encoded).hexdigest()[:32]
    return Decided(msgspec.json.decode(encoded, type=dict[str, Any]), fingerprint)


def _libraries(source: Source, *, has_text: bool) -> dict[str, str]:
    found = {"deflate": version("deflate"), **source.libraries()}
    if has_text:
        found["sentencepiece"] = version("sentencepiece")
    return dict(sorted(found.items()))
