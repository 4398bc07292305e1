"""What `meta/info.json` of a LeRobot dataset says: features, frames a second, patterns of the names of files."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any

import msgspec

from gato_data.errors import InputError
from gato_data.files import is_inside
from gato_pipelines.files.git_lfs import check_fetched
from gato_pipelines.files.streams import import_pyarrow
from gato_schemas.bounds import Side

INFO = "meta/info.json"
VERSIONS = ("v2.0", "v2.1", "v3.0")
MAX_EPISODES = 10_000_000
MAX_JSON_BYTES = 1 << 26
MAX_LINES_BYTES = 1 << 32
_PLACE = re.compile(r"\{(?P<name>\w+)(:0?(?P<digits>[0-9]))?d?\}")


class Feature(msgspec.Struct, frozen=True):
    """One column of the rows, or one camera."""

    dtype: str
    shape: tuple[Side, ...] = ()
    names: Any = None
    info: dict[str, Any] | None = None
    video_info: dict[str, Any] | None = None

    @property
    def is_depth(self) -> bool:
        """Whether its pixels are distances."""
        told = {**(self.video_info or {}), **(self.info or {})}
        return bool(told.get("is_depth_map") or told.get("video.is_depth_map"))


class Info(msgspec.Struct, frozen=True):
    """The parts of `info.json` that matter here."""

    codebase_version: str
    fps: float
    features: dict[str, Feature]
    data_path: str
    video_path: str | None = None
    chunks_size: int = 1000
    robot_type: str | None = None
    splits: dict[str, str] = {}
    total_episodes: int | None = None

    @property
    def is_v3(self) -> bool:
        """Whether files hold many episodes."""
        return self.codebase_version == "v3.0"


@contextmanager
def reading(path: Path, root: Path) -> Iterator[None]:
    """Whatever is raised in here means that a file of the description cannot be used."""
    pyarrow = import_pyarrow()
    faults = (msgspec.MsgspecError, RecursionError, pyarrow.ArrowException, ValueError, KeyError, TypeError)
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{root} lacks {path.relative_to(root)}: download it") from error
    except (*faults, OSError) as error:
        check_fetched([path])
        raise InputError(f"{path.relative_to(root)} of {root} cannot be read ({error}): download it again") from error


def read_info(root: Path) -> Info:
    """The description of a dataset.

    Raises:
        InputError: it cannot be read, is of another version, or names files outside the folder.
    """
    path = root / INFO
    with reading(path, root):
        info = msgspec.json.decode(whole_file(path), type=Info)
    if info.codebase_version not in VERSIONS:
        raise InputError(
            f"{root} is a LeRobot dataset of version {info.codebase_version[:20]!r}, {', '.join(VERSIONS)} are read: "
            "convert it with LeRobot's own scripts"
        )
    if not (isfinite(info.fps) and 0 < info.fps <= 100_000) or info.chunks_size < 1:
        raise InputError(f"{path} says {info.fps} frames a second, {info.chunks_size} episodes a folder: mend it")
    places = ("chunk_index", "file_index") if info.is_v3 else ("episode_chunk", "episode_index")
    for template in (info.data_path, info.video_path or "a"):
        rendered(template, video_key="a", **dict.fromkeys(places, 0))
    return info


def rendered(template: str, **values: int | str) -> str:
    """The name of a file, of a pattern such as "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet".

    Nothing of Python's format language counts but a name and a width of one digit, and nothing
    leads out of the folder.

    Raises:
        InputError: the pattern is none, or what it makes is no name inside the folder.
    """
    said = f"info.json of LeRobot names files by {template[:200]!r}"
    if set("{}") & set(_PLACE.sub("", template)):
        raise InputError(f"{said}: names and widths such as {{episode_index:06d}} are wanted in braces")

    def fill(match: re.Match[str]) -> str:
        if match["name"] not in values:
            raise InputError(f"{said}: there is no {match['name'][:50]!r}, but {', '.join(values)}")
        return str(values[match["name"]]).zfill(int(match["digits"] or 0))

    name = _PLACE.sub(fill, template)
    if not is_inside(name):
        raise InputError(f"info.json of LeRobot names the file {name[:200]!r}, which is outside its folder: mend it")
    return name


def lines(path: Path, kind: type[Any]) -> Iterator[Any]:
    """The lines of a file of JSON lines, each as a struct of some kind."""
    decoder = msgspec.json.Decoder(kind)
    for number, line in enumerate(raw_lines(path)):
        if number >= MAX_EPISODES:
            raise ValueError(f"more than {MAX_EPISODES} lines")
        yield decoder.decode(line)


def raw_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file that are not empty."""
    with path.open("rb") as file:
        while line := file.readline(MAX_JSON_BYTES + 1):
            if len(line) > MAX_JSON_BYTES or file.tell() > MAX_LINES_BYTES:
                raise ValueError("a line, or the file, is larger than any description")
            if line.strip():
                yield line


def whole_file(path: Path) -> bytes:
    """The content of a small file.

    Raises:
        ValueError: it is larger than any description.
    """
    with path.open("rb") as file:
        content = file.read(MAX_JSON_BYTES + 1)
    if len(content) > MAX_JSON_BYTES:
        raise ValueError(f"it has more than {MAX_JSON_BYTES} bytes")
    return content
