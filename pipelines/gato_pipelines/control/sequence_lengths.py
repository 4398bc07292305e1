"""How long sequences are of which a dataset does not say it: as long as all of them are, in all timesteps."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import msgspec

from gato_pipelines.control.selection import Selection
from gato_pipelines.part_scan import PartScan
from gato_pipelines.rlds.features import Kind, Leaf
from gato_pipelines.rlds.values import ROW_LENGTHS
from gato_schemas.episode import Field

Role = Literal["observations", "actions"]


def undeclared_lengths(chosen: Selection) -> dict[str, Leaf]:
    """The leaves that hold how long sequences are of which the dataset does not declare it, by their fields."""
    roles: tuple[tuple[Role, tuple[tuple[Leaf, Field], ...]], ...] = (
        ("observations", chosen.observations),
        ("actions", chosen.actions),
    )
    pairs = [(field_key(role, spec), leaf) for role, fields in roles for leaf, spec in fields if None in leaf.sequences]
    return {key: Leaf(path=leaf.path + ROW_LENGTHS, kind=Kind.SCALAR, dtype="int64") for key, leaf in pairs}


def settle_lengths(scans: Sequence[PartScan]) -> list[PartScan]:
    """The scans of one task with all lengths filled in; a field whose sequences differ in length is left out."""
    found: dict[str, list[int]] = {}
    for scan in scans:
        for key, lengths in scan.lengths.items():
            found.setdefault(key, []).extend(lengths)
    return [_settled(scan, found) for scan in scans] if found else list(scans)


def field_key(role: Role, field: Field) -> str:
    """What a field is called among those of both roles."""
    return f"{role}/{field.name}"


def _settled(scan: PartScan, found: Mapping[str, Sequence[int]]) -> PartScan:
    kept: dict[Role, list[Field]] = {"observations": [], "actions": []}
    left_out = dict(scan.left_out)
    for role, fields in kept.items():
        for field in getattr(scan, role) or ():
            lengths = found.get(field_key(role, field))
            if lengths is None:
                fields.append(field)
            elif lengths and min(lengths) == max(lengths) > 0:
                fields.append(replace(field, shape=(lengths[0], *field.shape[1:])))
            else:
                left_out[field.name] = _why_not(lengths)
    return msgspec.structs.replace(scan, **kept, left_out=left_out)


def _why_not(lengths: Sequence[int]) -> str:
    if not lengths or max(lengths) == 0:
        return "a sequence that is always empty"
    return f"a sequence of {min(lengths)} to {max(lengths)} values: as many in every timestep are wanted"
