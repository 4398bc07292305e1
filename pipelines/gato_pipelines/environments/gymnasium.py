"""Any environment of gymnasium's interface, of the registry or of a module of yours."""

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from typing import Any, TypeVar

import numpy as np

from gato_data.closest import did_you_mean
from gato_data.errors import EpisodeError, GatoError, InputError, SettingError
from gato_pipelines.environments.chance import Chance, draw_seed
from gato_pipelines.environments.environment import ACTION, Environment, Frame, Observation, Player, Step
from gato_pipelines.environments.installed import import_simulator
from gato_pipelines.environments.spaces import leaves_of, value_of, values_of
from gato_pipelines.rlds.features import Leaf

_OBSERVATION = "steps/observation"
_REGISTERED = re.compile(r"[\w./:-]+-v\d+")
_SUCCESS = ("is_success", "success")
"""What environments call it in their `info`."""
T = TypeVar("T")


class Gymnasium(Environment):
    """One environment; its observations and actions have the features of its spaces."""

    def __init__(
        self,
        name: str,
        *,
        max_steps: int | None = None,
        expert: str = "",
        draws: bool = False,
    ) -> None:
        """Make an environment.

        Args:
            name: "module:function", of which the function makes one, or an id of the registry.
            max_steps: actions after which an episode is cut.
            expert: "module:function", of which the function takes the environment at the beginning of an
                episode and returns a player: from what the environment shows to what it takes.
            draws: whether frames are wanted.

        Raises:
            MissingPackageError: gymnasium is not installed.
            SettingError: there is no such environment, or its spaces cannot become tokens.
            InputError: it fails.
        """
        import_simulator("gymnasium", "environments of gymnasium", "pip install gymnasium")
        self.name, self.max_actions = name, max_steps
        self.env = self._guarded("being made", lambda: _made(name, draws=draws))
        self._observation, self._action = (self._space(f"{role}_space") for role in ("observation", "action"))
        self.observations = leaves_of(self._observation, _OBSERVATION)
        self.actions = leaves_of(self._action, ACTION)
        if not self.observations or not self.actions:
            missing = "actions" if self.observations else "observations"
            raise SettingError(f"the space of {missing} of {name} is empty: there is nothing to be made tokens")
        self._expert = _function(expert) if expert else None
        self.expert_policy = f"the player {expert}" if expert else ""
        self._raw: Any = None
        self.knows_success = self._guarded("its first step", self._tells_success)

    def reset(self, chance: Chance) -> Observation:
        """Begin an episode with a seed of its own."""
        self._raw, _ = self._guarded("reset", lambda: self.env.reset(seed=draw_seed(chance.rng)))
        return self._seen()

    def step(self, action: Any) -> Step:
        """Act once; what is beyond the bounds of a Box is clipped."""
        given = action if isinstance(action, Mapping) else {ACTION: action}
        done = value_of(given, self._action, ACTION)
        self._raw, reward, ended, truncated, success = self._guarded("step", lambda: self._stepped(done))
        applied = values_of(done, self._action, ACTION)
        return Step(
            action=applied[ACTION] if _is_one(self.actions) else applied,
            observation=self._seen(),
            reward=reward,
            is_over=ended or truncated,
            is_terminal=ended,
            success=success,
        )

    def _stepped(self, action: Any) -> tuple[Any, float, bool, bool, bool | None]:
        """What the environment says, in plain types, with what it calls success; None where it does not tell now."""
        raw, reward, ended, truncated, info = self.env.step(action)
        told = next((bool(info[name]) for name in _SUCCESS if name in info), None)
        return raw, float(np.asarray(reward).item()), bool(ended), bool(truncated), told

    def random(self, rng: np.random.Generator) -> Player:
        """What the space of actions draws."""
        self._action.seed(draw_seed(rng))
        return lambda seen: values_of(self._action.sample(), self._action, ACTION)

    def expert(self, rng: np.random.Generator) -> Player:
        """Yours."""
        assert self._expert is not None, "there is one where `expert_policy` names it"
        make = self._expert
        act = self._guarded("its expert", lambda: make(self.env))
        return lambda seen: values_of(self._guarded("its expert", lambda: act(self._raw)), self._action, ACTION)

    def frame(self) -> Frame:
        """What the environment renders as `rgb_array`."""
        frame = self._guarded("render", self.env.render)
        if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise InputError(
                f"{self.name} renders a {type(frame).__name__}, uint8 (H, W, 3) is wanted: have it made with "
                "render_mode='rgb_array'"
            )
        return frame

    def close(self) -> None:
        """Close it."""
        self.env.close()

    def _space(self, role: str) -> Any:
        space = getattr(self.env, role, None)
        if space is None:
            raise SettingError(
                f"{self.name} made a {type(self.env).__name__} without {role}: an environment with gymnasium's "
                "interface is wanted"
            )
        return space

    def _seen(self) -> Observation:
        try:
            return values_of(self._raw, self._observation, _OBSERVATION)
        except EpisodeError as error:
            raise EpisodeError(f"{self.name}: {error}", stage=error.stage) from error

    def _tells_success(self) -> bool:
        """Whether the environment says of every action if the task is solved; found out by one."""
        self.env.reset(seed=0)
        self._action.seed(0)
        return self._stepped(self._action.sample())[4] is not None

    def _guarded(self, what: str, call: Callable[[], T]) -> T:
        """What a call of somebody else's code returns; what it prints is no result and goes to the standard error.

        Raises:
            InputError: it fails.
        """
        try:
            with redirect_stdout(sys.stderr):
                return call()
        except GatoError:
            raise
        except Exception as error:
            raise InputError(
                f"{self.name} failed in {what} ({type(error).__name__}: {error}): gato-data --debug shows where"
            ) from error


def runs_code(name: str) -> bool:
    """Whether making an environment of that name imports a module that the name chooses."""
    return ":" in name


def _is_one(leaves: "list[Leaf] | Any") -> bool:
    return [leaf.path for leaf in leaves] == [ACTION]


def _made(name: str, *, draws: bool) -> Any:
    drawn = {"render_mode": "rgb_array"} if draws else {}
    if ":" in name and not _REGISTERED.fullmatch(name):
        function = _function(name)
        taken = inspect.signature(function).parameters
        takes = "render_mode" in taken or any(each.kind == each.VAR_KEYWORD for each in taken.values())
        return function(**(drawn if takes else {}))
    gymnasium = importlib.import_module("gymnasium")
    try:
        return gymnasium.make(name, disable_env_checker=True, **drawn)
    except gymnasium.error.UnregisteredEnv as error:
        hint = did_you_mean(name, list(gymnasium.registry))
        raise SettingError(f"gymnasium knows no environment {name!r}{hint}") from error


def _function(name: str) -> Callable[..., Any]:
    """A function by "module:function".

    Raises:
        SettingError: there is none.
    """
    module, _, function = name.partition(":")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise SettingError(
            f"there is no module {module!r} for {name!r}: name its folder in PYTHONPATH, or give module:function"
        ) from error
    if not callable(made := getattr(found, function, None)):
        hint = did_you_mean(function, [key for key, value in vars(found).items() if callable(value)])
        raise SettingError(f"{module} has no function {function!r}{hint}")
    return made  # type: ignore[no-any-return]
