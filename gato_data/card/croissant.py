"""The metadata of a dataset in Croissant 1.1 of MLCommons, croissant.json: its files, and what a record holds."""

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from gato_data.card.hub import licences, tags
from gato_data.card.readme import CITATION
from gato_data.printable import counted, printable
from gato_schemas.columns import ARRAY_COLUMNS, RECORD_COUNTS, ROW_SHAPES
from gato_schemas.dataset import FORMAT_VERSION, MANIFEST, TEXT_MODEL, Manifest, ShardInfo

MAX_SHARDS = 1000
"""Shards of a dataset that stand in it one by one, with their digests; of more the manifest has them."""
_TFRECORD = "https://www.tensorflow.org/tutorials/load_data/tfrecord"
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "excludes": "cr:excludes",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that the specification asks for, word for word."""
_SCALARS = {
    "agent": "who acted",
    "chunk": "position among the chunks of its episode",
    "episode_id": "unique in the dataset, together with the chunk",
    "is_terminal": "1 if the episode ended in a terminal state",
    "num_chunks": "chunks of its episode",
    "return": "sum of the rewards of its episode; NaN where there are none",
    "source_episode_id": "what the source calls the episode",
    "task": "what was done",
}
_TYPES = {"return": "cr:Float32", "chunk": "cr:Int64", "num_chunks": "cr:Int64", "is_terminal": "cr:Int64"}


def croissant(manifest: Manifest, manifest_digest: str) -> bytes:
    """The file; of texts of the manifest it holds what can be printed.

    Args:
        manifest: of the dataset.
        manifest_digest: SHA-256 of the manifest's file.
    """
    totals, stated = manifest.totals, printable(manifest.source.licence, 300)
    content = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": printable(manifest.name),
        "description": (
            f"Token sequences of gato-data with a loss mask: {counted(totals.episodes, 'episode')}, "
            f"{counted(totals.timesteps, 'timestep')}, {counted(totals.tokens, 'token')}. One tf.train.Example is one "
            "episode or one chunk of it. Arrays are zlib streams of little-endian numbers; docs/format.md of gato-data "
            "describes them."
        ),
        "identifier": f"sha256:{manifest.content_id}",
        "version": f"{FORMAT_VERSION}.0.0",
        "license": stated or licences("")[0],
        "keywords": tags(manifest),
        "citeAs": CITATION,
        "isLiveDataset": False,
        "distribution": [*_files(manifest, manifest_digest), *_file_sets(manifest)],
        "recordSet": [_record_set(manifest, split) for split in _splits(manifest)],
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"


def _splits(manifest: Manifest) -> list[str]:
    return [name for name, split in sorted(manifest.splits.items()) if split.totals.records]


def _files(manifest: Manifest, manifest_digest: str) -> Iterator[dict[str, Any]]:
    yield _file(MANIFEST, "application/json", manifest_digest, "manifest: all settings, counts and digests")
    if (digest := manifest.vocabulary.text_model) is not None:
        yield _file(TEXT_MODEL, "application/octet-stream", digest, "text model of the text tokens")
    shards = [shard for name in _splits(manifest) for shard in manifest.splits[name].shards]
    yield from map(_shard, shards if len(shards) <= MAX_SHARDS else ())


def _shard(shard: ShardInfo) -> dict[str, Any]:
    described = f"{counted(shard.totals.records, 'record')}"
    return {**_file(shard.name, _TFRECORD, shard.digest, described), "contentSize": f"{shard.size} B"}


def _file(name: str, encoding: str, digest: str, description: str) -> dict[str, Any]:
    shown = printable(name, 400)
    return {
        "@type": "cr:FileObject",
        "@id": shown,
        "name": shown,
        "description": description,
        "contentUrl": shown,
        "encodingFormat": encoding,
        "sha256": digest,
    }


def _file_sets(manifest: Manifest) -> Iterator[dict[str, Any]]:
    for split in _splits(manifest):
        yield {
            "@type": "cr:FileSet",
            "@id": f"{printable(split)}-shards",
            "name": f"{printable(split)}-shards",
            "description": f"{counted(len(manifest.splits[split].shards), 'shard')} of the split",
            "encodingFormat": _TFRECORD,
            "includes": f"{printable(manifest.name)}-{printable(split)}.tfrecord-*-of-*",
            "excludes": "*.index",
        }


def _record_set(manifest: Manifest, split: str) -> dict[str, Any]:
    name = printable(split)
    counts = manifest.splits[split].totals
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"{counted(counts.records, 'record')} of {counted(counts.episodes, 'episode')}",
        "field": [_field(name, *column) for column in sorted(_columns(manifest))],
    }


def _columns(manifest: Manifest) -> Iterator[tuple[str, str, str, str]]:
    """Name, type, shape of the decoded array (empty for one value) and description of every feature of a record."""
    for name, description in _SCALARS.items():
        yield name, _TYPES.get(name, "sc:Text"), "", description
    for what in RECORD_COUNTS:
        yield f"num_{what}", "cr:Int64", "", f"how many {what.replace('_', ' ')} the record has"
    for name, dtype in ARRAY_COLUMNS.items():
        shape = ",".join(map(str, (-1, *ROW_SHAPES.get(name, ()))))
        yield name, _type(np.dtype(dtype).name), shape, f"{np.dtype(dtype).name}, one row each"
    yield "tokens", _type(manifest.vocabulary.token_dtype), "-1", "ids of all tokens"
    yield "patches", "cr:UInt8", "-1,16,16,3", f"distinct patches of the record, {manifest.patch_encoding.name}"


def _type(dtype: str) -> str:
    return {"uint8": "cr:UInt8", "uint16": "cr:UInt16", "uint64": "cr:UInt64", "int32": "cr:Int32"}.get(
        dtype, "cr:Float32"
    )


def _field(split: str, name: str, kind: str, shape: str, description: str) -> dict[str, Any]:
    array = {"isArray": True, "arrayShape": shape} if shape else {}
    return {
        "@type": "cr:Field",
        "@id": f"{split}/{name}",
        "name": name,
        "description": description,
        "dataType": kind,
        **array,
        "source": {"fileSet": {"@id": f"{split}-shards"}, "extract": {"column": name}},
    }
