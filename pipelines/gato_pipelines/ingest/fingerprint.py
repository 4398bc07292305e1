"""All that decides the bytes of the shards apart from the input, and its hash: the fingerprint."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from gato_data.tokenizers.text import TextTokenizer
from gato_data.vocabulary import DiscreteIds, Vocabulary
from gato_pipelines.containers.video import decoder_versions
from gato_pipelines.ingest.chosen_source import ChosenSource
from gato_pipelines.ingest.planning import deciding
from gato_pipelines.ingest.settings import IngestSettings
from gato_pipelines.source import Plan, Source, recorded_settings
from gato_schemas.dataset import FORMAT_VERSION
from gato_schemas.index import INDEX_VERSION


@dataclass(frozen=True)
class Recipe:
    """What decides the bytes of a dataset.

    Attributes:
        values: by name, as JSON has them.
        fingerprint: their hash.
        vocabulary: of the tokens.
        text_model: serialized; None where no text is tokenized.
    """

    values: dict[str, Any]
    fingerprint: str
    vocabulary: Vocabulary
    text_model: bytes | None

    @property
    def libraries(self) -> dict[str, str]:
        """Versions of the libraries that decide bytes."""
        found: dict[str, str] = self.values["libraries"]
        return found

    @cached_property
    def text(self) -> TextTokenizer | None:
        """The text model, loaded once per process."""
        return None if self.text_model is None else TextTokenizer(self.text_model)


def make_recipe(source: ChosenSource, plan: Plan, settings: IngestSettings) -> Recipe:
    """Gather what decides the bytes of a dataset.

    Raises:
        InputError, FormatError: the text model cannot be read, or is none.
    """
    vocabulary, model = _vocabulary(plan, settings.text_model, settings.discrete_ids)
    values = {
        "format": [FORMAT_VERSION, INDEX_VERSION],
        "source": source.name,
        "settings": recorded_settings(source.made),
        "tasks": {name: deciding(task) for name, task in plan.tasks.items()},
        "agents": plan.agents,
        "shards": len(plan.parts),
        "vocabulary": vocabulary.info,
        **settings.deciding(),
        "libraries": libraries_of(source.made, has_text=model is not None, has_video=plan.decodes_video),
    }
    encoded = msgspec.json.encode(values, order="deterministic")
    fingerprint = hashlib.sha256(encoded).hexdigest()[:32]
    decoded = msgspec.json.decode(encoded, type=dict[str, Any])
    return Recipe(decoded, fingerprint, vocabulary, model)


def _vocabulary(plan: Plan, text_model: Path | None, discrete_ids: DiscreteIds) -> tuple[Vocabulary, bytes | None]:
    """The vocabulary, and the serialized text model where any text will be tokenized."""
    model = TextTokenizer.load(text_model) if text_model else TextTokenizer.default()
    fields = [field for task in plan.tasks.values() for field in task.observations]
    has_text = any(field.modality == "text" for field in fields) or not fields
    digest = model.sha256 if has_text else None
    vocabulary = Vocabulary(model.size, discrete_ids, digest)
    return vocabulary, model.model_bytes if has_text else None


def libraries_of(source: Source, *, has_text: bool, has_video: bool) -> dict[str, str]:
    """Versions of the libraries of this process that decide bytes."""
    found = {"deflate": version("deflate"), **source.libraries()}
    if has_text:
        found["sentencepiece"] = version("sentencepiece")
    if has_video:
        found |= decoder_versions()
    return dict(sorted(found.items()))
