"""What a policy is shown before an episode: the beginning of another one, as in training (paper section 2.3)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import Tensor

from gato_data.errors import SettingError
from gato_data.shards.episodes import OpenDataset
from gato_schemas.dataset import MANIFEST, read_manifest
from gato_schemas.policy import Demonstration, PolicyCard
from gato_schemas.record import decode_record
from gato_schemas.sequence import TokenSequence
from gato_trainer.acting.context import Prompt, encode_prompt
from gato_trainer.acting.demonstrations import best_demonstrations, first_timesteps
from gato_trainer.acting.tasks import PolicyTask, find_task, history_of, reading_of, tasks_of
from gato_trainer.acting.vectors import Vectors
from gato_trainer.model.transformer import Gato

DEMONSTRATION, NONE = "demonstration", "none"


class Prompts:
    """Makes prompts of demonstrations; those of the task that is played are kept."""

    def __init__(self, model: Gato, vectors: Vectors, card: PolicyCard) -> None:
        self._model, self._vectors, self._card = model, vectors, card
        reading = reading_of(card)
        self._window, self._most = reading.context_length, reading.most_prompt_tokens
        self._share = reading.prompt_share
        self._made: dict[bytes, Prompt] = {}

    def of(self, task: PolicyTask, prompt: str | None) -> list[Prompt]:
        """The prompts to choose from; none where there is to be none.

        Args:
            task: that is played.
            prompt: as `Policy.reset` has it. Without one, demonstrations that do not fit are none.

        Raises:
            SettingError: there is no such prompt, or nothing of it fits.
            FormatError: the folder is no dataset, or is damaged.
        """
        trained = self._share > 0 and history_of(self._card, task) is None
        if prompt == NONE or (prompt is None and not trained):
            return []
        carried = prompt is None or prompt == DEMONSTRATION
        found = self._carried(task) if carried else self._elsewhere(task, prompt or "")
        fitting = {each.record: cut for each in found if (cut := self._cut(each)).num_timesteps}
        if fitting or prompt is None:  # training as well gives none where not one timestep fits
            return self._encoded(fitting)
        if not found:
            raise SettingError(
                f"there is no demonstration of task {task.name} for the prompt {prompt!r}: take prompt 'none', or the "
                "folder of a dataset that has one"
            )
        raise SettingError(
            f"a demonstration of task {task.name} has {_longest(_sequence(found[0]))} tokens a timestep, a prompt at "
            f"most {self._most} and the context {self._window}: take prompt 'none'"
        )

    def _carried(self, task: PolicyTask) -> list[Demonstration]:
        return [each for each in task.carried.demonstrations if each.task == task.task]

    def _elsewhere(self, task: PolicyTask, prompt: str) -> list[Demonstration]:
        """Of another task of the run, or of a folder: of the task of that name, or of its only one."""
        if (Path(prompt) / MANIFEST).is_file():
            return self._of_folder(task, Path(prompt))
        try:
            return self._carried(find_task(tasks_of(self._card), prompt))
        except SettingError as error:
            raise SettingError(f"{prompt!r} is no prompt: it is no folder of a dataset, and {error}") from error

    def _of_folder(self, task: PolicyTask, folder: Path) -> list[Demonstration]:
        dataset = OpenDataset(folder, read_manifest(folder))
        theirs, ours = dataset.manifest.vocabulary, self._card.vocabulary
        same = msgspec.structs.replace(ours, text_model=theirs.text_model) == theirs
        if not same or theirs.text_model not in (None, ours.text_model):
            raise SettingError(
                f"{folder} has another vocabulary than the policy: ingest it again with the text model and the "
                "discrete ids of the run's datasets"
            )
        names = [name for name, info in dataset.manifest.tasks.items() if info.actions]
        if task.task not in names and len(names) != 1:
            raise SettingError(f"{folder} has {len(names)} tasks and none is called {task.task}: which one is meant?")
        chosen = task.task if task.task in names else names[0]
        return best_demonstrations(dataset, [chosen]).get(chosen, [])

    def _cut(self, demonstration: Demonstration) -> TokenSequence:
        """Its first timesteps, as many as a prompt may have; maybe none."""
        sequence = _sequence(demonstration)
        return first_timesteps(sequence, min(self._most, self._window - _longest(sequence)))

    def _encoded(self, cuts: Mapping[bytes, TokenSequence]) -> list[Prompt]:
        """The prompts of what is left of these records; what was kept of others is given back."""
        made = {record: self._made.get(record) for record in cuts}
        self._made = {
            record: made[record] or encode_prompt(self._model, self._timesteps(cut)) for record, cut in cuts.items()
        }
        return list(self._made.values())

    def _timesteps(self, sequence: TokenSequence) -> Sequence[Tensor]:
        lengths = np.diff(np.append(sequence.timestep_starts, sequence.num_tokens)).tolist()
        return torch.split(self._vectors.of([sequence]), lengths)


def _sequence(demonstration: Demonstration) -> TokenSequence:
    return decode_record(demonstration.record, "zlib").sequence


def _longest(sequence: TokenSequence) -> int:
    """Tokens of the longest timestep."""
    return int(np.diff(np.append(sequence.timestep_starts, sequence.num_tokens)).max(initial=0))
