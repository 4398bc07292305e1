"""The tasks of a policy: by name, each with what turns its observations into tokens."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from gato_data.closest import closest, listed
from gato_data.errors import FormatError, SettingError
from gato_data.reading.history import ANY, limits
from gato_data.reading.settings import ReadSettings
from gato_data.timestep import Observer
from gato_data.tokenize import TokenizeSettings
from gato_data.tokenizers.text import TextTokenizer
from gato_data.vocabulary import Vocabulary
from gato_schemas.dataset import TaskInfo
from gato_schemas.policy import POLICY, PolicyCard, PolicyDataset

_MOST_CONTEXT = 2**17
"""Tokens of a context: far above any; what lies beyond is damage."""
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class PolicyTask:
    """A task that a policy was trained on.

    Attributes:
        name: the task's, or "dataset/task" where several datasets have one of that name.
        dataset: the dataset's.
        info: its fields, and where and how well it was played.
        task: the name in its dataset.
    """

    name: str
    dataset: str
    info: TaskInfo
    task: str
    carried: PolicyDataset = field(repr=False)

    def observer(self, text_model: TextTokenizer | None) -> Observer:
        """What turns its observations into tokens, and ids into its actions.

        Raises:
            SettingError: a text is observed and the run does not carry the text model.
        """
        vocabulary = Vocabulary.from_info(self.carried.vocabulary)
        return Observer(self.info, vocabulary, tokenization_of(self.carried), text_model, name=self.name)


def tasks_of(card: PolicyCard) -> tuple[PolicyTask, ...]:
    """The tasks of a card that have actions, in its order."""
    found = [(d, task, info) for d in card.datasets for task, info in d.tasks.items() if info.actions]
    times = Counter(task for _, task, _ in found)
    return tuple(
        PolicyTask(task if times[task] == 1 else f"{d.name}/{task}", d.name, info, task, d) for d, task, info in found
    )


def carried(value: Any, kind: type[_Value], what: str) -> _Value:
    """A value of a card that has no type there.

    Raises:
        FormatError: it is not of this type.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise FormatError(f"{what} of the {POLICY} cannot be used ({error})") from error


def tokenization_of(dataset: PolicyDataset) -> TokenizeSettings:
    """How a dataset was tokenized.

    Raises:
        FormatError, SettingError: no dataset is.
    """
    return carried(dataset.tokenization, TokenizeSettings, f"the tokenization of {dataset.name}")


def reading_of(card: PolicyCard) -> ReadSettings:
    """How the windows of a run were read.

    Raises:
        FormatError, SettingError: none can be.
    """
    found = carried(card.reading, ReadSettings, "the reading")
    if found.context_length > _MOST_CONTEXT:
        raise FormatError(f"the {POLICY} says a context of {found.context_length:,} tokens: it is damaged")
    return found


def history_of(card: PolicyCard, task: PolicyTask) -> int | None:
    """Most earlier timesteps that the windows of a task's dataset showed; None for as many as they held.

    Raises:
        FormatError, SettingError: the reading is none.
    """
    names = [dataset.name for dataset in card.datasets]
    most = limits(reading_of(card).history, names)
    found = ANY if most is None else int(most[names.index(task.dataset)])
    return None if found == ANY else found


def text_model_of(card: PolicyCard) -> TextTokenizer | None:
    """The text model that a card carries."""
    return None if card.text_model is None else TextTokenizer.of(card.text_model)


def find_task(tasks: Sequence[PolicyTask], name: str | None) -> PolicyTask:
    """A task by its name, or by "dataset/task"; the only one where no name is given.

    Raises:
        SettingError: there is no such task, or several; names those that are like it, or these.
    """
    if name is None and len(tasks) == 1:
        return tasks[0]
    for task in tasks:
        if name in (task.name, f"{task.dataset}/{task.task}"):
            return task
    names = [task.name for task in tasks]
    known = listed(names)
    if name is None:
        raise SettingError(f"the policy knows {len(tasks)} tasks ({known or 'none'}): say which one to play")
    if same := [task.name for task in tasks if task.task == name]:
        raise SettingError(f"{len(same)} datasets of the run have a task {name!r}: say which one, {listed(same)}")
    close = closest(name, [each for task in tasks for each in (task.name, task.task)])
    meant = listed([repr(task.name) for task in tasks if close in (task.name, task.task)])
    hint = f". Did you mean {meant}?" if meant else "."
    raise SettingError(f"the policy was not trained on a task {name!r}, it knows {known}{hint}")
