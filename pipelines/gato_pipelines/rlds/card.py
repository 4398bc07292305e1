"""What a TFDS folder says of itself: `dataset_info.json` and `features.json`, to be written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gato_data.errors import InputError
from gato_pipelines.rlds.directory import FILE_FORMAT
from gato_pipelines.rlds.features import STEPS, Features, Kind, Leaf
from gato_schemas.tfds import feature_json, split_json, tensor_json

_CLASSES = {
    Kind.TENSOR: ("tensor", "tensor_feature.Tensor"),
    Kind.SCALAR: ("tensor", "scalar.Scalar"),
    Kind.IMAGE: ("image", "image_feature.Image"),
    Kind.TEXT: ("text", "text_feature.Text"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetCard:
    """What a dataset says of itself.

    Attributes:
        name: letters, digits and underscores; shards begin with it.
        version: three numbers such as "1.3.0".
        features: all of them tensors, scalars, images or texts.
        config: name of the variant; empty if there is only one.
        description: free text.
        licence: redistribution terms.
        module: the Python module that made the dataset.
        metadata: free JSON, for instance how the episodes were made.
    """

    name: str
    version: str
    features: Features
    config: str = ""
    description: str = ""
    licence: str = ""
    module: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


def info_json(card: DatasetCard, split: str, lengths: list[int], size: int) -> dict[str, Any]:
    """`dataset_info.json` of one split, its shards holding `lengths` episodes and all records `size` bytes."""
    info: dict[str, Any] = {
        "name": card.name,
        "version": card.version,
        "description": card.description,
        "fileFormat": FILE_FORMAT,
        "moduleName": card.module,
        "redistributionInfo": {"license": card.licence},
        "splits": [split_json(split, lengths, size)],
    }
    return info | ({"configName": card.config, "configDescription": card.description} if card.config else {})


def features_json(features: Features) -> dict[str, Any]:
    """`features.json`: every name in a path is a level.

    Raises:
        InputError: there are no timesteps.
    """
    if not features.steps:
        raise InputError(f"an RLDS dataset needs features under {STEPS}/")
    tree: dict[str, Any] = {}
    for leaf in features.leaves:
        *parents, name = leaf.path.split("/")
        level = tree
        for parent in parents:
            level = level.setdefault(parent, {})
        level[name] = leaf
    return _node_json(tree, top=True)


def _node_json(node: dict[str, Any] | Leaf, *, top: bool = False) -> dict[str, Any]:
    if isinstance(node, Leaf):
        return _leaf_json(node)
    features = {name: _node_json(child) for name, child in node.items()}
    if top:
        steps = {"feature": features[STEPS], "length": "-1"}
        features[STEPS] = feature_json("dataset_feature.Dataset", "sequence", steps)
    return feature_json("features_dict.FeaturesDict", "featuresDict", {"features": features})


def _leaf_json(leaf: Leaf) -> dict[str, Any]:
    key, kind = _CLASSES[leaf.kind]
    content: dict[str, Any] = {}
    if leaf.kind != Kind.TEXT:
        sides = [str(-1 if side is None else side) for side in leaf.shape]
        content = tensor_json(sides, leaf.dtype, leaf.encoding)
    if leaf.kind == Kind.IMAGE:
        del content["encoding"]
        content |= {"encodingFormat": leaf.image_format} if leaf.image_format else {}
    notes = {"description": leaf.description, "valueRange": leaf.value_range}
    return feature_json(kind, key, content) | {name: note for name, note in notes.items() if note}
