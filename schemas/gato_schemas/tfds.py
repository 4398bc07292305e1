"""The two JSON files through which TFDS reads the shards of a dataset."""

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np

from gato_schemas.columns import ARRAY_COLUMNS, RECORD_COUNTS, ROW_SHAPES, is_plain
from gato_schemas.dataset import FORMAT_VERSION, TFDS_FEATURES, TFDS_INFO, Manifest, SplitInfo

SHARD_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
"""Names of shards, as TFDS writes them by default."""


def tfds_files(manifest: Manifest) -> dict[str, bytes]:
    """Both files by their names."""
    content = {
        TFDS_FEATURES: tfds_features(manifest.vocabulary.token_dtype, manifest.patch_encoding.name),
        TFDS_INFO: tfds_dataset_info(manifest.name, manifest.splits, manifest.source.licence),
    }
    return {name: msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n" for name, value in content.items()}


def feature_json(kind: str, key: str, content: Any) -> dict[str, Any]:
    """One feature: `kind` is a class of TFDS's features, such as "text_feature.Text", `key` names its content."""
    return {"pythonClassName": f"tensorflow_datasets.core.features.{kind}", key: content}


def tensor_json(shape: list[str], dtype: str, encoding: str) -> dict[str, Any]:
    """The content of a tensor; 64-bit integers are strings, as in all JSON of protocol buffers."""
    return {"shape": {"dimensions": shape} if shape else {}, "dtype": dtype, "encoding": encoding}


def split_json(name: str, lengths: Iterable[int], size: int) -> dict[str, Any]:
    """One split, its shards holding `lengths` records and all of them `size` bytes."""
    return {
        "name": name,
        "filepathTemplate": SHARD_TEMPLATE,
        "shardLengths": [str(length) for length in lengths],
        "numBytes": str(size),
    }


def _tensor(shape: list[str], dtype: str, encoding: str) -> dict[str, Any]:
    return feature_json("tensor_feature.Tensor", "tensor", tensor_json(shape, dtype, encoding))


def tfds_features(token_dtype: str, patch_encoding: str) -> dict[str, Any]:
    """The content of `features.json`: the type of every column of a record."""
    text = feature_json("text_feature.Text", "text", {})
    number = _tensor([], "int64", "none")
    block = _tensor(["256", "16", "16", "3"], "uint8", "zlib")
    blocks = feature_json("sequence_feature.Sequence", "sequence", {"feature": block, "length": "-1"})
    features: dict[str, Any] = dict.fromkeys(("agent", "episode_id", "source_episode_id", "task"), text)
    numbers = ("chunk", "num_chunks", "is_terminal", *(f"num_{name}" for name in RECORD_COUNTS))
    features |= dict.fromkeys(numbers, number)
    for name, dtype in ARRAY_COLUMNS.items():
        shape = ["-1", *map(str, ROW_SHAPES.get(name, ()))]
        features[name] = _tensor(shape, np.dtype(dtype).name, "bytes" if is_plain(name, patch_encoding) else "zlib")
    features |= {
        "return": _tensor([], "float32", "none"),
        "tokens": _tensor(["-1"], token_dtype, "zlib"),
        "patches": blocks if patch_encoding == "zlib" else _tensor(["-1", "16", "16", "3"], "uint8", "bytes"),
    }
    return feature_json("features_dict.FeaturesDict", "featuresDict", {"features": dict(sorted(features.items()))})


def tfds_dataset_info(name: str, splits: dict[str, SplitInfo], licence: str) -> dict[str, Any]:
    """The content of `dataset_info.json`; TFDS has no empty splits, so those are left out."""
    return {
        "name": name,
        "version": f"{FORMAT_VERSION}.0.0",
        "fileFormat": "tfrecord",
        "description": "Token sequences of gato-data; the columns are described in its docs/format.md.",
        "redistributionInfo": {"license": licence},
        "splits": [
            split_json(split, (shard.totals.records for shard in info.shards), sum(shard.size for shard in info.shards))
            for split, info in sorted(splits.items())
            if info.totals.records
        ],
    }
