"""The features of an RLDS dataset: TFDS's `features.json` as a flat, frozen list of leaves."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, TypeAlias

import msgspec

from gato_data.errors import InputError
from gato_data.vocabulary import DISCRETE_VALUES
from gato_pipelines.rlds.legacy import modernise
from gato_schemas.errors import FormatError

STEPS = "steps"
"""Name of the feature that holds an episode's timesteps."""
MAX_LEAVES = 10_000
MAX_DEPTH = 32
MAX_LEAF_BYTES = 1 << 31
"""Bytes of one value of a leaf: a larger declared shape can only be damage."""

Encoding: TypeAlias = Literal["none", "bytes", "zlib"]
Shape: TypeAlias = tuple[int | None, ...]


class Kind(StrEnum):
    """What a leaf stands for."""

    TENSOR = "tensor"
    SCALAR = "scalar"
    IMAGE = "image"
    VIDEO = "video"
    TEXT = "text"
    CLASS_LABEL = "class_label"
    BOUNDING_BOX = "bounding_box"
    OTHER = "other"


_DTYPES = {Kind.TEXT: "string", Kind.CLASS_LABEL: "int64", Kind.BOUNDING_BOX: "float32", Kind.IMAGE: "uint8"}
_SHAPES: dict[Kind, Shape] = {Kind.IMAGE: (None, None, 3), Kind.BOUNDING_BOX: (4,)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One feature without features of its own.

    Attributes:
        path: its name with those around it, such as "steps/observation/image"; also its key in the
            record.
        kind: what it stands for.
        dtype: a numpy name such as "float32", or "string".
        shape: of one value; None is a side that varies.
        encoding: how a numeric value is stored: a list of numbers, or bytes (zlib-compressed) of
            its own.
        image_format: "png" or "jpeg"; empty if undeclared or no image.
        sequences: declared lengths of the Sequence features around it, outermost first, `steps`
            left out.
        description: free text.
        value_range: free text such as "[-1, 1]".
        start: the least of its discrete values, where they do not fit between 0 and 1023.
        bgr: whether red and blue change places inside encoded images, as cv2.imdecode gives them.
        is_depth: whether its pixels are distances, which nothing but its dataset says.
        values: how many discrete values there are from `start` on; None where that is undeclared.
    """

    path: str
    kind: Kind
    dtype: str
    shape: Shape = ()
    encoding: Encoding = "none"
    image_format: str = ""
    sequences: Shape = ()
    description: str = ""
    value_range: str = ""
    start: int = 0
    bgr: bool = False
    is_depth: bool = False
    values: int | None = None

    @property
    def in_steps(self) -> bool:
        """Whether every timestep has a value, rather than the episode."""
        return self.path.startswith(STEPS + "/")


@dataclass(frozen=True, slots=True)
class Features:
    """All leaves of a dataset, sorted by path."""

    leaves: tuple[Leaf, ...]

    @property
    def steps(self) -> tuple[Leaf, ...]:
        """The leaves that every timestep has."""
        return tuple(leaf for leaf in self.leaves if leaf.in_steps)

    @property
    def episode(self) -> tuple[Leaf, ...]:
        """The leaves that an episode has once."""
        return tuple(leaf for leaf in self.leaves if not leaf.in_steps)

    def select(self, *paths: str) -> tuple[Leaf, ...]:
        """The leaves of the given paths, in their order.

        Raises:
            InputError: the dataset has no such feature.
        """
        by_path = {leaf.path: leaf for leaf in self.leaves}
        if unknown := [path for path in paths if path not in by_path]:
            raise InputError(f"no feature {unknown[0]!r}; there are {', '.join(by_path)}")
        return tuple(by_path[path] for path in paths)


class _Json(msgspec.Struct, frozen=True, rename="camel"):
    """TFDS's JSON: camel case, 64-bit integers as strings, unknown fields ignored."""


class _Shape(_Json, frozen=True):
    dimensions: list[int] = []


class _Content(_Json, frozen=True):
    """What tensors, images, class labels and bounding boxes say of themselves."""

    shape: _Shape = _Shape()
    dtype: str = ""
    encoding: str = ""
    encoding_format: str = ""
    num_classes: int = 0


class _FeaturesDict(_Json, frozen=True):
    features: dict[str, "_FeatureJson"] = {}


class _Sequence(_Json, frozen=True):
    feature: "_FeatureJson"
    length: int = -1


class _FeatureJson(_Json, frozen=True):
    python_class_name: str = ""
    description: str = ""
    value_range: str = ""
    features_dict: _FeaturesDict | None = None
    sequence: _Sequence | None = None
    tensor: _Content | None = None
    image: _Content | None = None
    class_label: _Content | None = None
    bounding_box: _Content | None = None
    video: _Content | None = None
    text: dict[str, Any] | None = None

    @property
    def is_dataset(self) -> bool:
        return self.sequence is not None and self.python_class_name.endswith("dataset_feature.Dataset")


def parse_features(text: bytes) -> Features:
    """Parse a `features.json`, of today's TFDS or of any since 2021.

    Raises:
        FormatError: it is not a `features.json`.
        InputError: it has no `steps`, so it is a TFDS dataset but not an RLDS one.
    """
    try:
        root = msgspec.convert(modernise(msgspec.json.decode(text)), _FeatureJson, strict=False)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise FormatError(f"features.json is not the description of a TFDS dataset: {error}") from error
    top = root.features_dict.features if root.features_dict else {}
    steps = top.get(STEPS)
    if steps is None or not steps.is_dataset:
        what = "is not a Dataset feature" if steps else "is missing"
        raise InputError(f"not an RLDS dataset: the feature `{STEPS}` {what} (features: {', '.join(top) or 'none'})")
    if steps.sequence is None or steps.sequence.feature.features_dict is None:
        raise InputError(f"not an RLDS dataset: the timesteps in `{STEPS}` have no named features")
    leaves: dict[str, Leaf] = {}
    for leaf in _walk(root, "", (), 0):
        if leaf.path in leaves or len(leaves) == MAX_LEAVES:
            raise FormatError(f"features.json has two features {leaf.path}, or more than {MAX_LEAVES}")
        leaves[leaf.path] = leaf
    return Features(tuple(leaves[path] for path in sorted(leaves)))


def _walk(feature: _FeatureJson, path: str, sequences: Shape, depth: int) -> Iterator[Leaf]:
    if depth > MAX_DEPTH:
        raise FormatError(f"features.json nests features more than {MAX_DEPTH} deep")
    if feature.features_dict is not None:
        for name, child in feature.features_dict.features.items():
            yield from _walk(child, f"{path}/{name}" if path else name, sequences, depth + 1)
    elif feature.sequence is not None:
        if path != STEPS:
            sequences = (*sequences, None if feature.sequence.length < 0 else feature.sequence.length)
        yield from _walk(feature.sequence.feature, path, sequences, depth + 1)
    else:
        yield _leaf(feature, path, sequences)


def _leaf(feature: _FeatureJson, path: str, sequences: Shape) -> Leaf:
    content = feature.tensor or feature.image or feature.bounding_box or feature.video or _Content()
    encoding = content.encoding.lower() or "none"
    if encoding not in ("none", "bytes", "zlib"):
        raise FormatError(f"feature {path} has encoding {encoding!r}; none, bytes or zlib was expected")
    kind = _kind(feature, path)
    shape = _shape(content.shape, path) or _SHAPES.get(kind, ())
    return Leaf(
        path=path,
        kind=kind,
        dtype=content.dtype or _DTYPES.get(kind, ""),
        shape=shape[1:] if kind == Kind.VIDEO else shape,
        encoding=encoding,  # type: ignore[arg-type]
        image_format=content.encoding_format,
        sequences=sequences,
        description=feature.description,
        value_range=feature.value_range,
        values=_values(feature.class_label.num_classes) if feature.class_label else None,
    )


def _values(classes: int) -> int | None:
    return classes if 0 < classes <= DISCRETE_VALUES else None


def _kind(feature: _FeatureJson, path: str) -> Kind:
    if feature.video is not None and not path.startswith(STEPS + "/"):
        return Kind.VIDEO
    if feature.tensor is not None:
        return Kind.SCALAR if feature.python_class_name.endswith(".Scalar") else Kind.TENSOR
    for kind in (Kind.IMAGE, Kind.TEXT, Kind.CLASS_LABEL, Kind.BOUNDING_BOX):
        if getattr(feature, kind) is not None:
            return kind
    return Kind.OTHER


def _shape(shape: _Shape, path: str) -> Shape:
    sides = tuple(None if side == -1 else side for side in shape.dimensions)
    known = [side for side in sides if side is not None]
    if any(side < 0 for side in known) or 8 * math.prod(known) > MAX_LEAF_BYTES:
        raise FormatError(f"feature {path} has shape {shape.dimensions}, which is negative or too large")
    return sides
