"""What is played: the environment of a task, as a run says it or as a user does."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import import_module
from typing import Any

import msgspec

from gato_data.closest import did_you_mean, listed
from gato_data.errors import SettingError
from gato_pipelines.environments.environment import Environment
from gato_pipelines.environments.gymnasium import runs_code
from gato_pipelines.recorders import RECORDERS
from gato_pipelines.recorders.recorder import EnvironmentRecorder
from gato_pipelines.rlds.environment import environment_of
from gato_pipelines.rollout.scores import Reference
from gato_schemas.dataset import EnvironmentInfo, TaskInfo
from gato_schemas.selection import Resampling

_GYMNASIUM = "gymnasium"
_OURS = {"seed", "actor", "expert", "noise"}
"""Settings of a recorder that say who played, not where."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One task of a policy and where it is played.

    Attributes:
        task: the policy's name of it.
        family: of the environment, the name of a recorder.
        recorder: makes the environment.
        reference: the expert of the episodes that the policy was trained on.
        trained: what these say of their environment; None where they say nothing.
        resampling: which timesteps of their recordings they have; None where it is all of them.
    """

    task: str
    family: str
    recorder: EnvironmentRecorder[Any]
    reference: Reference = field(default_factory=Reference)
    trained: EnvironmentInfo | None = None
    resampling: Resampling | None = None

    @property
    def played(self) -> str:
        """What is played, in a few words."""
        return self.recorder.shown

    @property
    def described(self) -> str:
        """What makes the same environment again."""
        settings = {name: getattr(self.recorder, name) for name in _settings(type(self.recorder))}
        told = ", ".join(f"{name}={value!r}" for name, value in settings.items() if name not in _OURS - {"expert"})
        return f"{self.family}({told})"

    def environment(self, *, draws: bool = False) -> Environment:
        """An environment, each of whose episodes depends on its seed and number alone.

        Raises:
            SettingError: there is nothing of that name.
            MissingPackageError: the simulator is not installed.
        """
        made: Environment = self.recorder.environment(draws=draws)
        return made

    def seeded(self, seed: int) -> "Subject":
        """The same with the seed in what a recording of it says."""
        return replace(self, recorder=replace(self.recorder, seed=seed))  # type: ignore[type-var]

    def info(self, environment: Environment, policy: str = "") -> EnvironmentInfo:
        """What a recording of these episodes would say."""
        card = self.recorder.card(environment, policy)
        found = environment_of({**card.metadata, "module": card.module}, card.config)
        assert found is not None, "a recorder's own metadata say what was played"
        return found


def subject_of(task: str, info: TaskInfo) -> Subject | None:
    """Where a task was recorded; None where its dataset does not say it.

    Nothing that a run names is imported: an environment of a module of somebody's has to be asked for.

    Raises:
        SettingError: its environment is not known here, or is code that the run names.
    """
    told = info.environment
    if told is None:
        return None
    if told.family == _GYMNASIUM and runs_code(told.id):
        raise SettingError(
            f"the run says that task {task} was played in {told.id!r}, which is a module to be imported: if it is "
            f"yours, ask for it with --env {told.id}"
        )
    options = {name: value for name, value in told.options.items() if name not in _OURS}
    recorder = _recorder(told.family, told.id, options)
    clipped = recorder.clips_rewards or info.scores is None
    reference = Reference() if clipped or info.scores is None else Reference(told.policy, info.scores.expert_return)
    return Subject(task, told.family, recorder, reference, told, info.resampling)


def resampling_note(task: str, asked: Resampling, *, hold: bool = True) -> str:
    """What a reader has to know where a task is played that has not all timesteps of its recordings."""
    if asked.every == 1:
        return f"task {task} was learned from timesteps that are not idle: the policy decides in every one"
    learned = (
        f"task {task} was learned from one timestep for every {asked.every} that were recorded"
        f"{' and not idle' if asked.idle_below is not None else ''}, with the {asked.actions} of their actions"
    )
    if not hold:
        return f"{learned}: the environment takes each action for one timestep of its own"
    done = "each action is done as often" if asked.actions == "last" else "each action is done in as many equal parts"
    return f"{learned}: the policy decides in one of {asked.every} timesteps, and {done}"


def tasks_recorded_in(tasks: Mapping[str, TaskInfo], family: str, recorder: EnvironmentRecorder[Any]) -> list[str]:
    """The tasks of a run whose episodes were recorded in the environment that a recorder makes; one at least.

    Raises:
        SettingError: there is none.
    """
    place = {name: getattr(recorder, name) for name in _settings(type(recorder)) if name not in _OURS}
    first, found = next(iter(place)), []
    for task, info in tasks.items():
        told = info.environment
        if told is None or told.family != family:
            continue
        known = {first: told.id, **told.options}
        if all(known.get(name, value) == value for name, value in place.items()):
            found.append(task)
    if found:
        return found
    wanted = ", ".join(f"{name} {value}" for name, value in place.items())
    raise SettingError(f"no task of the run ({listed([*tasks])}) was recorded in this environment ({family}: {wanted})")


def subject_named(task: str, env: str, options: Mapping[str, Any], *, expert: str = "") -> Subject:
    """An environment that a user names: "babyai/GoToLocal", an id of gymnasium, or "module:function".

    Args:
        task: of the policy.
        env: the name.
        options: settings of its recorder, such as `max_steps`.
        expert: "module:function" that makes a player of an environment of gymnasium.

    Raises:
        SettingError: there is none of that name, or it does not take an option.
    """
    family, _, name = env.partition("/")
    if family in RECORDERS and family != _GYMNASIUM and name:
        return Subject(task, family, _recorder(family, name, options))
    return Subject(task, _GYMNASIUM, _recorder(_GYMNASIUM, env, {**options, "expert": expert}))


def _recorder(family: str, name: str, options: Mapping[str, Any]) -> EnvironmentRecorder[Any]:
    if family not in RECORDERS:
        raise SettingError(f"no environment {family!r} is known here: use --env{did_you_mean(family, RECORDERS)}")
    cls = import_module(f"gato_pipelines.recorders.{family.replace('-', '_')}").Recorder
    first, *others = _settings(cls)
    if unknown := sorted(set(options) - {first, *others}):
        raise SettingError(f"{family} takes no {unknown[0]!r}; its settings are {', '.join([first, *others])}")
    try:
        found: EnvironmentRecorder[Any] = msgspec.convert({first: name, **options}, cls, strict=False)
    except msgspec.ValidationError as error:
        raise SettingError(f"{family} cannot be made of {name!r} and {dict(options)} ({error})") from error
    return found


def _settings(cls: Any) -> list[str]:
    return [entry.name for entry in fields(cls)]


def option_value(text: str) -> tuple[str, Any]:
    """Name and value of "max_steps=300"; a value is JSON where it can be.

    Raises:
        SettingError: it is no such pair.
    """
    match = re.fullmatch(r"([a-z_][a-z0-9_-]*)=(.*)", text, re.DOTALL)
    if match is None:
        raise SettingError(f"{text!r} is no option: NAME=VALUE is wanted, such as max_steps=300")
    try:
        return match[1].replace("-", "_"), msgspec.json.decode(match[2])
    except msgspec.DecodeError:
        return match[1].replace("-", "_"), match[2]
