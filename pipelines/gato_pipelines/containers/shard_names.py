"""Shards that other shards' names promise, such as `train-00001-of-00004.parquet`: a download may have broken off."""

import re
from collections import defaultdict
from collections.abc import Iterable

from gato_pipelines.containers.container import File

_SHARD = re.compile(r"^(?P<start>.+)-(?P<index>\d{5})-of-(?P<count>\d{5})(?P<end>\.\w+)?$")


def absent_shards(names: Iterable[str]) -> list[File]:
    """The shards that are not among the files of a folder; names that promise none do not count."""
    found: dict[tuple[str, str, str], set[int]] = defaultdict(set)
    for match in filter(None, map(_SHARD.match, names)):
        found[match["start"], match["count"], match["end"] or ""].add(int(match["index"]))
    return [
        File(f"{start}-{index:05}-of-{count}{end}", 0, None, missing="No such file or directory")
        for (start, count, end), there in found.items()
        for index in range(int(count))
        if index not in there
    ]
