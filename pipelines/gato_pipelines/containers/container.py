"""What a container is: one input of episodes, whatever its file format, presented in the terms of RLDS."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

from gato_data.errors import EpisodeError
from gato_pipelines.files.unchanged import changed
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Features, Leaf
from gato_schemas.account import Note
from gato_schemas.dataset import EnvironmentInfo, FinalStep

ActionSet: TypeAlias = Literal["actions", "actions_abs", "action_dict"]
ImageRows: TypeAlias = Literal["auto", "flip", "rotate", "as-stored"]
Pairing: TypeAlias = Literal["as-stored", "next-action"]
Colours: TypeAlias = Literal["swapped", "as-stored"]
SuccessAt: TypeAlias = Literal["end", "any"]

OBSERVATION, ACTION = "steps/observation", "steps/action"
REWARD, TERMINAL = "steps/reward", "steps/is_terminal"
FIRST, LAST = "steps/is_first", "steps/is_last"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conventions:
    """What no file can settle: answers by settings, whose defaults are those of the formats' own trainers.

    A container asks for what concerns its format; the others pass it by.

    Attributes:
        through_tfds: why TFDS has to decode features of an RLDS dataset; empty where it need not.
        episode_length: timesteps after which an episode ends where a file does not say; None where
            it does.
        instruction: what the episodes are told to do; empty where the file says it.
        actions: which of the actions that a file has of every timestep.
        image_rows: how images come upright: as the file's convention asks for, with their rows in
            reverse, turned by 180 degrees, or as they are.
        pairing: whether an observation goes with the action of its row, or with the next one.
        colours: whether red and blue change places inside encoded images.
        success: whether an episode succeeded at its end, or at any of its timesteps.
        action_key: which of several actions is meant; empty for the usual one.
    """

    through_tfds: str = ""
    episode_length: int | None = None
    instruction: str = ""
    actions: ActionSet = "actions"
    image_rows: ImageRows = "auto"
    pairing: Pairing = "as-stored"
    colours: Colours = "swapped"
    success: SuccessAt = "end"
    action_key: str = ""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a split, a range of its episodes, or a folder that stands for one part.

    Attributes:
        name: relative to the input's path, with "/".
        size: bytes of the whole file; of a folder, or of what is no file of that name, as the
            container counts them.
        num_episodes: of the range; None if not known.
        first: number of the first episode of the range.
        missing: why the file counts as missing; empty where it is there.
    """

    name: str
    size: int
    num_episodes: int | None
    first: int = 0
    missing: str = ""


@dataclass(frozen=True, slots=True)
class RawItem:
    """One episode of a file, or why it could not be read.

    Attributes:
        ordinal: its number in the file.
        episode: None where it could not be read.
        error: why not.
        count: how many episodes the error stands for.
        rest: whether it stands for all episodes from this one on.
    """

    ordinal: int
    episode: RldsEpisode | None = None
    error: EpisodeError | None = None
    count: int = 1
    rest: bool = False


@dataclass(frozen=True, kw_only=True)
class Container(ABC):
    """One input.

    Attributes:
        path: the folder that the names of files are relative to.
        name: what the dataset calls itself, never a path.
        config: its variant: a game, a level, a body; empty where there is none.
        version: of the dataset; empty where it has none.
        licence: redistribution terms; empty where undeclared.
        features: all leaves, named as in RLDS.
        final_step: what the file format says of final timesteps; None where that has to be found
            out.
        notes: what a user should know of how it is read.
        environment: where the episodes were played; None where the input does not say it.
    """

    format: ClassVar[str]
    stacks_frames: ClassVar[bool] = False
    """Whether the four channels of an image are four gray frames, the last one the newest."""
    has_episodes_apart: ClassVar[bool] = True
    """Whether the images of one episode are read without those of others."""

    has_episode_length: ClassVar[bool] = False
    """Whether where episodes end may be told by a time limit."""

    path: Path
    name: str
    config: str = ""
    version: str = ""
    licence: str = ""
    features: Features
    final_step: FinalStep | None = None
    notes: tuple[Note, ...] = ()
    environment: EnvironmentInfo | None = None

    @property
    def label(self) -> str:
        """Name, config and version in one."""
        return "/".join(filter(None, (self.name, self.config, self.version)))

    def paths(self, file: str) -> list[Path]:
        """What holds the episodes of a file: itself, unless it stands for several."""
        return [self.path / file]

    def paths_of(self, file: str, first: int, count: int) -> list[Path]:
        """What holds the episodes [first, first + count) of a file: all of it, unless a container can tell them apart.

        A count of 0 stands for all from the first on.
        """
        return self.paths(file)

    def paths_of_rows(self, file: str, first: int, count: int) -> list[Path]:
        """Those of them that hold more than videos."""
        return self.paths_of(file, first, count)

    def episode_numbers(self, file: str) -> Sequence[int] | None:
        """The dataset's own numbers of the episodes of a file, ascending; None where it has none but their places."""
        return None

    def value_range(self, leaf: Leaf) -> tuple[list[float], list[float]] | None:
        """The least and the largest value of every element of a leaf as the dataset says; None where it does not."""
        return None

    def check_unchanged(self, file: str, size: int) -> None:
        """Check that a file still has the size that it was planned with; the size of a folder says nothing.

        Raises:
            InputError: it has another one.
        """
        paths = self.paths(file)
        if all(path.is_file() for path in paths) and (now := sum(path.stat().st_size for path in paths)) != size:
            raise changed(file, size, now)

    def variant(self, file: str) -> str:
        """What the episodes of a file are of: the default name of their task."""
        return self.config or self.name

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of all splits, in order."""
        return ("train",)

    @abstractmethod
    def files(self, split: str) -> list[File]:
        """The files of a split, in order; those that are missing say so.

        Raises:
            InputError: there is no such split.
        """

    def check_announced(self, file: str) -> None:  # noqa: B027 - most formats count their own episodes
        """Check that a file holds no more episodes than its dataset announces.

        Raises:
            InputError: it does.
            OSError: it cannot be opened.
        """

    @abstractmethod
    def episodes(
        self, file: str, leaves: tuple[Leaf, ...], first: int = 0, count: int | None = None
    ) -> Iterator[RawItem]:
        """Episodes [first, first + count) of a file, with these leaves only; images stay encoded.

        What cannot be read is an item with an error, never an exception.

        Raises:
            OSError: the file cannot be opened.
        """
