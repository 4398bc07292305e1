"""Texts that tell what to do: which one is observed beside the observation, and what it says in every timestep."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError, InputError
from gato_pipelines.containers.container import OBSERVATION, Container
from gato_pipelines.control.leaf_fields import modality_of, unreadable
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import STEPS, Leaf

AUTO, NONE = "auto", "none"
_INSTRUCTIONS = ("language_instruction", "natural_language_instruction", "instruction")
"""Names of instructions, the usual ones first; others end like the last one: VIMA's
`multimodal_instruction`."""
_MISSION = "mission"
"""What Gymnasium's environments call an instruction that they show in the observation."""


def find_instruction(container: Container, key: str, kept: Sequence[Leaf]) -> Leaf | None:
    """The text that is observed as well: the one that `key` names, or an instruction beside the observation.

    With "auto" none is taken where an instruction is among the `kept` observations.

    Raises:
        InputError: `key` names nothing that holds text, or several things.
    """
    if key == NONE:
        return None
    if key == AUTO:
        beside = [leaf for leaf in _texts(container) if leaf.in_steps and not _is_below(leaf, OBSERVATION)]
        told = any(_instructs(leaf) or _is_mission(leaf) for leaf in kept)
        return None if told else min(filter(_instructs, beside), key=_rank, default=None)
    named = {name_of(leaf): leaf for leaf in container.features.leaves if _is_text(leaf) or holds_bytes(leaf)}
    exact = [named[name] for name in (key, f"observation/{key}") if name in named][:1]
    found = exact or [leaf for name, leaf in named.items() if name.endswith(f"/{key}")]
    if len(found) == 1:
        return found[0]
    what = "could be any of" if found else "is no text of"
    texts = map(name_of, found or _texts(container))
    raise InputError(
        f"--instruction-key names {key!r}, which {what} {container.label}: it has {', '.join(texts) or 'none'}"
    )


def unused_texts(container: Container, kept: Sequence[Leaf]) -> list[str]:
    """Names of the texts of episodes that are not observed; those of timesteps are fields that are left out."""
    return [name_of(leaf) for leaf in _texts(container) if leaf not in kept and not leaf.in_steps]


def name_of(leaf: Leaf) -> str:
    """How `--instruction-key` names a leaf."""
    return leaf.path.removeprefix(f"{STEPS}/")


def holds_bytes(leaf: Leaf) -> bool:
    """Whether a leaf may hold the bytes of a text, padded with zeros."""
    return np.dtype(leaf.dtype or "V").kind in "iu" and len(leaf.shape) == 1 and not leaf.sequences


def texts_of(episode: RldsEpisode, leaf: Leaf) -> Sequence[str]:
    """The text of every timestep: a text of the episode is that of all of them.

    Raises:
        EpisodeError: bytes are no UTF-8 text padded with zeros.
    """
    if leaf.path in episode.texts:
        return episode.texts[leaf.path]
    if leaf.in_steps:
        return list(_decoded(leaf, episode.tensors[leaf.path]))
    once = episode.episode[leaf.path]
    text = once if isinstance(once, str) else next(_decoded(leaf, np.asarray(once)[None]))
    return [text] * episode.num_timesteps


def _decoded(leaf: Leaf, rows: NDArray[np.integer]) -> Iterator[str]:
    texts: dict[bytes, str] = {}
    for timestep, row in enumerate(rows):
        if (known := texts.get(row.tobytes())) is None:
            known = texts[row.tobytes()] = _text(leaf, row, timestep)
        yield known


def _text(leaf: Leaf, row: NDArray[np.integer], timestep: int) -> str:
    wrong = f"feature {leaf.path} holds no text in timestep {timestep}"
    if row.size and not 0 <= int(row.min()) <= int(row.max()) < 256:
        raise EpisodeError(f"{wrong}: values {row.min()} to {row.max()}, bytes were expected", stage="decode")
    text = row.astype(np.uint8).tobytes().rstrip(b"\0")
    try:
        if b"\0" in text:
            raise EpisodeError(f"{wrong}: zeros stand between its bytes", stage="decode")
        return text.decode()
    except UnicodeDecodeError as error:
        raise EpisodeError(f"{wrong}: its bytes are not UTF-8 ({error.reason})", stage="decode") from error


def _texts(container: Container) -> list[Leaf]:
    return [leaf for leaf in container.features.leaves if _is_text(leaf)]


def _is_text(leaf: Leaf) -> bool:
    one_a_time = leaf.in_steps or not leaf.sequences
    return modality_of(leaf) == "text" and one_a_time and not unreadable(leaf)


def _is_below(leaf: Leaf, group: str) -> bool:
    return leaf.path == group or leaf.path.startswith(group + "/")


def _instructs(leaf: Leaf) -> bool:
    return modality_of(leaf) == "text" and leaf.path.endswith(_INSTRUCTIONS[-1])


def _is_mission(leaf: Leaf) -> bool:
    return modality_of(leaf) == "text" and leaf.path.rpartition("/")[2] == _MISSION


def _rank(leaf: Leaf) -> tuple[int, str]:
    name = name_of(leaf)
    usual: Mapping[str, int] = {usual: rank for rank, usual in enumerate(_INSTRUCTIONS)}
    return usual.get(name, len(usual)), name
