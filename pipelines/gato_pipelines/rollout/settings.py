"""The settings of a rollout."""

from dataclasses import dataclass
from typing import Literal

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
    history: int | None = setting(
        None, "Most earlier timesteps that are seen; as many as in training if not given.", minimum=0
    )
    temperature: float = setting(1.0, "Of the draws; 0 takes the likeliest action.", minimum=0)
    memory: Literal["half-cut", "xl"] = setting("half-cut", "What happens when the context is full.")
    baselines: bool = setting(True, "Have chance and the expert play the same seeds.")

    def __post_init__(self) -> None:
        check(self)
