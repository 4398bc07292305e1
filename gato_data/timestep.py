"""One timestep while it happens: a live observation to the tokens that ingest makes of it, and actions from ids.

observe   raw values by field name   -> tokens of the observation and its separator
encode    the action that was done   -> its ids, to be fed back
decode    ids                        -> values of the field's dtype and shape, inside its range
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.closest import closest
from gato_data.detokenize import decode_ids, id_range
from gato_data.errors import EpisodeError, SettingError
from gato_data.raw_values import RawImages, given, raw_numbers, raw_text
from gato_data.tokenize import TextModel, TokenizeSettings, acted, observed, ordered
from gato_data.tokenizers import episode_images
from gato_data.tokenizers.columns import interleave
from gato_data.vocabulary import DISCRETE_VALUES, Vocabulary
from gato_schemas.dataset import TaskInfo
from gato_schemas.episode import Field


@dataclass(frozen=True, slots=True, eq=False)
class Timestep:
    """N tokens of one observation with its separator, and its P patches; no action.

    Attributes:
        tokens: of the vocabulary's dtype (N,), ids; the filler id where `modality` is PATCH.
        position: uint16 (N,), index among the observation tokens; the reserved code of the separator.
        modality: uint8 (N,), a `Modality`.
        patches: uint8 (P, 16, 16, 3), RGB pixels in token order.
        patch_position: uint8 (P, 4), row low, row high, column low, column high, in 1/128 of the image.
    """

    tokens: NDArray[Any]
    position: NDArray[np.uint16]
    modality: NDArray[np.uint8]
    patches: NDArray[np.uint8]
    patch_position: NDArray[np.uint8]


class Observer:
    """The tokens of live timesteps of one task, by the code that makes those of datasets.

    Args:
        task: its fields, and what ingest knew of their raw values.
        vocabulary: of the dataset.
        settings: of the dataset.
        text_model: needed where a field is text.
        name: of the task, in errors.

    Raises:
        SettingError: there is nothing to observe or to do, or its fields cannot be made tokens.
    """

    def __init__(
        self,
        task: TaskInfo,
        vocabulary: Vocabulary,
        settings: TokenizeSettings,
        text_model: TextModel | None = None,
        *,
        name: str = "",
    ) -> None:
        self._of = f" of task {name}" if name else ""
        self._vocabulary, self._settings, self._text_model = vocabulary, settings, text_model
        self._values = task.action_values
        self.observations: tuple[Field, ...] = tuple(ordered(task.observations))
        """In token order."""
        self.actions: tuple[Field, ...] = tuple(task.actions)
        """In token order."""
        if not self.observations or not self.actions:
            raise SettingError(f"there is nothing to observe or nothing to do{self._of}: it has no timesteps to play")
        self._check()
        images = [field for field in self.observations if field.modality == "image"]
        self._images = {
            field.name: RawImages(field, task.images.get(field.name), self._seen(field)) for field in images
        }
        self._sizes = [episode_images.size_of(field) for field in images]

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """How many tokens the values of each action field have."""
        return tuple(field.num_tokens for field in self.actions)

    @cached_property
    def allowed(self) -> NDArray[np.int64]:
        """First id and one past the last id that each of the A action tokens may take, int64 (A, 2)."""
        rows = [self._ids_of(field) for field in self.actions]
        return np.repeat(np.array(rows, np.int64), self.widths, axis=0)

    def observe(self, observation: Mapping[str, Any]) -> Timestep:
        """The tokens of what is seen now.

        Args:
            observation: raw values by field name: numbers, a text (str), or an image: uint8 (height, width, channels)
                in RGB or (height, width) in gray, or encoded as PNG or JPEG. Other names are ignored.

        Raises:
            EpisodeError: a field is missing, or its value is not what the dataset holds.
        """
        values = {field.name: self._raw(observation, field) for field in self.observations}
        columns = observed(values, self.observations, 1, self._vocabulary, self._settings, self._text_model)
        laid = interleave(columns, 1, self._vocabulary.token_dtype)
        pixels = [values[name] for name in self._images]
        return Timestep(
            tokens=laid.tokens,
            position=laid.position,
            modality=laid.modality,
            patches=episode_images.patches(pixels, self._sizes, 1),
            patch_position=episode_images.grids(self._sizes, 1)[0],
        )

    def encode(self, action: Mapping[str, Any]) -> NDArray[Any]:
        """The ids (A,) of an action, of the vocabulary's dtype; its values by field name.

        Raises:
            EpisodeError: a field is missing, or its value cannot be an action.
        """
        found = []
        for field in self.actions:
            value = self._named(action, field, "action", self.actions)
            count = self._values.get(field.name, DISCRETE_VALUES)
            raw = raw_numbers(value, field, self._label("action", field), count)[None]
            found.append(np.asarray(acted(raw, field, self._vocabulary).ids))
        return np.concatenate(found).astype(self._vocabulary.token_dtype)

    def decode(self, ids: NDArray[np.integer]) -> dict[str, NDArray[Any]]:
        """The action of A ids: by field a value of its shape and dtype; continuous values are centres of bins.

        Raises:
            EpisodeError: there are more or fewer ids, or one is not `allowed`.
        """
        ids = np.asarray(ids)
        if ids.shape != (len(self.allowed),) or ids.dtype.kind not in "iu":
            raise EpisodeError(
                f"an action{self._of} is {ids.dtype} of shape {ids.shape}: {len(self.allowed)} ids are wanted"
            )
        outside = (ids < self.allowed[:, 0]) | (ids >= self.allowed[:, 1])
        if outside.any():
            at = int(outside.argmax())
            first, end = self.allowed[at].tolist()
            raise EpisodeError(f"action token {at}{self._of} is id {ids[at]}: one in [{first}, {end}) is wanted")
        found: dict[str, NDArray[Any]] = {}
        at = 0
        for field, width in zip(self.actions, self.widths, strict=True):
            found[field.name] = given(decode_ids(ids[at : at + width][None], field, self._vocabulary)[0], field)
            at += width
        return found

    def _check(self) -> None:
        for field in self.actions:
            if field.modality not in ("discrete", "continuous"):
                raise SettingError(f"{self._label('action', field)} is {field.modality}: numbers are wanted")
        tokens, limit = sum(field.num_tokens for field in self.observations), self._settings.max_observation_tokens
        if tokens > limit:
            raise SettingError(f"a timestep{self._of} has {tokens} observation tokens, its dataset at most {limit}")
        if any(field.modality == "text" for field in self.observations) and self._text_model is None:
            raise SettingError(f"a text is observed{self._of}: a text model is wanted")

    def _ids_of(self, field: Field) -> tuple[int, int]:
        first, end = id_range(field, self._vocabulary)
        if field.modality == "discrete":
            end = min(end, first + self._values.get(field.name, DISCRETE_VALUES))
        return first, end

    def _label(self, role: str, field: Field) -> str:
        return f"{role} {field.name}{self._of}"

    def _seen(self, field: Field) -> str:
        return self._label("observation", field)

    def _raw(self, observation: Mapping[str, Any], field: Field) -> Any:
        """A raw value as the tokenizer takes it, of one timestep."""
        value = self._named(observation, field, "observation", self.observations)
        if field.modality == "image":
            return self._images[field.name].fitted(value)
        if field.modality == "text":
            return [raw_text(value, self._seen(field))]
        return raw_numbers(value, field, self._seen(field))[None]

    def _named(self, values: Mapping[str, Any], field: Field, role: str, fields: Sequence[Field]) -> Any:
        try:
            return values[field.name]
        except KeyError:
            known = {each.name for each in fields}
            like = closest(field.name, [name for name in values if name not in known])
            hint = f" (is {like!r} meant?)" if like else ""
            there = ", ".join(map(repr, values)) or "none"
            raise EpisodeError(f"{self._label(role, field)} is missing: there is {there}{hint}") from None
