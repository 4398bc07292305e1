"""The settings of a rollout."""

import re
from dataclasses import dataclass
from typing import Literal

from gato_data.errors import SettingError
from gato_data.settings import check, setting
from gato_pipelines.environments.chance import MAX_SEED

MOST_ENVIRONMENTS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutSettings:
    """What is played, and how the policy decides.

    Raises:
        SettingError: a number is out of its limits.
    """

    episodes: int = setting(30, "Episodes of each task, and of each who plays it.", minimum=1, decides=False)
    environments: int = setting(
        1,
        "How many environments the policy plays beside each other; the results are the same.",
        minimum=1,
        maximum=MOST_ENVIRONMENTS,
        decides=False,
    )
    seed: int = setting(0, "Of environments and draws; never that of a recording.", minimum=0, maximum=MAX_SEED)
    prompt: str | None = setting(
        None,
        "demonstration, none, a task of the run, or the folder of a dataset; what the run was trained with if not "
        "given.",
        "PROMPT",
    )
    history: str | None = setting(
        None,
        "Most earlier timesteps that are seen, or all that there is room for; as in training if not given.",
        "N|all",
    )
    temperature: float = setting(1.0, "Of the draws; 0 takes the likeliest action.", minimum=0)
    memory: Literal["half-cut", "xl"] = setting("half-cut", "What happens when the context is full.")
    hold: bool = setting(
        True, "Do each action as often as it was learned for (ingest --every); not where the environment does that."
    )
    baselines: bool = setting(True, "Have chance and the expert play the same seeds.")

    def __post_init__(self) -> None:
        check(self)
        if self.history is not None and not re.fullmatch(r"[0-9]{1,6}|all", str(self.history)):
            raise SettingError(
                f"a history of {self.history!r} is not possible: 0 to 999,999 timesteps, or all, is wanted"
            )
        if self.history is not None:
            history = str(self.history)
            object.__setattr__(self, "history", history if history == "all" else str(int(history)))

    @property
    def most_history(self) -> int | Literal["all"] | None:
        """As `Policy.reset` takes it."""
        return "all" if self.history == "all" else None if self.history is None else int(self.history)
