"""Flags of episodes and timesteps: first, last, terminal, and success."""

from math import prod

import numpy as np

from gato_data.errors import InputError
from gato_pipelines.containers.container import FIRST, LAST, TERMINAL, Container
from gato_pipelines.rlds.decode import NUMERIC_DTYPES
from gato_pipelines.rlds.episode import RldsEpisode, per_timestep
from gato_pipelines.rlds.features import STEPS, Leaf

SUCCESS = "success"


def scalar_leaf(container: Container, path: str) -> Leaf | None:
    """A leaf of one number per timestep, if the container has it."""
    return next((leaf for leaf in container.features.steps if leaf.path == path), None)


def flag_leaves(container: Container) -> list[Leaf]:
    """The leaves that flag the first and the last timestep of an episode."""
    found = (scalar_leaf(container, path) for path in (FIRST, LAST))
    return [leaf for leaf in found if leaf is not None and leaf.dtype in NUMERIC_DTYPES and _size(leaf) == 1]


def is_terminal(episode: RldsEpisode) -> bool:
    """Whether an episode ended in a terminal state."""
    flags = per_timestep(episode, TERMINAL)
    return flags is not None and bool(flags.any())


def success_leaf(container: Container, key: str) -> Leaf:
    """The leaf that `--require-success` names: of an episode or of a timestep, by its path or the end of it.

    Raises:
        InputError: there is none, there are several, or it is no number.
    """
    leaves = [leaf for leaf in container.features.leaves if leaf.dtype in NUMERIC_DTYPES and _size(leaf) == 1]
    exact = [leaf for leaf in leaves if leaf.path in (key, f"steps/{key}")]
    found = exact or [leaf for leaf in leaves if leaf.path.endswith("/" + key)]
    if len(found) != 1:
        names = ", ".join(leaf.path for leaf in (found or leaves))
        what = "which could be any of" if found else "which it lacks: it has"
        raise InputError(f"--require-success names {key!r} of {container.label}, {what} {names}")
    return found[0]


def told_success(container: Container) -> Leaf | None:
    """The leaf that is called success: of an episode, or of a timestep; None where there is none."""
    leaves = [leaf for leaf in container.features.leaves if leaf.path in (SUCCESS, f"{STEPS}/{SUCCESS}")]
    return next((leaf for leaf in leaves if leaf.dtype in NUMERIC_DTYPES and _size(leaf) == 1), None)


def _size(leaf: Leaf) -> int:
    """Numbers in one value of a leaf; 0 where that varies."""
    sides = (*leaf.sequences, *leaf.shape)
    return 0 if None in sides else prod(side or 0 for side in sides)


def succeeded(episode: RldsEpisode, leaf: Leaf) -> bool:
    """Whether the flag is positive: of the episode, or at any of its timesteps."""
    values = episode.tensors[leaf.path] if leaf.in_steps else episode.episode[leaf.path]
    return bool((np.asarray(values) > 0).any())
