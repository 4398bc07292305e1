"""Raw episodes of any container to the episodes that are tokenized: filter, final timestep, images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gato_data.errors import EpisodeError
from gato_data.image_decoding import Alpha, decode_and_fit, decode_symbols, fit_frames, fit_images
from gato_data.image_fit import Images
from gato_data.image_header import RGBA
from gato_data.returns import episode_return
from gato_pipelines.containers.container import REWARD, TERMINAL, Container
from gato_pipelines.control.borders import check_borders
from gato_pipelines.control.expected import idle_note
from gato_pipelines.control.field_choice import FieldChoice
from gato_pipelines.control.filtering import passes
from gato_pipelines.control.final_step import kept_timesteps
from gato_pipelines.control.flags import flag_leaves, is_terminal, succeeded
from gato_pipelines.control.frame_stacks import FrameStack
from gato_pipelines.control.instructions import texts_of
from gato_pipelines.control.leaf_fields import fit_of
from gato_pipelines.control.resampling import Resampler
from gato_pipelines.control.selection import select
from gato_pipelines.rlds.episode import RldsEpisode, per_timestep
from gato_pipelines.rlds.features import Leaf
from gato_schemas.account import Note
from gato_schemas.dataset import TaskInfo
from gato_schemas.episode import Episode, Field, Value
from gato_schemas.index import Part


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What to make of the episodes of one part.

    Attributes:
        choice: which features become tokens, and how.
        agent: whose episodes they are.
        id_leaves: what makes up the dataset's own id of an episode.
        success: the flag that has to be set, if one has to.
        ignore_borders: whether flags inside an episode mean nothing.
    """

    choice: FieldChoice
    agent: str
    id_leaves: tuple[str, ...] = ()
    success: Leaf | None = None
    ignore_borders: bool = False


class EpisodeReader:
    """Turns the raw episodes of one part into episodes; `leaves` are those that it has to be given."""

    def __init__(self, container: Container, part: Part, task: TaskInfo, reading: Reading) -> None:
        self._part, self._task, self._reading = part, task, reading
        self._chosen = select(container, reading.choice).only(task)
        self._resampler = Resampler.of(self._chosen, task.resampling)
        extra = {REWARD, TERMINAL, *reading.id_leaves}
        extra |= set() if reading.ignore_borders else {leaf.path for leaf in flag_leaves(container)}
        leaves = [*self._chosen.leaves, *(leaf for leaf in container.features.leaves if leaf.path in extra)]
        leaves += [reading.success] if reading.success else []
        self.leaves = tuple({leaf.path: leaf for leaf in leaves}.values())

    def keeps(self, raw: RldsEpisode) -> bool:
        """Whether an episode passes the task's filter."""
        chosen = self._task.filter
        if chosen is None:
            return True
        if self._reading.success is not None and not succeeded(raw, self._reading.success):
            return False
        reward = per_timestep(raw, REWARD)
        return passes(chosen, float("nan") if reward is None else episode_return(reward))

    def resampled(self, raw: RldsEpisode) -> tuple[RldsEpisode, tuple[Note, ...]]:
        """The timesteps of an episode that become timesteps, and what is to be known of it.

        Raises:
            EpisodeError: it holds several.
        """
        check_borders(raw)
        if self._resampler is None:
            return raw, raw.notes
        found, idle = self._resampler.resampled(raw)
        more = (idle_note(self._part.task, self._resampler.asked, idle),) if idle else ()
        return found, (*raw.notes, *more)

    def episode(self, raw: RldsEpisode) -> Episode:
        """One episode, its images decoded.

        Raises:
            EpisodeError: it holds several, an image cannot be decoded, or no timestep is left.
        """
        reward, terminal = per_timestep(raw, REWARD), is_terminal(raw)
        keep = kept_timesteps(raw.num_timesteps, self._task.final_step, terminal=terminal)
        if keep < 1:
            what = "one timestep, and its final one is dropped" if raw.num_timesteps else "no timestep"
            raise EpisodeError(f"the episode has {what}", stage="read")
        histograms: dict[str, NDArray[np.int64]] = {}
        chosen = self._chosen.observations
        return Episode(
            task=self._part.task,
            agent=self._reading.agent,
            source_episode_id=self._source_id(raw),
            observations={spec.name: self._value(raw, leaf, spec, keep, histograms) for leaf, spec in chosen},
            actions={spec.name: raw.tensors[leaf.path][:keep] for leaf, spec in self._chosen.actions},
            reward=None if reward is None else reward[:keep].astype(np.float32),
            episode_return=float("nan") if reward is None else float(np.float32(episode_return(reward))),
            is_terminal=terminal,
            histograms=histograms,
        )

    def _source_id(self, raw: RldsEpisode) -> str:
        """The dataset's own id of an episode; empty where it has none."""
        return "/".join(str(raw.episode[path]) for path in self._reading.id_leaves if path in raw.episode)

    def _value(
        self, raw: RldsEpisode, leaf: Leaf, spec: Field, keep: int, histograms: dict[str, NDArray[np.int64]]
    ) -> Value:
        if spec.modality == "text":
            return texts_of(raw, leaf)[:keep]
        if spec.modality == "image":
            histograms[spec.name] = np.zeros(256, np.int64)
        elif leaf.path not in raw.images:
            return raw.tensors[leaf.path][:keep]
        try:
            if spec.modality == "image":
                return self._fitted(raw, leaf, keep, histograms[spec.name])
            return decode_symbols(raw.images[leaf.path][:keep], leaf.shape)
        except EpisodeError as error:
            raise EpisodeError(f"{spec.name}: {error}", stage=error.stage) from error

    def _fitted(self, raw: RldsEpisode, leaf: Leaf, keep: int, histogram: NDArray[np.int64]) -> Images:
        """The fitted images of a leaf; of stacked frames the newest."""
        images = self._chosen.images
        fit, stack = fit_of(leaf, images), images.stack_of(leaf)
        if leaf.path in raw.frames:
            return fit_frames(raw.frames[leaf.path], keep, fit, histogram=histogram)
        if leaf.path in raw.images:
            shape, alpha = _how_to_decode(leaf, images.stack)
            encoded = raw.images[leaf.path][:keep]
            fitted = decode_and_fit(encoded, shape, fit, alpha=alpha, histogram=histogram, bgr=leaf.bgr)
        else:
            values = raw.tensors[leaf.path][:keep]
            values = values if stack is None else stack.newest(values)
            fitted = fit_images(values if values.ndim == 4 else values[..., None], fit, histogram)
        if stack is not None and stack.frames == RGBA and not histogram[:255].any():
            raise EpisodeError(
                "the newest of four stacked frames is white all over, as the fourth channel of a picture without "
                "transparency is: see --frame-stack",
                stage="decode",
            )
        return fitted


def _how_to_decode(leaf: Leaf, stack: FrameStack) -> tuple[tuple[int | None, ...], Alpha]:
    """Shape and treatment of the fourth channel, which is a gray frame or opacity."""
    if leaf.shape[2:] != (RGBA,):
        return leaf.shape, "white"
    if stack == "newest":
        return leaf.shape, "newest"
    return (*leaf.shape[:2], 3), "white" if stack == "none" else "ask"
