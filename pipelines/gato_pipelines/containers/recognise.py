"""What an input looks like, told from names, first bytes, members of HDF5 and columns of parquet; nothing is read."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from gato_data.errors import EpisodeError, GatoError, InputError
from gato_data.remote.fetch import FetchError
from gato_pipelines.containers.formats import ALONE, FORMATS, MAGIC, SUFFIXES, Sight
from gato_pipelines.containers.minari_arrow import is_minari_arrow
from gato_pipelines.remote.ranged import open_input, ranged_file
from gato_pipelines.rlds.versions import DATASET_INFO, FEATURES, Listing, walk
from gato_schemas.dataset import MANIFEST

MINARI = "main_data.hdf5"
HDF5 = (".hdf5", ".h5")
TELLING = {DATASET_INFO, FEATURES, MANIFEST, "info.json", "metadata.json"}
"""Names of files by which formats are told: they have to be there before anything is read."""
_HEAD = 512
_MAX_JSON_BYTES = 1 << 22
_SAMPLED = 200
"""Files of a folder that are looked at to tell what most of them are."""
_RAW = re.compile(r"^run_\d+-\d{5}-of-\d{5}$")
_DEMO = re.compile(r"^demo_\d+$")
_CAMERA = "agentview_rgb"
_TRAJECTORY = re.compile(r"^traj_\d+$")
_EPISODE = re.compile(r"^episode_\d+$")
_LEROBOT = ("info.json", "tasks.jsonl", "tasks.parquet", "episodes.jsonl", "episodes")
_LEROBOT_LEVELS = 4
"""Folders above the deepest file of a LeRobot dataset: videos/CAMERA/chunk-000/file-000.mp4."""
_VERSION = re.compile(r"^v\d[\w.]{0,9}$")
_SHARD = re.compile(r"\.(tfrecord|array_record|riegeli|bagz)-\d{5}")


def refusal(path: Path, sight: Sight) -> InputError:
    """The error of what a source of control data cannot read."""
    return InputError(f"{path} looks like {sight}, {sight.format.advice}")


def no_documents(path: Path, sight: Sight) -> InputError:
    """The error of what a source of documents cannot read."""
    if sight.format.holds == "dataset":
        return refusal(path, sight)
    return InputError(f"{path} looks like {sight}, which holds no documents: give it to a source of episodes")


def recognise(path: Path) -> Sight | None:
    """What a file or a folder looks like; None where nothing tells.

    Raises:
        OSError: it cannot be read.
        FetchError: it lies at an address, from where it did not come.
    """
    if path.is_file():
        return _file(path)
    listing = next(walk(path))
    return rooted(listing) or (_most(path) if not datasets_in(listing) else None)


def rooted(listing: Listing) -> Sight | None:
    """The dataset whose root a folder is; None where it is none of those that are told by their root."""
    path, files, folders = listing.path, listing.files, listing.folders
    if MANIFEST in files and {"vocabulary", "splits"} <= _json(path / MANIFEST).keys():
        return _sight("gato-data", MANIFEST)  # which TFDS can open, too
    if FEATURES in files or (DATASET_INFO in files and not _any(files, ".arrow")):
        return _sight("rlds", FEATURES if FEATURES in files else DATASET_INFO)
    for name in ("meta", "meta_data"):
        if name in folders and (found := _json(path / name / "info.json")):
            version = str(found.get("codebase_version", ""))
            known = "lerobot-1" if name == "meta_data" or version.startswith("v1") else "lerobot"
            return Sight(FORMATS[known], f"{name}/info.json", version if _VERSION.match(version) else "")
    if {"meta", "data"} <= {*folders} and any((path / "meta" / name).exists() for name in _LEROBOT):
        return _sight("lerobot", "meta")  # damaged or incomplete: its reader says what is wrong
    if MINARI in files or ("data" in folders and (path / "data" / MINARI).is_file()):
        return _sight("minari", MINARI)
    if is_minari_arrow(path) or is_minari_arrow(path / "data"):
        return _sight("minari-arrow", "0/part-0")
    if "data" in folders and "observation_space" in _json(path / "data" / "metadata.json"):
        return _sight("minari-arrow", "data/metadata.json")
    if "dataset_dict.json" in files or ("state.json" in files and _any(files, ".arrow")):
        return _sight("hf-disk", "dataset_dict.json" if "dataset_dict.json" in files else "state.json")
    if any((path / name).is_file() for name in (".zgroup", ".zarray", "zarr.json")):
        return _sight("zarr", ".zgroup, .zarray or zarr.json")
    return None


def lerobot_around(path: Path) -> Path | None:
    """The LeRobot dataset that a file or a folder is a part of; None where there is none."""
    inside = path.absolute()
    for folder in [*inside.parents][:_LEROBOT_LEVELS]:
        is_part = inside.relative_to(folder).parts[0] in ("meta", "data", "videos")
        if is_part and "codebase_version" in _json(folder / "meta" / "info.json"):
            return folder
    return None


def datasets_in(listing: Listing) -> list[Path]:
    """The datasets that are files in a folder, or are the folder because of its files."""
    path, files = listing.path, listing.files
    hdf5 = [path / name for name in files if name.endswith(HDF5)]
    others = _any(files, ".parquet") or any(_RAW.match(name) for name in files)
    return [path] if others or len(hdf5) > 1 else hdf5


def documents_lack(path: Path) -> Sight | None:
    """What an input looks like that holds nothing for a source of documents: episodes, or a dataset of ours.

    A folder does so only where every dataset in it does, and no file lies beside them.
    """
    sights: list[Sight] = []
    with suppress(OSError, InputError):
        if path.is_file():
            sights = [found] if (found := _file(path)) else []
        for listing in walk(path) if path.is_dir() else ():
            if (sight := rooted(listing)) is None:
                if listing.files:
                    return None
                continue
            sights.append(sight)
            listing.folders.clear()
            if not _no_documents(sight, listing.path):
                return None
    return sights[0] if sights and sights[0].format.holds in ("episodes", "dataset") else None


def _no_documents(sight: Sight, path: Path) -> bool:
    if sight.format.name == "rlds":  # TFDS keeps texts in the same layout
        return b'"steps"' in _bytes(path / FEATURES)
    return sight.format.holds in ("episodes", "dataset")


def _file(path: Path) -> Sight | None:
    with open_input(path) as file:
        head = file.read(_HEAD)
    if path.name == MINARI:
        return _sight("minari", MINARI)
    if _SHARD.search(path.name) or path.name in (DATASET_INFO, FEATURES):
        return _sight("tfds-file", path.name)
    for at, magic, name in MAGIC:
        if head[at : at + len(magic)] == magic:
            if (look := _INSIDE.get(name)) is None:
                return _sight(name, "its first bytes")
            try:
                return look(path)
            except FetchError:
                raise
            except GatoError:
                return None
    packed = head.startswith(b"\x1f\x8b")
    return _by_name(path.name, ALONE) or (_sight("rlu-raw", "GZIP") if packed else None)


def _by_name(name: str, more: dict[str, str]) -> Sight | None:
    suffixes, packed = Path(name.lower()).suffixes, ""
    if suffixes[-1:] and suffixes[-1] in (".gz", ".zst", ".bz2", ".xz"):
        suffixes = suffixes[:-1]
        if suffixes[-1:] == [".tar"]:
            return _sight("archive", name)
        packed = "archive" if suffixes else ""
    found = (SUFFIXES | more).get(suffixes[-1], packed) if suffixes else ""
    return _sight(found, name) if found else None


def _most(path: Path) -> Sight | None:
    """What most of the files of a folder look like, by their names alone."""
    names = (name for listing in walk(path) for name in sorted(listing.files))
    sights = [sight for name in islice(names, _SAMPLED) if (sight := _by_name(name, {}))]
    counts = Counter(sight.format.name for sight in sights)
    wanted = counts.most_common(1)[0][0] if counts else ""
    return next((sight for sight in sights if sight.format.name == wanted), None)


def _hdf5(path: Path) -> Sight | None:
    from gato_pipelines.containers.hdf5 import child, names, open_hdf5

    with open_hdf5(path) as root:
        members = names(root, "the file")
        if "observations" in members and {"actions", "action"} & {*members}:
            observations = child(root, "observations") if "action" in members else None
            if hasattr(observations, "keys") and "qpos" in names(observations, "observations"):
                return _sight("aloha", "observations/qpos")
            return _sight("d4rl", "observations")
        if "data" in members and (sight := _demonstrations(root)) is not None:
            return sight
        for name, pattern in (("maniskill", _TRAJECTORY), ("minari-file", _EPISODE)):
            if found := _first(members, pattern):
                return _sight(name, found)
    return None


def _demonstrations(root: Any) -> Sight | None:
    """The family of a file whose `data` are demonstrations; what is damaged there, its reader says."""
    from gato_pipelines.containers.hdf5 import attribute, below, child, names

    try:
        data = child(root, "data")
        demo = _first(names(data, "data"), _DEMO) if hasattr(data, "keys") else ""
        seen = below(data, f"{demo}/obs") if demo else None
        # what others make of LIBERO's files keeps the names of its cameras, and none of its attributes
        is_libero = hasattr(seen, "keys") and _CAMERA in names(seen, "obs")
        is_libero |= bool(demo) and any(
            attribute(data, name) is not None for name in ("bddl_file_name", "problem_info")
        )
    except EpisodeError:
        return _sight("robomimic", "data")
    return _sight("libero" if is_libero else "robomimic", f"data/{demo}") if demo else None


def _parquet(path: Path) -> Sight | None:
    from gato_pipelines.files.streams import import_pyarrow

    pyarrow = import_pyarrow()
    try:
        columns = {str(name) for name in pyarrow.parquet.read_schema(ranged_file(path) or path).names}
    except (OSError, pyarrow.ArrowException, ValueError) as error:
        raise EpisodeError(f"{path} is damaged ({error})", stage="read") from error
    for wanted, name in _COLUMNS:
        if wanted <= columns:
            return _sight(name, f"columns {', '.join(sorted(wanted))}")
    return None


_COLUMNS: Sequence[tuple[set[str], str]] = (
    ({"discrete_actions"}, "jat"),
    ({"continuous_actions"}, "jat"),
    ({"episode_index", "frame_index"}, "lerobot-rows"),
    ({"actions", "observations", "rewards"}, "decision-transformer"),
    ({"images", "texts"}, "pages"),
    ({"image", "conversations"}, "captions"),
    ({"image", "caption"}, "captions"),
    ({"image", "text"}, "captions"),
    ({"text"}, "texts"),
)
_INSIDE: dict[str, Callable[[Path], Sight | None]] = {"hdf5": _hdf5, "parquet": _parquet}


def _sight(name: str, told_by: str) -> Sight:
    return Sight(FORMATS[name], told_by)


def _first(names: Sequence[str], pattern: re.Pattern[str]) -> str:
    return next(filter(pattern.match, names), "")


def _any(names: frozenset[str], suffix: str) -> bool:
    return any(name.endswith(suffix) for name in names)


def _json(path: Path) -> dict[str, Any]:
    """The content of a JSON object; empty where there is none, or no object."""
    try:
        return msgspec.json.decode(_bytes(path), type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return {}


def _bytes(path: Path) -> bytes:
    """The beginning of a file; nothing where there is none."""
    try:
        with path.open("rb") as file:
            return file.read(_MAX_JSON_BYTES)
    except OSError:
        return b""
