"""Spaces of gymnasium as features, and their values by the paths of features."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gato_data.errors import EpisodeError, SettingError
from gato_pipelines.environments.environment import image_leaf
from gato_pipelines.rlds.features import Kind, Leaf

_MAX_DISCRETE = 1024
"""Values that have an id (paper section 2.1)."""
_SMALLEST, _SMALLEST_GRAY = 16, 32
"""Pixels on a side from which bytes of shape (H, W, 1 or 3), and of shape (H, W), are an image."""


def leaves_of(space: Any, path: str) -> list[Leaf]:
    """The features of a space: one, or one for each of the spaces that it is made of.

    Raises:
        SettingError: it, or one of those, cannot become tokens.
    """
    kind = type(space).__name__
    if kind in ("Dict", "Tuple"):
        return [leaf for name, inner in _parts(space) for leaf in leaves_of(inner, f"{path}/{name}")]
    if kind not in _LEAVES:
        taken = ", ".join([*_LEAVES, "Dict", "Tuple"])
        raise SettingError(f"{path.removeprefix('steps/')} is a {kind} space; {taken} become tokens")
    if kind != "Text" and 0 in space.shape:
        raise SettingError(f"{path.removeprefix('steps/')} has the shape {space.shape}: it never has a value")
    return [_LEAVES[kind](space, path)]


def values_of(value: Any, space: Any, path: str) -> dict[str, Any]:
    """A value by the paths of features.

    Raises:
        EpisodeError: it is not of its space.
    """
    if type(space).__name__ in ("Dict", "Tuple"):
        found: dict[str, Any] = {}
        for key, inner in _parts(space):
            found |= values_of(_part(value, key, path), inner, f"{path}/{key}")
        return found
    return {path: _checked(value, space, path.removeprefix("steps/"))}


def value_of(values: Mapping[str, Any], space: Any, path: str) -> Any:
    """The value whose features these are; of bounded numbers what is beyond the bounds is clipped.

    Raises:
        EpisodeError: a value has another shape, or is none of those that are counted.
    """
    kind = type(space).__name__
    if kind == "Dict":
        return {key: value_of(values, inner, f"{path}/{key}") for key, inner in _parts(space)}
    if kind == "Tuple":
        return tuple(value_of(values, inner, f"{path}/{key}") for key, inner in _parts(space))
    value = values[path]
    if kind == "Box":
        given = np.asarray(value)
        if given.shape != space.shape:
            raise EpisodeError(
                f"{path.removeprefix('steps/')} of shape {given.shape} came, the environment takes {space.shape}"
            )
        return np.clip(given, space.low, space.high).astype(space.dtype)
    given = np.asarray(value)
    made = given.astype(space.dtype) if given.dtype.kind in "biu" else given  # a fraction stays one, and is refused
    made = made[()] if kind == "Discrete" else made
    if not space.contains(made):
        raise EpisodeError(f"{path.removeprefix('steps/')} {value} came, the environment takes {space}")
    return int(made) if kind == "Discrete" else made


def _parts(space: Any) -> list[tuple[Any, Any]]:
    inner = space.spaces
    return list(inner.items()) if isinstance(inner, Mapping) else list(enumerate(inner))


def _part(value: Any, key: Any, path: str) -> Any:
    try:
        return value[key]
    except (KeyError, IndexError, TypeError) as error:
        raise EpisodeError(f"{path.removeprefix('steps/')} has no {key!r}, which its space has") from error


def _checked(value: Any, space: Any, name: str) -> Any:
    if type(space).__name__ == "Text":
        if not isinstance(value, str):
            raise EpisodeError(f"{name} is a {type(value).__name__}: its space says text")
        return value
    found = np.asarray(value)
    shape = () if type(space).__name__ == "Discrete" else space.shape
    if found.dtype.kind not in "biuf" or found.shape != shape:
        raise EpisodeError(f"{name} is {found.dtype} of shape {found.shape}: its space says {space.dtype} of {shape}")
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise EpisodeError(f"{name} holds {found[~np.isfinite(found)][0]}: finite numbers are wanted")
    cast = found.astype(space.dtype, copy=True)  # some environments go on writing into theirs
    is_counted = type(space).__name__ != "Box"
    whole = cast.dtype.kind not in "iu" or np.array_equal(cast, found)
    if not whole or (is_counted and not space.contains(cast[()] if cast.ndim == 0 else cast)):
        raise EpisodeError(f"{name} is {value}: its space says {space}")
    return cast


def _box(space: Any, path: str) -> Leaf:
    dtype, shape = np.dtype(space.dtype), tuple(space.shape)
    if dtype == np.uint8 and len(shape) == 3 and shape[2] in (1, 3) and min(shape[:2]) >= _SMALLEST:
        return image_leaf(path, *shape)
    if dtype == np.uint8 and len(shape) == 2 and min(shape) >= _SMALLEST_GRAY:
        return image_leaf(path, *shape, 1)
    low, high = np.min(space.low), np.max(space.high)
    bounds = f"[{low:g}, {high:g}]" if np.isfinite([low, high]).all() else ""
    exact = dtype.name == "float64"  # which a record holds as bytes only
    return Leaf(
        path=path,
        kind=Kind.TENSOR,
        dtype=dtype.name,
        shape=shape,
        value_range=bounds,
        encoding="zlib" if exact else "none",
    )


def _counted(space: Any, path: str) -> Leaf:
    """Of Discrete, MultiDiscrete and MultiBinary."""
    kind = type(space).__name__
    first = np.min(space.start) if kind != "MultiBinary" else 0
    last = {"Discrete": lambda: space.start + space.n, "MultiDiscrete": lambda: np.max(space.start + space.nvec)}
    end = int(last[kind]()) if kind in last else 2
    if first < 0 or end > _MAX_DISCRETE:
        raise SettingError(
            f"{path.removeprefix('steps/')} counts from {first} to {end - 1}: only 0 to {_MAX_DISCRETE - 1} have ids"
        )
    dtype = np.dtype(space.dtype).name
    return Leaf(path=path, kind=Kind.TENSOR, dtype=dtype, shape=tuple(space.shape), value_range=f"[{first}, {end - 1}]")


def _text(space: Any, path: str) -> Leaf:
    return Leaf(path=path, kind=Kind.TEXT, dtype="string")


_LEAVES: Mapping[str, Callable[[Any, str], Leaf]] = {
    "Box": _box,
    "Discrete": _counted,
    "MultiBinary": _counted,
    "MultiDiscrete": _counted,
    "Text": _text,
}
