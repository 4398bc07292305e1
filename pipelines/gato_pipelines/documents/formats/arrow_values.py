"""Values out of batches of Arrow: strings stay bytes, so that one bad text does not hide the others."""

from typing import Any

from gato_pipelines.files.streams import import_pyarrow

_LISTS = ("list", "large_list", "list_view", "large_list_view", "fixed_size_list")
_TEXTS = ("string", "large_string", "string_view", "binary", "large_binary", "binary_view", "fixed_size_binary")


def row_values(batch: Any) -> list[dict[str, Any]]:
    """The rows of a batch; every string and binary is bytes."""
    pyarrow = import_pyarrow()
    columns = [_as_bytes(pyarrow, column) for column in batch.columns]
    rows: list[dict[str, Any]] = pyarrow.RecordBatch.from_arrays(columns, names=batch.schema.names).to_pylist()
    return rows


def is_text(kind: Any) -> bool:
    """Whether a type of Arrow is a string or a binary, also large, view, of fixed size or dictionary."""
    types = import_pyarrow().types
    if kind is not None and types.is_dictionary(kind):
        return is_text(kind.value_type)
    return kind is not None and any(getattr(types, f"is_{name}")(kind) for name in _TEXTS)


def is_list(kind: Any) -> bool:
    """Whether a type of Arrow is a list of any kind."""
    types = import_pyarrow().types
    return any(getattr(types, f"is_{name}")(kind) for name in _LISTS)


def size_of_value(value: Any) -> int:
    """Bytes of all strings in a value."""
    if isinstance(value, bytes | str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(size_of_value, value.values()))
    return sum(map(size_of_value, value)) if isinstance(value, list | tuple) else 0


def _as_bytes(pyarrow: Any, array: Any) -> Any:
    """The same values with every string, however deep, as bytes, and every kind of list as one kind."""
    types, compute, kind = pyarrow.types, pyarrow.compute, array.type
    if types.is_struct(kind):
        members = [_as_bytes(pyarrow, member) for member in array.flatten()]
        return pyarrow.StructArray.from_arrays(members, [field.name for field in kind], mask=array.is_null())
    if is_list(kind):
        ends = compute.cumulative_sum(compute.fill_null(compute.list_value_length(array), 0).cast("int64"))
        offsets = pyarrow.concat_arrays([pyarrow.array([0], "int64"), ends])
        values = _as_bytes(pyarrow, compute.list_flatten(array))
        return pyarrow.LargeListArray.from_arrays(offsets, values, mask=array.is_null())
    if types.is_dictionary(kind):
        return _as_bytes(pyarrow, array.dictionary_decode())
    return array.cast(pyarrow.large_binary()) if is_text(kind) else array
