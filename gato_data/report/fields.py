"""What every token of a timestep stands for: the field it belongs to and which element of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gato_data.tokenize import ordered
from gato_schemas.dataset import TaskInfo
from gato_schemas.episode import Field
from gato_schemas.sequence import POSITION_ACTION, Modality, TokenSequence


@dataclass(frozen=True, slots=True)
class Slot:
    """One place of a timestep.

    Attributes:
        name: `observation/state[3]`, `action/arm[0]`, `action`, `separator`; see `full_name`.
        field: None where the token belongs to none, or where it is not known.
        is_action: whether it belongs to an action.
    """

    name: str
    field: Field | None = None
    is_action: bool = False


SEPARATOR = Slot("separator")


def full_name(role: str, field: str) -> str:
    """How a field is called: "observation/state", or "observation" where the observation is that one value."""
    return role if field == role else f"{role}/{field}"


def slots(sequence: TokenSequence, task: TaskInfo | None, timestep: int) -> list[Slot]:
    """The slot of every token of a timestep, in token order.

    Without a task the names are "observation" and "action" alone. Several text fields cannot be told apart in the
    tokens, so their pieces carry all their names.
    """
    start, stop = sequence.timestep_range(timestep)
    modality = sequence.modality[start:stop]
    is_action = sequence.position[start:stop] == POSITION_ACTION
    queues = _Queues(task)
    return [queues.next(Modality(kind), bool(action)) for kind, action in zip(modality, is_action, strict=True)]


class _Queues:
    """The elements that are still to come, by what their tokens look like."""

    def __init__(self, task: TaskInfo | None) -> None:
        observations = ordered(task.observations) if task else []
        texts = [field for field in observations if field.modality == "text"]
        name = "|".join(field.name for field in texts)
        self._text = Slot(full_name("observation", name), texts[0]) if texts else Slot("observation")
        tensors = [field for field in observations if field.modality in ("discrete", "continuous")]
        self._tensors = elements("observation", tensors)
        self._actions = elements("action", task.actions if task else [], is_action=True)
        self._images = iter([field for field in observations if field.modality == "image"])
        self._image: Slot = Slot("observation")
        self._left = 0

    def next(self, modality: Modality, is_action: bool) -> Slot:
        if modality is Modality.SEPARATOR:
            return SEPARATOR
        if is_action:
            return next(self._actions, Slot("action", is_action=True))
        if modality is Modality.TEXT:
            return self._text
        if modality is Modality.PATCH:
            return self._patch()
        return next(self._tensors, Slot("observation"))

    def _patch(self) -> Slot:
        if not self._left:
            field = next(self._images, None)
            self._image = Slot(full_name("observation", field.name), field) if field else Slot("observation")
            self._left = (field.shape[0] // 16) * (field.shape[1] // 16) if field and len(field.shape) == 3 else 1
        self._left = max(self._left - 1, 0)
        return self._image


def elements(role: str, fields: Sequence[Field], *, is_action: bool = False) -> Iterator[Slot]:
    """A slot for every element of discrete and continuous fields, in token order."""
    for field in fields:
        for number, place in enumerate(np.ndindex(*field.shape)):
            element = f"[{','.join(map(str, place))}]" if place else ""
            yield Slot(full_name(role, field.name) + element, field.of_element(number), is_action)
