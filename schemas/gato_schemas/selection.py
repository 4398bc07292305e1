"""What a manifest says of which episodes and timesteps of a recording became the dataset."""

from typing import Annotated, Literal

import msgspec

from gato_schemas.bounds import Natural


class EpisodeFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which episodes of a task were kept.

    Attributes:
        min_return_fraction, window, expert_return, min_return: the filter by return: `min_return` is the lowest return
            kept, `expert_return` the highest mean over `window` episodes; None where returns did not matter.
        require_success: name of the field that had to be true; empty where none had to.
        kept, dropped: episodes, of those that could be read.
    """

    min_return_fraction: float | None = None
    window: Natural | None = None
    expert_return: float | None = None
    min_return: float | None = None
    require_success: str = ""
    kept: Natural = 0
    dropped: Natural = 0


class Resampling(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which timesteps of a recording became timesteps of the dataset; see `gato_pipelines.control.resampling`.

    Attributes:
        every: how many recorded timesteps one stands for; the final one stands for itself.
        actions: whether its action is the last of them or their sum.
        idle_below: the norm of a move below which a timestep was left out; None where none was.
        held: how many numbers at the end of an action are held, such as a gripper, and are no move.
    """

    every: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] = 1
    actions: Literal["last", "sum"] = "last"
    idle_below: Annotated[float, msgspec.Meta(gt=0)] | None = None
    held: Natural = 1
