"""Sessions of our robot arm: .npz files with the timesteps of all episodes one after the other."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from zipfile import BadZipFile

import numpy as np

from gato_pipelines.plugin import (
    Container,
    ControlSource,
    EpisodeError,
    Features,
    File,
    InputError,
    Kind,
    Leaf,
    RawItem,
    RldsEpisode,
    setting,
)

ARRAYS = {"steps/observation/pose": "pose", "steps/action": "action", "steps/reward": "reward"}
DAMAGE = (ValueError, KeyError, EOFError, BadZipFile)


@dataclass(frozen=True, kw_only=True)
class Sessions(Container):
    """A folder of sessions."""

    format: ClassVar[str] = "arm .npz"
    degrees: bool

    def files(self, split: str) -> list[File]:
        """The files in a fixed order: each is the work of one worker, and becomes one shard."""
        if split != "train":
            raise InputError(f"{self.path} has no split {split!r}: there is only 'train'")
        return [File(path.name, path.stat().st_size, None) for path in sorted(self.path.glob("*.npz"))]

    def episodes(
        self, file: str, leaves: tuple[Leaf, ...], first: int = 0, count: int | None = None
    ) -> Iterator[RawItem]:
        """The episodes of one file, with the arrays that are asked for."""
        try:
            with np.load(self.path / file, allow_pickle=False) as arrays:
                columns = {leaf.path: arrays[ARRAYS[leaf.path]] for leaf in leaves}
                starts = arrays["starts"].tolist()
                rows = len(arrays["action"])
        except DAMAGE as error:
            reason = EpisodeError(f"{file} cannot be read ({error})", stage="read")
            yield RawItem(first, error=reason, count=count or 1, rest=True)
            return
        if self.degrees and "steps/observation/pose" in columns:
            columns["steps/observation/pose"] = np.deg2rad(columns["steps/observation/pose"])
        bounds = list(zip(starts, [*starts[1:], rows], strict=True))
        for ordinal, (start, stop) in enumerate(bounds):
            if first <= ordinal < (len(bounds) if count is None else first + count):
                tensors = {path: column[start:stop] for path, column in columns.items()}
                yield RawItem(ordinal, RldsEpisode(num_timesteps=stop - start, tensors=tensors))


@dataclass(frozen=True)
class Source(ControlSource):
    """Sessions of our robot arm: three joint angles and three torques."""

    licence: ClassVar[str] = "ours"
    formats: ClassVar[str] = "folders of .npz files"
    tokens_per_timestep: ClassVar[str] = "7"
    example: ClassVar[str] = "gato-data ingest arm-npz sessions --out arm --degrees"

    degrees: bool = setting(False, "The joint angles are in degrees.")

    def container(self, folder: Path) -> Sessions:
        """The input: what it is called, and what every timestep has."""
        files = sorted(folder.glob("*.npz"))
        if not files:
            raise InputError(f"{folder} has no .npz files: give a folder of sessions")
        try:
            with np.load(files[0], allow_pickle=False) as arrays:
                leaves = [
                    Leaf(path=path, kind=Kind.TENSOR, dtype=arrays[name].dtype.name, shape=arrays[name].shape[1:])
                    for path, name in ARRAYS.items()
                ]
        except DAMAGE as error:
            raise InputError(f"{files[0]} is no session of an arm ({error})") from error
        features = Features(tuple(sorted(leaves, key=lambda leaf: leaf.path)))
        return Sessions(path=folder, name="arm", features=features, degrees=self.degrees)
