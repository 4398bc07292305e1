"""All that decides the bytes of the shards apart from the input, and its hash: the fingerprint."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

import msgspec

from gato_data.errors import SettingError
from gato_data.tokenize import end_id
from gato_data.tokenizers.text import TextTokenizer
from gato_data.vocabulary import Vocabulary
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
        return None if self.text_model is None else TextTokenizer.of(self.text_model)


def make_recipe(source: ChosenSource, plan: Plan, settings: IngestSettings) -> Recipe:
    """Gather what decides the bytes of a dataset.

    Raises:
        SettingError, FormatError: the text model cannot be read, is none, or has no such end of a text.
        MissingPackageError: the package that reads it is not installed.
    """
    vocabulary, model = _vocabulary(plan, settings)
    values = {
        "format": [FORMAT_VERSION, INDEX_VERSION],
        "source": source.name,
        "settings": recorded_settings(source.made),
        "tasks": {name: deciding(task) for name, task in plan.tasks.items()},
        "agents": plan.agents,
        "shards": len(plan.parts),
        "vocabulary": vocabulary.info,
        **settings.deciding(),
        "libraries": libraries_of(source.made, model=model, has_video=plan.decodes_video),
    }
    encoded = msgspec.json.encode(values, order="deterministic")
    fingerprint = hashlib.sha256(encoded).hexdigest()[:32]
    decoded = msgspec.json.decode(encoded, type=dict[str, Any])
    return Recipe(decoded, fingerprint, vocabulary, None if model is None else model.model_bytes)


def _vocabulary(plan: Plan, settings: IngestSettings) -> tuple[Vocabulary, TextTokenizer | None]:
    """The vocabulary, and the text model where any text will be tokenized."""
    model = TextTokenizer.load(settings.text_model) if settings.text_model else TextTokenizer.default()
    fields = [field for task in plan.tasks.values() for field in task.observations]
    has_text = any(field.modality == "text" for field in fields) or not fields
    needs_end = not fields and settings.tokenize.end_of_text_documents and model.library == "tokenizers"
    if end_id(model, settings.tokenize) is None and needs_end:
        raise SettingError(
            "the tokenizer.json has no special token that is known to end a text: name one with --end-token, or leave "
            "ends out with --no-end-of-text"
        )
    digest = model.sha256 if has_text else None
    vocabulary = Vocabulary(model.size, settings.discrete_ids, digest)
    return vocabulary, model if has_text else None


def libraries_of(source: Source, *, model: TextTokenizer | None, has_video: bool) -> dict[str, str]:
    """Versions of the libraries of this process that decide bytes."""
    found = {"deflate": version("deflate"), **source.libraries()}
    if model is not None:
        found[model.library] = version(model.library)
    if has_video:
        found |= decoder_versions()
    return dict(sorted(found.items()))
