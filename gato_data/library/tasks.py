"""A task: what its values are as tokens, and its tokens as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gato_data import detokenize
from gato_data.errors import EpisodeError
from gato_data.tokenize import TokenizeSettings, ordered, tokenize_episode
from gato_data.tokenizers.text import TextTokenizer
from gato_data.vocabulary import Vocabulary
from gato_schemas.dataset import TEXT_MODEL, Manifest, TaskInfo
from gato_schemas.episode import Episode, EpisodeSpec
from gato_schemas.sequence import Modality, TokenSequence

Values: TypeAlias = dict[str, dict[str, Any]]
"""{"observations": {field: T values}, "actions": {field: T values}}."""


@dataclass(frozen=True, slots=True)
class Task:
    """One task of a dataset; made by `Dataset.tasks`.

    Attributes:
        name: of the task.
        info: its fields in token order, and how much of it there is.
    """

    name: str
    info: TaskInfo
    _folder: Path = field(repr=False)
    _manifest: Manifest = field(repr=False)

    @property
    def dataset(self) -> str:
        """Name of its dataset."""
        return self._manifest.name

    @property
    def spec(self) -> EpisodeSpec:
        """Its fields."""
        return EpisodeSpec(observations=tuple(self.info.observations), actions=tuple(self.info.actions))

    @property
    def vocabulary(self) -> Vocabulary:
        """The table of ids."""
        return Vocabulary.from_info(self._manifest.vocabulary)

    @property
    def settings(self) -> TokenizeSettings:
        """How its values became tokens."""
        return TokenizeSettings(**self._manifest.tokenization)

    @property
    def text_model(self) -> TextTokenizer | None:
        """The dataset's text model; None where it has none.

        Raises:
            FormatError: it is damaged.
        """
        path = self._folder / TEXT_MODEL
        return TextTokenizer.load(path) if path.is_file() else None

    def __repr__(self) -> str:
        fields = [f"{each.name} ({each.modality})" for each in (*self.info.observations, *self.info.actions)]
        return f"<gato_data.Task {self.name}: {', '.join(fields) or 'documents'}>"


def encode(episode: Episode | Mapping[str, Mapping[str, Any]], task: Task) -> TokenSequence:
    """The tokens of an episode: what ingest writes of it.

    Args:
        episode: or {"observations": {field: T values}, "actions": {field: T values}}, with images
            of the task's size, uint8 (T, H, W, 3).
        task: of `Dataset.tasks`.

    Raises:
        EpisodeError: a field is missing, has another shape, or a value that has no token.
    """
    if not isinstance(episode, Episode | Mapping):
        raise EpisodeError(
            f"values are encoded, of an Episode or a dictionary; got {type(episode).__name__}: that of a dataset has "
            "them as .observations and .actions"
        )
    if not isinstance(episode, Episode):
        unknown = sorted(set(episode) - {"observations", "actions", "reward"})
        if unknown:
            raise EpisodeError(f"an episode has observations, actions and reward; got {unknown[0]!r}")
        episode = Episode(
            task=task.name,
            agent="",
            observations=dict(episode.get("observations", {})),
            actions=dict(episode.get("actions", {})),
            reward=episode.get("reward"),  # type: ignore[arg-type]
        )
    return tokenize_episode(episode, task.spec, task.vocabulary, task.settings, task.text_model)


def decode(sequence: TokenSequence, task: Task) -> Values:
    """The values of an episode's tokens: bin centres for numbers, fitted pixels for images.

    A text is given back where it is the task's only one: tokens do not say where one ends.

    Raises:
        EpisodeError: they are not tokens of this task.
    """
    if not isinstance(sequence, TokenSequence):
        raise EpisodeError(
            f"ids alone do not say where a value begins: give a TokenSequence, such as episode.sequence, not a "
            f"{type(sequence).__name__}"
        )
    observations: dict[str, Any] = dict(detokenize.tensors(sequence, task.spec, task.vocabulary, task.settings))
    observations |= _images(sequence, task) | _texts(sequence, task)
    return {"observations": observations, "actions": detokenize.actions(sequence, task.spec, task.vocabulary)}


def _images(sequence: TokenSequence, task: Task) -> dict[str, NDArray[np.uint8]]:
    fields = [each for each in ordered(task.info.observations) if each.modality == "image"]
    if not fields:
        return {}
    found = detokenize.frames(sequence)
    return {each.name: np.stack(found[number :: len(fields)]) for number, each in enumerate(fields)}


def _texts(sequence: TokenSequence, task: Task) -> dict[str, list[str]]:
    fields = [each for each in task.info.observations if each.modality == "text"]
    model = task.text_model
    if len(fields) != 1 or model is None:
        return {}
    is_text = sequence.modality == Modality.TEXT
    ends = [*sequence.timestep_starts[1:].tolist(), sequence.num_tokens]
    spans = zip(sequence.timestep_starts.tolist(), ends, strict=True)
    return {fields[0].name: [model.decode(sequence.tokens[a:b][is_text[a:b]]) for a, b in spans]}
