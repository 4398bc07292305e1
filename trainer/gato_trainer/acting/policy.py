"""`Policy`: raw observations in, raw actions out, for one environment or many beside each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import msgspec
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from gato_data.errors import SettingError
from gato_data.timestep import Observer
from gato_schemas.policy import PolicyCard
from gato_trainer.acting.context import Context, MemoryKind, Prompt
from gato_trainer.acting.generating import Writer
from gato_trainer.acting.prompts import Prompts
from gato_trainer.acting.sampling import check_seed, check_temperature, draw, numbers
from gato_trainer.acting.tasks import PolicyTask, find_task, history_of, reading_of, tasks_of, text_model_of
from gato_trainer.acting.vectors import Vectors
from gato_trainer.model.transformer import Gato

Observation = Mapping[str, Any]
Action = dict[str, NDArray[Any]]
_MOST_ENVIRONMENTS = 4096


class HeldOut(msgspec.Struct, frozen=True, kw_only=True):
    """What the last evaluation of a run says of the actions of held-out episodes, predicted from true ones.

    Attributes:
        step: optimizer steps done.
        action_accuracy: share of action tokens that were the likeliest id; None where there were none.
        changed_action_accuracy: the same where an action differs from the one before.
        repeated_actions: share of them that equal those before, which copying alone gets right.
    """

    step: int
    action_accuracy: float | None = None
    changed_action_accuracy: float | None = None
    repeated_actions: float | None = None


@dataclass(slots=True)
class _Play:
    """What `reset` decided, and where each environment stands."""

    observer: Observer
    context: Context
    prompts: Sequence[Prompt]
    temperature: float
    seeds: list[int]
    steps: list[int]


class Policy:
    """A model that acts; made by `load_policy`.

    Attributes:
        card: what it carries of its datasets.
        tasks: what it can do.
        context_length: tokens that it sees.
        source: the checkpoint or file that it was loaded from.
        step: optimizer steps that it was trained for.
        held_out: of its last evaluation, where its run is there and had one.
    """

    def __init__(
        self, model: Gato, card: PolicyCard, *, source: Path, step: int, held_out: HeldOut | None = None
    ) -> None:
        self.card, self.source, self.step, self.held_out = card, source, step, held_out
        self.tasks: tuple[PolicyTask, ...] = tasks_of(card)
        self.context_length = reading_of(card).context_length
        self._model = model
        self._text_model = text_model_of(card)
        self._vectors = Vectors(model)
        self._prompts = Prompts(model, self._vectors, card)
        self._play: _Play | None = None

    def reset(
        self,
        *,
        task: str | None = None,
        prompt: str | None = None,
        environments: int = 1,
        history: int | Literal["all"] | None = None,
        temperature: float = 1.0,
        seed: int = 0,
        memory: MemoryKind = "half-cut",
    ) -> None:
        """Begin an episode of a task in every environment.

        Args:
            task: its name, as `tasks` has it; may be left out where there is one only.
            prompt: "demonstration", one that the run carries; "none"; another task of the run; or the folder of a
                dataset. By default a demonstration, unless the run was trained without prompts.
            environments: how many act beside each other; environment i gets the seed `seed + i`.
            history: most earlier timesteps that are seen; "all" that the context has room for; None for as many as in
                training: those of `--history`, else all.
            temperature: of the draws; 0 takes the likeliest id.
            seed: keys every draw together with the number of the timestep and of the token.
            memory: what happens when the context is full: "half-cut", exact, or "xl".

        Raises:
            SettingError: there is no such task or prompt, or a value cannot be used.
            FormatError: the folder of the prompt is no dataset, or is damaged.
        """
        if not 1 <= environments <= _MOST_ENVIRONMENTS:
            raise SettingError(f"{environments} environments are not possible: 1 to {_MOST_ENVIRONMENTS:,} are wanted")
        chosen = find_task(self.tasks, task)
        most = self._history(chosen, history, memory)
        check_temperature(temperature)
        check_seed(seed + environments - 1 if seed >= 0 else seed)
        observer = chosen.observer(self._text_model)
        prompts = self._prompts.of(chosen, prompt)
        context = Context(self._model, environments, self.context_length, memory, most)
        self._play = _Play(observer, context, prompts, temperature, [0] * environments, [0] * environments)
        for index in range(environments):
            self.restart(index, seed + index)

    def restart(self, index: int, seed: int) -> None:
        """Begin another episode in one of the environments, with draws of its own.

        Raises:
            SettingError: there is no such environment, or the seed cannot be used.
        """
        play = self._playing()
        if not 0 <= index < len(play.seeds):
            raise SettingError(f"there is no environment {index}: `reset` made {len(play.seeds)}")
        check_seed(seed)
        play.seeds[index], play.steps[index] = seed, 0
        play.context.restart(index, play.prompts[seed % len(play.prompts)] if play.prompts else None)

    @overload
    def act(self, observation: Observation) -> Action: ...

    @overload
    def act(self, observation: Sequence[Observation | None]) -> list[Action | None]: ...

    def act(self, observation: Observation | Sequence[Observation | None]) -> Action | list[Action | None]:
        """The action that follows an observation, or one for each environment.

        Args:
            observation: raw values by field name; a sequence of such mappings, one for each environment, with None
                for one that rests.

        Returns:
            By action field a value of its dtype and shape, inside its range; or a list of that.

        Raises:
            EpisodeError: an observation is not what the task's dataset holds; nothing has changed.
            SettingError: there are more or fewer observations than environments, or `reset` was not called.
        """
        play = self._playing()
        given = [observation] if isinstance(observation, Mapping) else list(observation)
        if len(given) != len(play.seeds):
            raise SettingError(f"{len(given)} observations came for {len(play.seeds)} environments: one each is wanted")
        acting = [index for index, each in enumerate(given) if each is not None]
        actions: list[Action | None] = [None] * len(given)
        if acting:
            ids = self._ids(play, acting, [each for each in given if each is not None])
            for index, row in zip(acting, ids, strict=True):
                actions[index] = play.observer.decode(row)
                play.steps[index] += 1
        if isinstance(observation, Mapping):
            assert actions[0] is not None
            return actions[0]
        return actions

    def generate(
        self,
        image: ArrayLike | None = None,
        text: str = "",
        *,
        dataset: str | None = None,
        tokens: int = 64,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> str:
        """The text that follows an image and a text: a caption, an answer behind "Q: ... A:".

        Args:
            image: uint8 (height, width, 3) or (height, width), of any size: it gets that of the dataset.
            text: what the answer goes on from.
            dataset: whose form of documents the answer has; by default the first one with images, or without.
            tokens: most pieces of text; the answer ends before where the model ends it, or with the context.
            temperature: of the draws; 0 takes the likeliest piece.
            seed: keys every draw.

        Raises:
            SettingError: the run was not trained on such documents, or a value cannot be used.
            EpisodeError: the image is none, or the beginning is longer than the context.
        """
        writer = Writer(self._model, self._vectors, self.card, self._text_model)
        return writer.generate(image, text, dataset=dataset, tokens=tokens, temperature=temperature, seed=seed)

    def _ids(self, play: _Play, acting: list[int], observations: list[Observation]) -> NDArray[np.int64]:
        """Ids (environments that act, A) of the actions behind these observations."""
        laid = [play.observer.observe(each) for each in observations]
        vectors = torch.split(self._vectors.of(laid), [len(each.tokens) for each in laid])
        allowed = play.observer.allowed.tolist()
        seeds, steps = ([values[index] for index in acting] for values in (play.seeds, play.steps))
        uniform = numbers(seeds, steps, len(allowed))
        hidden = play.context.observe(acting, vectors, len(allowed))
        ids = np.empty((len(acting), len(allowed)), np.int64)
        for token, (first, end) in enumerate(allowed):
            logits = self._vectors.logits(hidden, first, end)
            ids[:, token] = first + draw(logits, play.temperature, uniform[:, token])
            embedded = self._vectors.of_actions(ids[:, token])
            if token + 1 < len(allowed):
                hidden = play.context.follow(acting, embedded)
            else:
                play.context.end(acting, embedded)
        return ids

    def _history(self, task: PolicyTask, asked: int | Literal["all"] | None, memory: str) -> int | None:
        """Most earlier timesteps that are seen: as asked for, else as in training; None for as many as fit."""
        if memory not in ("half-cut", "xl"):
            raise SettingError(f"memory {memory!r} is unknown: 'half-cut' or 'xl' is wanted")
        if asked == "all":
            return None
        if asked is not None and not isinstance(asked, int):
            raise SettingError(f"a history of {asked!r} is not possible: a number of timesteps, or 'all', is wanted")
        history = history_of(self.card, task) if asked is None else asked
        if history is None or (history >= 0 and memory != "xl"):
            return history
        if asked is None:
            raise SettingError(
                f"task {task.name} was trained with --history {history}, and memory 'xl' keeps what a history hides: "
                "take memory 'half-cut'"
            )
        why = "memory 'xl' keeps what a history hides: give one of them" if history >= 0 else "at least 0 is wanted"
        raise SettingError(f"a history of {history} timesteps is not possible: {why}")

    def _playing(self) -> _Play:
        if self._play is None:
            raise SettingError("nothing is played yet: call reset(task=...) first")
        return self._play
