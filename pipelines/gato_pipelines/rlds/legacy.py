"""`features.json` as TFDS wrote it before 2023, turned into today's form.

Until 2022 a feature was {"type": class, "content": {...}}, its content differing by class; then the
content became the protocol buffer of today's form, named by "proto_cls", as JSON or as a string of
JSON.
"""

from typing import Any

import msgspec

_PROTO_FIELDS = {
    "FeaturesDict": "featuresDict",
    "Sequence": "sequence",
    "TensorFeature": "tensor",
    "ImageFeature": "image",
    "ClassLabel": "classLabel",
    "BoundingBoxFeature": "boundingBox",
    "TextFeature": "text",
}
_CLASS_FIELDS = {
    "FeaturesDict": "featuresDict",
    "Sequence": "sequence",
    "Dataset": "sequence",
    "Tensor": "tensor",
    "Scalar": "tensor",
    "Image": "image",
    "ClassLabel": "classLabel",
    "BBoxFeature": "boundingBox",
    "Text": "text",
}


def modernise(feature: Any) -> Any:
    """Rewrite an old feature and those inside it; anything else is returned as it is.

    Raises:
        ValueError: the content of an old feature is not JSON.
    """
    if not isinstance(feature, dict) or not isinstance(feature.get("type"), str):
        return feature
    class_name: str = feature["type"]
    content = feature.get("content") or {}
    if isinstance(content, str):
        content = msgspec.json.decode(content)
    if (proto := feature.get("proto_cls")) is not None:
        return {"pythonClassName": class_name, _PROTO_FIELDS.get(str(proto).rpartition(".")[2], "other"): content}
    field = _CLASS_FIELDS.get(class_name.rpartition(".")[2], "other")
    if isinstance(content, dict):
        content = _content(field, content)
    return {"pythonClassName": class_name, field: content}


def _content(field: str, content: dict[str, Any]) -> dict[str, Any]:
    if field == "featuresDict":
        return {"features": {name: modernise(child) for name, child in content.items()}}
    if field == "sequence":
        length = content.get("length")
        return {"feature": modernise(content.get("feature")), "length": -1 if length is None else length}
    new = {name: value for name, value in content.items() if name in ("dtype", "encoding") and value is not None}
    if isinstance(sides := content.get("shape"), list):
        new["shape"] = {"dimensions": [-1 if side is None else side for side in sides]}
    if content.get("encoding_format"):
        new["encodingFormat"] = content["encoding_format"]
    if isinstance(classes := content.get("num_classes"), int):
        new["numClasses"] = classes
    return new
