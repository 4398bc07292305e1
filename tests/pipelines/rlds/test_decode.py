import zlib

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2, tf_feature_pb2

from gato_data.errors import EpisodeError, InputError
from gato_pipelines.rlds.decode import EpisodeDecoder
from gato_pipelines.rlds.features import Encoding, Kind, Leaf

F32 = Leaf(path="steps/x", kind=Kind.TENSOR, dtype="float32", shape=(2,))
TEXT = Leaf(path="steps/t", kind=Kind.TEXT, dtype="string")
IMAGE = Leaf(path="steps/i", kind=Kind.IMAGE, dtype="uint8", shape=(8, 8, 3))


def _leaf(dtype: str, shape=(), encoding: Encoding = "none", **more) -> Leaf:
    return Leaf(path="steps/x", kind=Kind.TENSOR, dtype=dtype, shape=shape, encoding=encoding, **more)


def _record(**lists) -> bytes:
    """A record of `name=values`; `__` in a name stands for `/`."""
    features = {}
    for name, values in lists.items():
        kind = type(values[0]) if len(values) else int
        if kind is bytes:
            feature = tf_feature_pb2.Feature(bytes_list=tf_feature_pb2.BytesList(value=values))
        elif kind is float:
            feature = tf_feature_pb2.Feature(float_list=tf_feature_pb2.FloatList(value=values))
        else:
            feature = tf_feature_pb2.Feature(int64_list=tf_feature_pb2.Int64List(value=values))
        features[name.replace("__", "/")] = feature
    return tf_example_pb2.Example(features=tf_feature_pb2.Features(feature=features)).SerializeToString(
        deterministic=True
    )


def _decode(record: bytes, *leaves: Leaf):
    return EpisodeDecoder(leaves).decode(record)


def _serialized(steps, **episode):
    """A record as TFDS serializes it, and the tensors it means."""
    features = tfds.features.FeaturesDict(
        {"steps": tfds.features.Dataset(steps[0]), **{k: v[0] for k, v in episode.items()}}
    )
    content = {"steps": steps[1], **{key: value[1] for key, value in episode.items()}}
    return features.serialize_example(content)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int32", "uint32", "int64", "uint64", "float16", "float32"])
@pytest.mark.parametrize("encoding", ["none", "bytes", "zlib"])
def test_every_dtype_in_every_encoding(dtype, encoding):
    info = np.finfo(dtype) if np.dtype(dtype).kind == "f" else None
    low, high = (
        (0, 1) if dtype == "bool" else (info.min, info.max) if info else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    )
    values = np.array([[low, high, 1], [0, 1, high]], dtype=dtype)
    feature = tfds.features.Tensor(shape=(3,), dtype=np.dtype(dtype), encoding=encoding)
    record = _serialized(({"x": feature}, {"x": values}))
    array = _decode(record, _leaf(dtype, (3,), encoding)).tensors["steps/x"]
    assert array.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(array, values)


def test_float64_without_encoding_has_the_precision_that_was_stored():
    feature = tfds.features.Tensor(shape=(), dtype=np.float64)
    array = _decode(_serialized(({"x": feature}, {"x": np.array([0.1])})), _leaf("float64")).tensors["steps/x"]
    assert (array.dtype, array[0]) == (np.float64, np.float64(np.float32(0.1)))


def test_sequences_of_one_length():
    steps = ({"x": tfds.features.Sequence(np.float32)}, {"x": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]})
    leaf = _leaf("float32", sequences=(None,))
    np.testing.assert_array_equal(_decode(_serialized(steps), leaf).tensors["steps/x"], [[1, 2, 3], [4, 5, 6]])


def test_sequences_of_several_lengths_are_refused():
    steps = ({"x": tfds.features.Sequence(np.float32)}, {"x": [[1.0], [4.0, 5.0]]})
    with pytest.raises(EpisodeError, match="sequences of 1 to 2 values"):
        _decode(_serialized(steps), _leaf("float32", sequences=(None,)))


def test_what_an_episode_has_once():
    text, image = tfds.features.Text(), tfds.features.Image(shape=(2, 2, 3))
    pixels = np.zeros((2, 2, 3), np.uint8)
    record = _serialized(
        ({"x": np.int64}, {"x": np.arange(3)}),
        number=(np.int64, 7),
        vector=(tfds.features.Tensor(shape=(2,), dtype=np.float32), np.array([1, 2], np.float32)),
        packed=(tfds.features.Tensor(shape=(2,), dtype=np.float64, encoding="zlib"), np.array([1.0, 2.0])),
        name=(text, "héllo"),
        names=(tfds.features.Sequence(text), ["a", "b"]),
        numbers=(tfds.features.Sequence(np.int32), [1, 2, 3]),
        picture=(image, pixels),
    )
    leaves = (
        Leaf(path="number", kind=Kind.TENSOR, dtype="int64"),
        Leaf(path="vector", kind=Kind.TENSOR, dtype="float32", shape=(2,)),
        Leaf(path="packed", kind=Kind.TENSOR, dtype="float64", shape=(2,), encoding="zlib"),
        Leaf(path="name", kind=Kind.TEXT, dtype="string"),
        Leaf(path="names", kind=Kind.TEXT, dtype="string", sequences=(None,)),
        Leaf(path="numbers", kind=Kind.TENSOR, dtype="int32", sequences=(None,)),
        Leaf(path="picture", kind=Kind.IMAGE, dtype="uint8", shape=(2, 2, 3)),
    )
    found = _decode(record, *leaves).episode
    number = found["number"]
    assert isinstance(number, np.ndarray)
    assert (number.shape, int(number)) == ((), 7)
    np.testing.assert_array_equal(found["vector"], np.array([1, 2], np.float32))
    np.testing.assert_array_equal(found["packed"], [1.0, 2.0])
    np.testing.assert_array_equal(found["numbers"], [1, 2, 3])
    assert (found["name"], found["names"]) == ("héllo", ["a", "b"])
    assert bytes(found["picture"][:4]) == b"\x89PNG"


def test_images_stay_encoded():
    assert _decode(_record(steps__i=[b"one", b"two"]), IMAGE).images == {"steps/i": [b"one", b"two"]}


def test_an_episode_without_timesteps():
    record = _serialized(({"x": np.int64, "t": tfds.features.Text()}, {"x": np.array([], np.int64), "t": []}))
    episode = _decode(record, _leaf("int64"), TEXT)
    assert (episode.num_timesteps, episode.tensors["steps/x"].shape) == (0, (0,))


@pytest.mark.parametrize(
    ("record", "leaves", "stage", "message"),
    [
        (b"\xff", (F32,), "read", "not a tf.train.Example"),
        (_record(steps__y=[1.0]), (F32,), "read", "steps/x is missing, a list of float32 was expected"),
        (_record(steps__x=[1, 2]), (F32,), "read", "steps/x is a list of int64, a list of float32"),
        (_record(steps__x=[b"a"]), (F32,), "read", "steps/x is a list of bytes, a list of float32"),
        (_record(steps__x=[1.0, 2.0, 3.0]), (F32,), "read", r"3 numbers, a multiple of 2 was expected \(shape"),
        (_record(steps__t=[1]), (TEXT,), "read", "steps/t is a list of int64, a list of bytes"),
        (_record(steps__x=[1.0, 2.0], steps__t=[b"a", b"b"]), (F32, TEXT), "read", "t has 2 timesteps, steps/x has 1"),
        (_record(steps__i=[b"a"], steps__x=[1.0] * 4), (IMAGE, F32), "read", "steps/i has 1 timesteps, steps/x has 2"),
        (_record(steps__t=[b"\xff"]), (TEXT,), "decode", "not UTF-8"),
        (_record(steps__x=[300]), (_leaf("uint8"),), "read", "values 300 to 300, beyond uint8"),
        (_record(steps__x=[-1]), (_leaf("uint8"),), "read", "values -1 to -1, beyond uint8"),
        (_record(steps__x=[b"abc"]), (_leaf("float32", (2,), "bytes"),), "decode", "3 bytes, 8 were expected"),
        (_record(steps__x=[b"junk"]), (_leaf("float32", (2,), "zlib"),), "decode", "does not inflate to 8 bytes"),
        (_record(steps__x=[zlib.compress(bytes(4))]), (_leaf("float32", (2,), "zlib"),), "decode", "4 bytes, 8 were"),
        (_record(steps__x=[zlib.compress(bytes(10**7))]), (_leaf("int8", (2,), "zlib"),), "decode", "does not inflate"),
        (_record(steps__x=[b""] * 9), (_leaf("uint8", (1 << 29,), "zlib"),), "decode", "takes 4831838208 bytes"),
        (_record(id=[1, 2]), (Leaf(path="id", kind=Kind.TENSOR, dtype="int64"),), "read", "id has 2 values, 1 was"),
        (_record(steps__x__ragged_flat_values=[1.0]), (_leaf("float32", sequences=(None,)),), "read", "no row lengths"),
        (
            _record(steps__x__ragged_flat_values=[1.0], steps__x__ragged_row_lengths_0=[2, 2]),
            (_leaf("float32", sequences=(None,)),),
            "read",
            "1 values for 2 sequences of 2",
        ),
    ],
)  # fmt: skip
def test_records_that_are_not_what_the_features_say(record, leaves, stage, message):
    with pytest.raises(EpisodeError, match=message) as caught:
        _decode(record, *leaves)
    assert caught.value.stage == stage


@pytest.mark.parametrize(
    ("leaf", "message"),
    [
        (Leaf(path="steps/x", kind=Kind.OTHER, dtype=""), "of a type that cannot be read"),
        (_leaf("bfloat16"), "has dtype bfloat16"),
        (_leaf("complex64"), "has dtype complex64"),
        (_leaf("float32", (None,), "zlib"), r"has the shape \(None,\)"),
        (_leaf("float32", (0,)), r"has the shape \(0,\)"),
        (_leaf("string", (3,)), "several texts"),
        (_leaf("string", sequences=(None,)), "several texts"),
        (_leaf("int64", sequences=(None, None)), "sequence of sequences"),
        (_leaf("int64", (2,), "zlib", sequences=(None,)), "sequence of encoded tensors"),
        (Leaf(path="steps/x", kind=Kind.IMAGE, dtype="uint8", sequences=(2,)), "sequence of sequences or of images"),
    ],
)
def test_leaves_that_cannot_be_read(leaf, message):
    with pytest.raises(InputError, match=f"feature steps/x .*{message}.*leave it out"):
        EpisodeDecoder((leaf,))


def test_the_other_leaves_may_be_anything(breakout, breakout_records):
    """Selection is by leaf: an unsupported one beside the chosen does no harm."""
    episode = EpisodeDecoder(breakout.features.select("steps/reward")).decode(breakout_records[0])
    assert set(episode.tensors) == {"steps/reward"}
    assert (episode.images, episode.texts, episode.episode) == ({}, {}, {})
    assert episode.num_timesteps == 285
