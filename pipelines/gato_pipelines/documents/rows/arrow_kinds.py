"""What the columns of parquet and Arrow files hold: by the features that the Hub's library declares, else by types."""

from collections.abc import Mapping
from typing import Any

import msgspec

from gato_pipelines.documents.formats.arrow_values import is_list, is_text
from gato_pipelines.documents.rows.row import Kind, is_turn, kind_of_list, kind_of_members, kind_of_text
from gato_pipelines.files.streams import import_pyarrow

_HUB = b"huggingface"
_FEATURES = msgspec.json.Decoder(dict[str, Any])


def kinds_of_schema(schema: Any) -> Mapping[str, Kind]:
    """What each column holds; of structs that are neither pictures nor turns, also what their members hold."""
    declared = _declared(schema.metadata or {})
    found: dict[str, Kind] = {}
    for field in schema:
        found[field.name] = declared.get(field.name) or _kind(field.name, field.type)
        if found[field.name] == "other" and import_pyarrow().types.is_struct(field.type):
            found |= {f"{field.name}.{inner.name}": _kind(inner.name, inner.type) for inner in field.type}
    return found


def _kind(name: str, kind: Any) -> Kind:
    if is_text(kind):
        return kind_of_text(name)
    if is_list(kind):
        inner = kind.value_type
        if import_pyarrow().types.is_struct(inner) and is_turn([field.name for field in inner]):
            return "turns"
        return kind_of_list(_kind(name, inner))
    if import_pyarrow().types.is_struct(kind):
        return kind_of_members([field.name for field in kind], nested=all(is_list(field.type) for field in kind))
    return "other"


def _declared(metadata: Mapping[bytes, bytes]) -> dict[str, Kind]:
    """The columns that features of the Hub's library call pictures, in the metadata of a schema."""
    try:
        features = _FEATURES.decode(metadata.get(_HUB, b"{}")).get("info", {}).get("features", {})
        return {name: kind for name, feature in features.items() if (kind := _declared_kind(feature))}
    except (msgspec.MsgspecError, RecursionError, AttributeError, TypeError):
        return {}


def _declared_kind(feature: Any) -> Kind | None:
    """A picture, a list of them in any of the ways that lists were declared, or something else."""
    inner = feature[0] if isinstance(feature, list) and feature else None
    if isinstance(feature, dict):
        if feature.get("_type") == "Image":
            return "picture"
        inner = feature.get("feature")
    return "pictures" if isinstance(inner, dict) and inner.get("_type") == "Image" else None
