"""What Minari's `data/metadata.json` says of a dataset: its name, its environment, and the spaces of its values."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from gato_data.errors import InputError
from gato_data.vocabulary import DISCRETE_VALUES
from gato_pipelines.containers.container import ACTION, OBSERVATION
from gato_pipelines.rlds.features import Features, Leaf
from gato_schemas.account import Note
from gato_schemas.bounds import Side
from gato_schemas.dataset import FinalStep
from gato_schemas.episode import Start

METADATA = "metadata.json"
MAX_METADATA_BYTES = 1 << 26
MAX_EPISODES = 1_000_000
"""Episodes that a description may announce: more can only be damage."""


class Space(msgspec.Struct, frozen=True):
    """One space of gymnasium; bounds of boxes are passed over."""

    type: str = ""
    shape: tuple[Side, ...] = ()
    start: Start = 0
    n: Start = 0
    subspaces: dict[str, "Space"] | tuple["Space", ...] = ()

    def members(self) -> dict[str, "Space"]:
        """The spaces inside, by the names that Minari gives them in HDF5."""
        if isinstance(self.subspaces, dict):
            return self.subspaces
        return {f"_index_{number}": space for number, space in enumerate(self.subspaces)}

    @property
    def offset(self) -> int:
        """What has to be taken from values so that they fit into the discrete tokens; 0 where they do."""
        return self.start if self.start < 0 or self.start + self.n > DISCRETE_VALUES else 0

    @property
    def values(self) -> int | None:
        """How many values a discrete space has from its offset on; None where it is none."""
        count = self.start + self.n - self.offset
        return count if self.n > 0 and 0 < count <= DISCRETE_VALUES else None


class _Environment(msgspec.Struct, frozen=True):
    id: str = ""


class Metadata(msgspec.Struct, frozen=True):
    """The parts of `metadata.json` that matter here; spaces and environment are JSON in JSON."""

    dataset_id: str = ""
    total_episodes: int = 0
    env_spec: str = ""
    data_format: str = "hdf5"
    observation_space: str = ""
    action_space: str = ""

    @property
    def environment(self) -> str:
        """Id of the environment; empty where it is not told."""
        try:
            return msgspec.json.decode(self.env_spec or "{}", type=_Environment).id.replace("/", "-")
        except (msgspec.MsgspecError, RecursionError):
            return ""

    def announced(self) -> range:
        """The numbers of the episodes that there should be; none where that is not told."""
        return range(self.total_episodes if self.total_episodes <= MAX_EPISODES else 0)

    def spaces(self) -> dict[str, Space]:
        """The spaces of observations and actions by path, those inside others too; empty where they are not told."""
        found: dict[str, Space] = {}
        for path, text in ((OBSERVATION, self.observation_space), (ACTION, self.action_space)):
            try:
                found |= dict(_walk(path, msgspec.json.decode(text or "{}", type=Space)))
            except (msgspec.MsgspecError, RecursionError):
                continue
        return found


def read_metadata(path: Path) -> Metadata:
    """The description of a dataset; an empty one where there is none.

    Raises:
        InputError: it cannot be read.
    """
    if not path.is_file():
        return Metadata()
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(MAX_METADATA_BYTES), type=Metadata)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InputError(f"{path} is not the description of a Minari dataset ({error})") from error


def described(data: Path, metadata: Metadata, leaves: Iterable[Leaf]) -> dict[str, Any]:
    """What a container takes over from the description of a dataset in the folder `data`."""
    name = metadata.dataset_id or data.resolve().parent.name
    spaces, unknown = metadata.spaces(), Space()
    told = [(leaf, spaces.get(leaf.path, unknown)) for leaf in leaves]
    shifted = [replace(leaf, start=space.offset, values=space.values) for leaf, space in told]
    begin = [(leaf.path, leaf.start) for leaf in shifted if leaf.start]
    return {
        "path": data,
        "name": name,
        "config": metadata.environment or name.replace("/", "-"),
        "features": Features(tuple(sorted(shifted, key=lambda leaf: leaf.path))),
        "final_step": FinalStep("keep", "Minari's last observation has no action, and was left out"),
        "notes": tuple(Note("read", f"values of {path} begin at {start}, which is id 0") for path, start in begin),
    }


def _walk(path: str, space: Space) -> Iterator[tuple[str, Space]]:
    yield path, space
    for name, inside in space.members().items():
        yield from _walk(f"{path}/{name}", inside)
