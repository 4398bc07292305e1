"""What LeRobot's columns are in the terms of RLDS: observations, the action, rewards and flags, what lies beside."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

from gato_data.errors import InputError
from gato_pipelines.containers.container import ACTION, OBSERVATION, REWARD, TERMINAL
from gato_pipelines.containers.lerobot_info import Feature
from gato_pipelines.rlds.decode import NUMERIC_DTYPES
from gato_pipelines.rlds.features import MAX_LEAF_BYTES, MAX_LEAVES, Features, Kind, Leaf

INSTRUCTION = "steps/language_instruction"
SUCCESS = "steps/success"
EPISODE_ID = "episode_id"
_ACTIONS = ("action", "actions")
_FLAGS = {"next.reward": REWARD, "next.done": TERMINAL, "next.success": SUCCESS}
_COUNTERS = ("timestamp", "frame_index", "episode_index", "index", "task_index")
_BESIDE = ("next.", "annotation.", "action", "complementary_info.")
_PICTURES = ("image", "video")


@dataclass(frozen=True)
class Columns:
    """The leaves of a dataset, and the column of each.

    Attributes:
        features: of all leaves.
        names: column of every leaf that has one, by path.
        action: column of the action.
        others: columns of other actions.
    """

    features: Features
    names: Mapping[str, str]
    action: str
    others: tuple[str, ...]


def columns_of(found: Mapping[str, Feature], dataset: str, asked: str = "") -> Columns:
    """What the columns are.

    Args:
        found: the columns by name, as `info.json` has them.
        dataset: its name, for errors.
        asked: column of the action; empty for the usual one.

    Raises:
        InputError: there is no action, or two columns would have one name.
    """
    if len(found) > MAX_LEAVES:
        raise InputError(f"{dataset} has more than {MAX_LEAVES} columns, which can only be damage")
    action = next((name for name in ((asked,) if asked else _ACTIONS) if name in found), "")
    if not action:
        wanted = repr(asked) if asked else " or ".join(map(repr, _ACTIONS))
        raise InputError(
            f"{dataset} has no column {wanted} that could be the action, but {', '.join(sorted(found))}: name one with "
            "--action-key of `gato-data ingest lerobot`"
        )
    names: dict[str, str] = {}
    leaves: list[Leaf] = []
    for path, name in _paths(found, action):
        if path in names or path == INSTRUCTION:
            raise InputError(f"{dataset} has two columns for {path}, one of them {name!r}: rename it")
        names[path] = name
        leaves.append(_leaf(path, found[name], name))
    leaves.append(Leaf(path=INSTRUCTION, kind=Kind.TEXT, dtype="string"))
    leaves.append(Leaf(path=EPISODE_ID, kind=Kind.SCALAR, dtype="int64"))
    others = tuple(name for name in found if name.startswith("action") and name != action)
    return Columns(Features(tuple(sorted(leaves, key=lambda leaf: leaf.path))), names, action, others)


def _paths(found: Mapping[str, Feature], action: str) -> Iterator[tuple[str, str]]:
    """Path and name of every column but counters: observations are `observation.*`, or without those, what is left."""
    is_named = any(name.split(".")[0] == "observation" for name in found)
    for name in found:
        first, _, rest = name.partition(".")
        if name == action:
            yield ACTION, name
        elif name in _FLAGS:
            yield _FLAGS[name], name
        elif name in _COUNTERS:
            continue
        elif is_named and first == "observation":
            yield f"{OBSERVATION}/{rest.replace('.', '/')}" if rest else OBSERVATION, name
        elif is_named or name.startswith(_BESIDE) or name.endswith("is_pad"):
            yield f"steps/column/{name}", name
        else:
            yield f"{OBSERVATION}/{name.replace('.', '/')}", name


def _leaf(path: str, feature: Feature, name: str) -> Leaf:
    if feature.dtype in _PICTURES:
        return _picture(path, feature, name)
    if feature.dtype == "string":
        return Leaf(path=path, kind=Kind.TEXT, dtype="string")
    shape = () if path in _FLAGS.values() else feature.shape
    if feature.dtype not in NUMERIC_DTYPES or 8 * prod(feature.shape) > MAX_LEAF_BYTES or 0 in feature.shape:
        return Leaf(path=path, kind=Kind.OTHER, dtype="")
    return Leaf(path=path, kind=Kind.TENSOR, dtype=feature.dtype, shape=shape)


def _picture(path: str, feature: Feature, name: str) -> Leaf:
    """The leaf of a camera, (height, width, channels) however its shape is written."""
    if len(feature.shape) != 3 or 0 in feature.shape:
        raise InputError(f"info.json of LeRobot gives {name!r} the shape {feature.shape}: a picture has three sides")
    shape = feature.shape
    labels = feature.names if isinstance(feature.names, list) else []
    is_first = str(labels[0]).startswith("channel") if labels else shape[0] in (1, 3) and shape[2] not in (1, 3)
    height, width, channels = (*shape[1:], shape[0]) if is_first else shape
    is_video = feature.dtype == "video"
    return Leaf(
        path=path,
        kind=Kind.VIDEO if is_video else Kind.IMAGE,
        dtype="uint16" if feature.is_depth and not is_video else "uint8",
        shape=(height, width, channels),
        is_depth=feature.is_depth,
    )
