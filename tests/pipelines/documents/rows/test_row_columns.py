"""Which columns are taken, by types first and then by names."""

import pyarrow as pa
import pytest

from gato_data.errors import InputError
from gato_pipelines.documents.rows.arrow_kinds import kinds_of_schema
from gato_pipelines.documents.rows.columns import Columns, RowKeys, choose_columns
from gato_pipelines.documents.rows.row import kind_of_value

PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
CAPTION = pa.struct([("caption", pa.string())])
TURN = pa.struct([("from", pa.string()), ("value", pa.large_string())])


def chosen(keys: RowKeys | None = None, **types: pa.DataType) -> Columns | None:
    return choose_columns(kinds_of_schema(pa.schema(list(types.items()))), keys or RowKeys(), "the table")


@pytest.mark.parametrize(
    ("types", "wanted"),
    [
        ({"image": PICTURE, "caption": pa.string()}, "captions in 'caption', pictures in 'image'"),
        ({"foto": PICTURE, "said": pa.dictionary(pa.int32(), pa.string())}, "captions in 'said', pictures in 'foto'"),
        ({"jpg": PICTURE, "txt": pa.string(), "__key__": pa.string()}, "captions in 'txt', pictures in 'jpg'"),
        (
            {"jpg": PICTURE, "json": pa.struct([("caption", pa.string())])},
            "captions in 'json.caption', pictures in 'jpg'",
        ),
        ({"image_path": pa.string(), "text": pa.list_(pa.string())}, "captions in 'text', pictures in 'image_path'"),
        ({"image": pa.binary(), "text": pa.string()}, "captions in 'text', pictures in 'image'"),
        ({"mask": PICTURE, "image": PICTURE, "text": pa.string()}, "captions in 'text', pictures in 'image'"),
        (
            {"image": PICTURE, "question": pa.string(), "answers": pa.list_(pa.string()), "text": pa.string()},
            "questions in 'question', answers in 'answers', pictures in 'image'",
        ),
        (
            {"images": pa.list_(PICTURE), "messages": pa.list_(TURN)},
            "conversations in 'messages', pictures in 'images'",
        ),
        ({"conversations": pa.list_(TURN)}, "conversations in 'conversations', no pictures"),
        (
            {"image": PICTURE, "chat": pa.struct([("from", pa.list_(pa.string())), ("value", pa.list_(pa.string()))])},
            "conversations in 'chat', pictures in 'image'",
        ),
        ({"image": PICTURE, "label": pa.int64()}, "None"),
        ({"text": pa.string(), "id": pa.string()}, "None"),
        (
            {"image": PICTURE, "question": pa.string(), "choices": pa.list_(pa.string()), "answer": pa.int64()},
            "None",
        ),
        (
            {"image": PICTURE, "question": pa.string(), "answer": pa.int64()},
            "None",
        ),
    ],
)
def test_columns_are_found(types: dict[str, pa.DataType], wanted: str) -> None:
    assert str(chosen(**types)) == wanted


def test_the_declared_type_counts_more_than_the_name() -> None:
    declared = b'{"info": {"features": {"pixels": {"_type": "Image"}, "more": [{"_type": "Image"}], "x": 7}}}'
    schema = pa.schema([("pixels", pa.string()), ("more", pa.list_(pa.string())), ("x", pa.string())])
    kinds = kinds_of_schema(schema.with_metadata({b"huggingface": declared}))
    assert kinds == {"pixels": "picture", "more": "pictures", "x": "text"}
    for damaged in (b"", b"[]", b'{"info": []}', b"[" * 10000):
        assert kinds_of_schema(schema.with_metadata({b"huggingface": damaged}))["pixels"] == "text"


def test_names_that_are_given() -> None:
    types = {"a": PICTURE, "b": PICTURE, "text": pa.string(), "long": pa.string(), "n": pa.int64()}
    found = chosen(RowKeys(image_key=("b", "a"), text_key="long"), **types)
    assert found == Columns("captions", ("b", "a"), "long", left_out=("text", "n"))
    with pytest.raises(InputError, match=r"several columns of pictures \(a, b\): name those wanted with --image-key"):
        chosen(**types)
    with pytest.raises(InputError, match=r"the table has no column 'lnog': it has .* \('long' may be meant\)"):
        chosen(RowKeys(text_key="lnog"), **types)


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("image", "a.jpg", "picture"),
        ("image", ["a.jpg", "b.jpg"], "pictures"),
        ("left_file_name", "a.jpg", "picture"),
        ("image", {"path": "a.jpg", "bytes": None}, "picture"),
        ("caption", ["one", "two"], "texts"),
        ("caption", [[1]], "other"),
        ("x", [{"user": "a", "assistant": "b"}], "turns"),
        ("x", {"from": ["human"], "value": ["a"]}, "turns"),
        ("x", {}, "other"),
        ("x", [], "other"),
        ("x", None, "other"),
    ],
)
def test_values_of_json(name: str, value: object, kind: str) -> None:
    assert kind_of_value(name, value) == kind
