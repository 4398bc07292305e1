import json

from gato_schemas.tfds import tfds_dataset_info, tfds_features, tfds_files
from tests.schemas.test_dataset import FULL, split


def test_the_columns_that_tfds_reads():
    features = tfds_features("uint16", "zlib")["featuresDict"]["features"]
    assert list(features) == sorted(features)
    types = {
        name: (tensor["dtype"], tensor["shape"].get("dimensions"), tensor["encoding"])
        for name, feature in features.items()
        if (tensor := feature.get("tensor"))
    }
    assert types == {
        **dict.fromkeys(["chunk", "num_chunks", "num_images", "num_patches"], ("int64", None, "none")),
        **dict.fromkeys(["num_timesteps", "num_tokens", "is_terminal"], ("int64", None, "none")),
        "num_distinct_patches": ("int64", None, "none"),
        "return": ("float32", None, "none"),
        "tokens": ("uint16", ["-1"], "zlib"),
        "loss_mask": ("uint8", ["-1"], "zlib"),
        "modality": ("uint8", ["-1"], "zlib"),
        "position": ("uint16", ["-1"], "zlib"),
        "timestep_starts": ("int32", ["-1"], "zlib"),
        "reward": ("float32", ["-1"], "zlib"),
        "patch_position": ("uint8", ["-1", "4"], "zlib"),
        "patch_index": ("uint16", ["-1"], "zlib"),
        "patch_hash": ("uint64", ["-1"], "bytes"),
        "image_grid": ("int32", ["-1", "5"], "zlib"),
    }
    assert features["patches"]["sequence"]["feature"]["tensor"] == {
        "shape": {"dimensions": ["256", "16", "16", "3"]},
        "dtype": "uint8",
        "encoding": "zlib",
    }
    raw = tfds_features("int32", "raw")["featuresDict"]["features"]
    assert raw["tokens"]["tensor"]["dtype"] == "int32"
    assert (raw["patch_index"]["tensor"]["encoding"], raw["position"]["tensor"]["encoding"]) == ("bytes", "zlib")
    assert raw["patches"]["tensor"]["shape"]["dimensions"] == ["-1", "16", "16", "3"]


def test_what_tfds_is_told_of_the_splits():
    info = tfds_dataset_info("reach", {"validation": split(0), "train": split(3, 0)}, "CC-BY-4.0")
    assert info["splits"] == [
        {
            "name": "train",
            "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            "shardLengths": ["3", "0"],
            "numBytes": "300",
        }
    ]
    assert (info["name"], info["version"], info["fileFormat"]) == ("reach", "3.0.0", "tfrecord")


def test_the_two_files():
    files = tfds_files(FULL)
    assert {name: json.loads(data) for name, data in files.items()} == {
        "features.json": tfds_features("uint16", "raw"),
        "dataset_info.json": tfds_dataset_info("reach", FULL.splits, ""),
    }
