import json

import numpy as np
import pytest
import tensorflow_datasets as tfds
from hypothesis import given
from hypothesis import strategies as st

from gato_data.errors import InputError
from gato_pipelines.rlds.card import features_json
from gato_pipelines.rlds.features import Features, Kind, Leaf, parse_features
from gato_schemas.errors import FormatError

PACKAGE = "tensorflow_datasets.core.features."
DICT = PACKAGE + "features_dict.FeaturesDict"
DATASET = PACKAGE + "dataset_feature.Dataset"


def _of(steps, **episode):
    """`features.json` as TFDS itself writes it."""
    features = tfds.features.FeaturesDict({"steps": tfds.features.Dataset(steps), **episode})
    from google.protobuf import json_format

    return json.dumps(json_format.MessageToDict(features.to_proto())).encode()


def _leaf(steps, path="steps/x"):
    return parse_features(_of(steps)).select(path)[0]


@pytest.mark.parametrize(
    ("feature", "leaf"),
    [
        (np.float32, Leaf(path="steps/x", kind=Kind.TENSOR, dtype="float32")),
        (
            tfds.features.Tensor(shape=(2, 3), dtype=np.float64, encoding="zlib"),
            Leaf(path="steps/x", kind=Kind.TENSOR, dtype="float64", shape=(2, 3), encoding="zlib"),
        ),
        (
            tfds.features.Tensor(shape=(None, 3), dtype=np.uint8, encoding=tfds.features.Encoding.BYTES),
            Leaf(path="steps/x", kind=Kind.TENSOR, dtype="uint8", shape=(None, 3), encoding="bytes"),
        ),
        (tfds.features.Scalar(dtype=np.int32), Leaf(path="steps/x", kind=Kind.SCALAR, dtype="int32")),
        (tfds.features.Text(), Leaf(path="steps/x", kind=Kind.TEXT, dtype="string")),
        (tfds.features.Tensor(shape=(), dtype=np.str_), Leaf(path="steps/x", kind=Kind.TENSOR, dtype="string")),
        (tfds.features.ClassLabel(num_classes=4), Leaf(path="steps/x", kind=Kind.CLASS_LABEL, dtype="int64", values=4)),
        (
            tfds.features.BBoxFeature(),
            Leaf(path="steps/x", kind=Kind.BOUNDING_BOX, dtype="float32", shape=(4,)),
        ),
        (
            tfds.features.Image(shape=(8, None, 3), encoding_format="jpeg"),
            Leaf(path="steps/x", kind=Kind.IMAGE, dtype="uint8", shape=(8, None, 3), image_format="jpeg"),
        ),
        (
            tfds.features.Sequence(np.float32, length=3),
            Leaf(path="steps/x", kind=Kind.TENSOR, dtype="float32", sequences=(3,)),
        ),
        (
            tfds.features.Sequence(tfds.features.Sequence(np.int32)),
            Leaf(path="steps/x", kind=Kind.TENSOR, dtype="int32", sequences=(None, None)),
        ),
        (tfds.features.Audio(), Leaf(path="steps/x", kind=Kind.OTHER, dtype="", sequences=())),
    ],
)
def test_leaves_of_every_kind(feature, leaf):
    assert _leaf({"x": feature}) == leaf


def test_nested_features_are_flattened_and_sorted():
    features = parse_features(
        _of({"observation": {"b": np.int64, "a": {"c": np.int64}}, "action": np.int64}, id=np.int64)
    )
    assert [leaf.path for leaf in features.leaves] == [
        "id",
        "steps/action",
        "steps/observation/a/c",
        "steps/observation/b",
    ]
    assert [leaf.path for leaf in features.episode] == ["id"]
    assert len(features.steps) == 3


def test_select_names_what_is_missing():
    features = parse_features(_of({"action": np.int64}))
    with pytest.raises(InputError, match=r"no feature 'steps/reward'; there are steps/action"):
        features.select("steps/action", "steps/reward")


def test_notes_are_kept():
    notes = tfds.features.Documentation(desc="Clipped.", value_range="[-1, 1]")
    leaf = _leaf({"x": tfds.features.Scalar(dtype=np.float32, doc=notes)})
    assert (leaf.description, leaf.value_range) == ("Clipped.", "[-1, 1]")


LEGACY_STEPS = {
    "reward": {
        "type": PACKAGE + "tensor_feature.Tensor",
        "content": {"shape": [], "dtype": "float32", "encoding": "none"},
    },
    "state": {
        "type": PACKAGE + "tensor_feature.Tensor",
        "content": {"shape": [None, 3], "dtype": "float64", "encoding": "zlib"},
    },
    "image": {
        "type": PACKAGE + "image_feature.Image",
        "content": {"shape": [8, 8, 1], "dtype": "uint8", "encoding_format": "png"},
    },
    "language": {"type": PACKAGE + "text_feature.Text", "content": {}},
    "nested": {
        "type": DICT,
        "content": {"label": {"type": PACKAGE + "class_label_feature.ClassLabel", "content": {"num_classes": 3}}},
    },
}


def test_features_of_2021():
    """Before protocol buffers: `type` and `content`; TFDS itself still reads it, and says the same."""
    steps = {"type": DATASET, "content": {"feature": {"type": DICT, "content": LEGACY_STEPS}, "length": None}}
    legacy = {"type": DICT, "content": {"steps": steps}}
    features = parse_features(json.dumps(legacy).encode())
    modern = tfds.features.FeaturesDict.from_json(legacy)
    assert features == parse_features(_of(dict(modern["steps"].feature)))
    assert {leaf.path: leaf.shape for leaf in features.leaves}["steps/state"] == (None, 3)


@pytest.mark.parametrize("as_text", [False, True])
def test_features_of_2022(as_text):
    """A protocol buffer in `content`, named by `proto_cls`, as JSON or as a string of it."""
    modern = json.loads(_of({"x": tfds.features.Tensor(shape=(2,), dtype=np.float32)}))
    content = modern["featuresDict"]
    legacy = {
        "type": DICT,
        "content": json.dumps(content) if as_text else content,
        "proto_cls": "tensorflow_datasets.FeaturesDict",
    }
    assert parse_features(json.dumps(legacy).encode()) == parse_features(json.dumps(modern).encode())


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (b"", FormatError, "not the description"),
        (b"[]", FormatError, "not the description"),
        (b'{"a":' * 100_000, FormatError, "not the description"),
        (b'{"featuresDict": {"features": {"steps": 3}}}', FormatError, r"\$\.featuresDict"),
        (b'{"type": "x.FeaturesDict", "content": "{"}', FormatError, "not the description"),
        (b"{}", InputError, "`steps` is missing"),
        (
            b'{"featuresDict": {"features": {"image": {"image": {}}}}}',
            InputError,
            r"`steps` is missing \(features: image\)",
        ),
        (b'{"featuresDict": {"features": {"steps": {"tensor": {}}}}}', InputError, "`steps` is not a Dataset"),
    ],
)
def test_what_is_no_rlds_dataset(text, error, message):
    with pytest.raises(error, match=message):
        parse_features(text)


def test_steps_must_have_names():
    with pytest.raises(InputError, match="no named features"):
        parse_features(_of(np.float32))


def _with_tensor(**content):
    leaf = {"pythonClassName": PACKAGE + "tensor_feature.Tensor", "tensor": {"dtype": "float32", **content}}
    inner = {"featuresDict": {"features": {"x": leaf}}}
    steps = {"pythonClassName": DATASET, "sequence": {"feature": inner}}
    return json.dumps({"featuresDict": {"features": {"steps": steps}}}).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"shape": {"dimensions": ["-2"]}}, "negative or too large"),
        ({"shape": {"dimensions": ["100000", "100000"]}}, "negative or too large"),
        ({"shape": {"dimensions": ["1" * 5000]}}, "not the description"),
        ({"encoding": "gzip"}, "encoding 'gzip'"),
    ],
)
def test_impossible_tensors(content, message):
    with pytest.raises(FormatError, match=message):
        parse_features(_with_tensor(**content))


def test_deep_nesting_is_refused():
    text = _with_tensor()
    for _ in range(40):
        text = text.replace(b'{"x":', b'{"d": {"featuresDict": {"features": {"x":').replace(b"}}}}", b"}}}}}}}", 1)
    with pytest.raises(FormatError, match="more than 32 deep"):
        parse_features(text)


def test_too_many_features_are_refused(monkeypatch):
    monkeypatch.setattr("gato_pipelines.rlds.features.MAX_LEAVES", 3)
    with pytest.raises(FormatError, match="more than 3"):
        parse_features(_of(dict.fromkeys("abcd", np.int64)))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["type", "content", "featuresDict", "steps"]), inner)
        ),
        max_leaves=20,
    )
)
def test_any_json_is_parsed_or_refused(value):
    with pytest.raises((FormatError, InputError)):
        parse_features(json.dumps(value).encode())


def test_written_features_are_those_of_tfds(rlds_data):
    for path in rlds_data.rglob("features.json"):
        theirs = path.read_bytes()
        assert features_json(parse_features(theirs)) == json.loads(theirs)


def test_writing_needs_timesteps():
    with pytest.raises(InputError, match="needs features under steps/"):
        features_json(Features((Leaf(path="id", kind=Kind.TENSOR, dtype="int64"),)))
