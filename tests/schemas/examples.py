"""tf.train.Example as protocol buffers know it, without TensorFlow; and its wire format written byte by byte."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

Values = Sequence[bytes] | Sequence[float] | Sequence[int]


@cache
def example_class() -> Any:
    """The message class, built from a description of example.proto and feature.proto."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="example_of_tests.proto", package="tests", syntax="proto3")
    for name, kind in (
        ("BytesList", field.TYPE_BYTES),
        ("FloatList", field.TYPE_FLOAT),
        ("Int64List", field.TYPE_INT64),
    ):
        file.message_type.add(name=name).field.add(name="value", number=1, type=kind, label=field.LABEL_REPEATED)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in ((1, "bytes"), (2, "float"), (3, "int64")):
        feature.field.add(
            name=f"{name}_list",
            number=number,
            type=field.TYPE_MESSAGE,
            type_name=f".tests.{name.capitalize()}List",
            label=field.LABEL_OPTIONAL,
            oneof_index=0,
        )
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    entry.field.add(
        name="value", number=2, type=field.TYPE_MESSAGE, type_name=".tests.Feature", label=field.LABEL_OPTIONAL
    )
    features.field.add(
        name="feature",
        number=1,
        type=field.TYPE_MESSAGE,
        type_name=".tests.Features.FeatureEntry",
        label=field.LABEL_REPEATED,
    )
    file.message_type.add(name="Example").field.add(
        name="features", number=1, type=field.TYPE_MESSAGE, type_name=".tests.Features", label=field.LABEL_OPTIONAL
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tests.Example"))


def serialize(content: Mapping[str, Values]) -> bytes:
    """The bytes that protocol buffers write; an empty list is one of integers."""
    example = example_class()()
    for key, values in content.items():
        feature = example.features.feature[key]
        if values and isinstance(values[0], bytes):
            feature.bytes_list.value.extend(values)
        elif values and isinstance(values[0], float):
            feature.float_list.value.extend(values)
        else:
            feature.int64_list.SetInParent()
            feature.int64_list.value.extend(values)
    return bytes(example.SerializeToString(deterministic=True))


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, wire_type: int, payload: bytes) -> bytes:
    """One field; its length stands before it where its wire type is 2."""
    return varint(number << 3 | wire_type) + (varint(len(payload)) if wire_type == 2 else b"") + payload


def example(feature: bytes, key: bytes = b"x") -> bytes:
    """An Example with one serialized Feature."""
    return field(1, 2, field(1, 2, field(1, 2, key) + field(2, 2, feature)))
