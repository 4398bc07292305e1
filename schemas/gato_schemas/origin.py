"""Where the episodes of a dataset came from: a source and its inputs, and the datasets that it was made of."""

from typing import Any, Literal, TypeAlias

import msgspec

from gato_schemas.bounds import Digest, Natural

How: TypeAlias = Literal["append", "merge", "drop"]


class SourceInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the episodes came from: the source, its settings, and the names of its inputs (never paths)."""

    name: str
    settings: dict[str, Any]
    inputs: list[str]
    licence: str = ""


class Parent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A dataset that another one was made of, as it was then; `episodes` are those of all its splits."""

    name: str
    content_id: Digest
    fingerprint: str
    source: SourceInfo
    episodes: Natural


class Origin(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a dataset was made of others.

    Attributes:
        how: "append", whose one parent has the first shards; "merge", of parents in order; "drop", of one.
        parents: what it was made of.
        where: which episodes `drop` left out, as views say it; empty for the others.
        left_out: episodes that `drop` left out, or copies that `merge` did.
    """

    how: How
    parents: list[Parent]
    where: str = ""
    left_out: Natural = 0
