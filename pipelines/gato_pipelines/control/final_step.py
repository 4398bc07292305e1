"""What becomes of the final timestep of an episode: six conventions are in use, none of them written down in the data.

    stored timesteps      the last one                                               policy
    T + 1                 an observation alone, its action and reward zero           drop
    T + 1                 an observation alone, the first action and reward again    drop
    T + 1 if terminal,    zero action and reward after a terminal state; a whole     drop-terminal
      else T              timestep where the episode was cut off (TFDS's d4rl)
    T                     a whole timestep                                           keep
    T + 1 observations    no action for the last one, which the reader leaves out    keep (the format says so)
    T + 1                 zero reward, some action (TFDS's rlu_control_suite)        drop (the builder says so)

A file format or a builder that is known decides; otherwise the last timesteps of all episodes of a
task are looked at.
"""

from collections.abc import Sequence
from typing import TypeVar

from gato_pipelines.part_scan import Ends, PartScan
from gato_pipelines.source import FinalStepSetting
from gato_schemas.dataset import FinalStep

T = TypeVar("T")
SHARE = 0.99
"""Share of episodes that have to look alike."""


def decide_final_step(scans: Sequence[PartScan], setting: FinalStepSetting) -> FinalStep:
    """What to do with the final timesteps of one task, and why."""
    if setting != "auto":
        return FinalStep(setting, "asked for")
    conventions = {scan.final_step for scan in scans}
    if len(conventions) == 1 and (known := conventions.pop()) is not None:
        return known
    ends = add_ends([scan.ends for scan in scans])
    continuous = any(field.modality == "continuous" for scan in scans for field in scan.actions or ())
    zero = f"{ends.zero} of {ends.episodes} episodes end with an all-zero action and reward"
    if ends.episodes and ends.zero >= SHARE * ends.episodes:
        return FinalStep("drop", zero)
    if continuous and ends.episodes and ends.rotated >= SHARE * ends.episodes:
        return FinalStep("drop", f"{ends.rotated} of {ends.episodes} episodes end with their first action and reward")
    if continuous and ends.terminal and ends.zero == ends.zero_terminal >= SHARE * ends.terminal:
        reason = f"{ends.zero_terminal} of {ends.terminal} terminal episodes, and no others, end with an all-zero"
        return FinalStep("drop-terminal", f"{reason} action and reward")
    return FinalStep("keep", zero)


def add_ends(ends: Sequence[Ends]) -> Ends:
    """The sum over parts."""
    return Ends(
        episodes=sum(e.episodes for e in ends),
        zero=sum(e.zero for e in ends),
        terminal=sum(e.terminal for e in ends),
        zero_terminal=sum(e.zero_terminal for e in ends),
        rotated=sum(e.rotated for e in ends),
        ones=sum(e.ones for e in ends),
        twos=sum(e.twos for e in ends),
        terminal_ones=sum(e.terminal_ones for e in ends),
        terminal_twos=sum(e.terminal_twos for e in ends),
    )


def kept_groups(body: T, terminal: T, truncated: T, final_step: FinalStep) -> list[T]:
    """What is kept of something that was found of all timesteps but the last, and of the two kinds of last ones."""
    groups = [body]
    groups += [truncated] if final_step.policy != "drop" else []
    groups += [terminal] if final_step.policy == "keep" else []
    return groups


def kept_timesteps(length: int, final_step: FinalStep | None, *, terminal: bool) -> int:
    """How many of the timesteps of an episode are kept."""
    policy = "keep" if final_step is None else final_step.policy
    dropped = policy == "drop" or (policy == "drop-terminal" and terminal)
    return length - 1 if dropped else length
