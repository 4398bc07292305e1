"""HDF5 files of ALOHA and ACT: one episode a file, `episode_0.hdf5`, in a folder.

    action (T, 14)                          targets of two arms: six joints in radians and a gripper each
    base_action (T, 2)                      of a mobile base: a part of the action, behind the arms
    observations/qpos, qvel, effort (T, 14)
    observations/images/CAMERA              (T, H, W, 3), or (T, bytes): a JPEG with zeros behind it
    compress_len                            how long each JPEG is, which its end marker says as well

Attributes: `sim`, whether it was simulated; `compress`. Nothing says what an episode is about.
Recorders hand frames in red, green and blue to cv2.imencode, which takes them for blue, green and
red; cv2.imdecode turns that round again, and other decoders do not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from gato_data.errors import EpisodeError, InputError
from gato_data.remote.fetch import FetchError
from gato_pipelines.containers.container import ACTION, OBSERVATION, Colours, Container, Conventions, File, RawItem
from gato_pipelines.containers.hdf5 import attribute, below, names, open_hdf5
from gato_pipelines.containers.hdf5_episodes import (
    EPISODE_ID,
    INSTRUCTION,
    Rows,
    by_path,
    hdf5_files,
    leaves_of,
    num_actions,
    number_of,
    read_episode,
    told,
)
from gato_pipelines.files.find import root_of
from gato_pipelines.images.jpeg_end import JPEG_END
from gato_pipelines.rlds.episode import EncodedImage, RldsEpisode
from gato_pipelines.rlds.features import Features, Kind, Leaf
from gato_schemas.account import Note
from gato_schemas.dataset import FinalStep

_COLOURS: Mapping[Colours, str] = {
    "swapped": "red and blue of JPEG frames change places, as cv2.imdecode gives them to ACT: `ingest aloha --colours "
    "as-stored` leaves them",
    "as-stored": "JPEG frames have the colours that are stored, without the change that cv2.imdecode makes for ACT",
}
_REAL = (
    "recorded from a real robot (sim is false), where ACT trains on the action of one timestep earlier: actions are "
    "kept as stored"
)
_KNOWN = ("action", "base_action", "observations", "compress_len")


@dataclass(frozen=True, kw_only=True)
class AlohaContainer(Container):
    """A folder of episodes, or one of them.

    Attributes:
        names: of the files, in order.
        sets: names in the files of what RLDS calls otherwise.
        instruction: of all episodes.
    """

    format: ClassVar[str] = "ALOHA (HDF5)"

    names: tuple[str, ...]
    sets: dict[str, str]
    instruction: str

    def files(self, split: str) -> list[File]:
        """One file for each episode."""
        if split != "train":
            raise InputError(f"{self.path} has no split {split!r}: ALOHA's folders have only 'train'")
        return [File(name, (self.path / name).stat().st_size, 1) for name in self.names]

    def episodes(
        self, file: str, leaves: tuple[Leaf, ...], first: int = 0, count: int | None = None
    ) -> Iterator[RawItem]:
        """The episode of a file; a file that cannot be opened costs itself alone."""
        for ordinal in range(1)[first : None if count is None else first + count]:
            try:
                with open_hdf5(self.path / file) as root:
                    yield RawItem(ordinal, self._episode(root, Path(file).stem, leaves))
            except EpisodeError as error:
                yield RawItem(ordinal, error=error)
            except FetchError:
                raise
            except InputError as error:
                reason = str(error).replace(str(self.path / file), file)
                yield RawItem(ordinal, error=EpisodeError(reason, stage="read"))

    def _episode(self, root: Any, name: str, leaves: tuple[Leaf, ...]) -> RldsEpisode:
        steps = num_actions(root, self.sets)
        rows = {ACTION: Rows(0, steps, steps)}
        episode = read_episode(root, leaves, self.sets, rows, number=number_of(name))
        images = {path: [*_without_padding(path, frames)] for path, frames in episode.images.items()}
        episode = replace(episode, images=images)
        return told(episode, self.instruction) if INSTRUCTION in leaves else episode


def aloha_container(path: Path, conventions: Conventions) -> AlohaContainer:
    """The container of a folder of episodes, or of one of them.

    Raises:
        InputError: none of the files can be read, or the first that can be is no episode of ALOHA.
        FetchError: what lies at an address did not come.
    """
    damaged: InputError | None = None
    for name in hdf5_files(path):
        try:
            with open_hdf5(root_of(path) / name) as root:
                return _described(path, root, conventions)
        except EpisodeError as error:
            damaged = damaged or InputError(f"{root_of(path) / name} cannot be read: {error}")
        except FetchError:
            raise
        except InputError as error:
            damaged = damaged or error
    raise damaged or InputError(f"{path} holds no HDF5 file")


def _described(path: Path, root: Any, conventions: Conventions) -> AlohaContainer:
    """The container, as the first episode that can be opened describes it."""
    if below(root, "action") is None or below(root, "observations/qpos") is None:
        raise InputError(f"{root.filename} is no episode of ALOHA: action and observations/qpos are wanted")
    folder, sets, swapped = root_of(path), _sets(root), conventions.colours == "swapped"
    leaves = [replace(leaf, bgr=swapped) if leaf.kind == Kind.IMAGE else leaf for leaf in leaves_of(root, sets)]
    return AlohaContainer(
        path=folder,
        name="aloha",
        config=folder.resolve().name,
        features=Features(by_path((*leaves, EPISODE_ID, INSTRUCTION))),
        final_step=FinalStep("keep", "ALOHA stores an observation with every action, and none behind the last one"),
        notes=tuple(_notes(root, leaves, conventions, folder.resolve().name)),
        names=hdf5_files(path),
        sets=sets,
        instruction=conventions.instruction or folder.resolve().name,
    )


def _sets(root: Any) -> dict[str, str]:
    """Names in a file of what RLDS calls otherwise; an action of two parts has them in the order of their names."""
    members = names(root, "the file")
    actions = [name for name in ("action", "base_action") if name in members]
    acted = {ACTION: "action"} if len(actions) == 1 else {f"{ACTION}/{name}": name for name in actions}
    return acted | {OBSERVATION: "observations"} | {f"steps/{name}": name for name in members if name not in _KNOWN}


def _notes(root: Any, leaves: list[Leaf], conventions: Conventions, folder: str) -> Iterator[Note]:
    if not conventions.instruction:
        yield Note(
            "read", f"the instruction is the name of the folder, {folder!r}: `ingest aloha --instruction` says another"
        )
    if any(leaf.kind == Kind.IMAGE for leaf in leaves):
        yield Note("read", _COLOURS[conventions.colours])
    if attribute(root, "sim") is False:
        yield Note("read", _REAL)


def _without_padding(path: str, frames: Sequence[EncodedImage]) -> Iterator[bytes]:
    """JPEGs without the zeros behind them."""
    for timestep, frame in enumerate(frames):
        data = bytes(frame).rstrip(b"\0")
        if not data.endswith(JPEG_END):
            raise EpisodeError(f"{path} has no whole JPEG in timestep {timestep}", stage="decode")
        yield data
