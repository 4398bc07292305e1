"""What the planning pass finds of the ranges of continuous fields: `--action-range`, `--observation-range`."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from gato_data.errors import InputError
from gato_data.ranges import ElementRange, RangeBuilder
from gato_pipelines.containers.container import Container
from gato_pipelines.control.expected import OutsideBuilder
from gato_pipelines.control.flags import is_terminal
from gato_pipelines.control.selection import Selection
from gato_pipelines.control.sequence_lengths import Role, field_key
from gato_pipelines.part_scan import FieldRanges, Outside
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import Leaf
from gato_pipelines.source import ActionRange
from gato_schemas.episode import Field


@dataclass(frozen=True, kw_only=True)
class RangeChoice:
    """The ranges that are mapped to [-1, 1], as the source has them."""

    actions: ActionRange = "none"
    observations: ActionRange = "none"

    def of(self, role: Role) -> ActionRange:
        """That of the fields of a role."""
        return self.actions if role == "actions" else self.observations

    def limits(self, role: Role) -> tuple[float, float] | None:
        """Where values are clipped, if that does not depend on the episodes; without a range, actions alone are."""
        wanted = self.of(role)
        if isinstance(wanted, tuple):
            return wanted
        return (-1.0, 1.0) if wanted == "none" and role == "actions" else None


class RangeScanner:
    """Gathers what the continuous values of the episodes of one part are like.

    Raises:
        InputError: ranges are those that the dataset itself says, and it says none, or of another number of elements.
    """

    def __init__(self, container: Container, chosen: Selection, choice: RangeChoice) -> None:
        self._choice = choice
        self._said = {
            field_key(role, spec): _said(container, leaf, spec, role)
            for role, leaf, spec in _continuous(chosen)
            if choice.of(role) == "stats"
        }
        self._fields = [entry for entry in _continuous(chosen) if self._is_looked_at(entry[0])]
        self._ranges: dict[str, tuple[RangeBuilder, RangeBuilder, RangeBuilder]] = {}
        self._outside: dict[str, tuple[OutsideBuilder, OutsideBuilder, OutsideBuilder]] = {}
        for role, leaf, spec in self._fields:
            if self._wants_range(role) and None not in leaf.sequences:
                self._begin(role, spec, prod(spec.shape))
            if (limits := choice.limits(role)) is not None:
                first, second, third = (OutsideBuilder(*limits) for _ in range(3))
                self._outside[field_key(role, spec)] = (first, second, third)

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """The leaves that it looks at."""
        return tuple(leaf for _, leaf, _ in self._fields)

    def add(self, episode: RldsEpisode) -> None:
        """Add the values of an episode of one timestep at least."""
        for role, leaf, spec in self._fields:
            values, key = episode.tensors[leaf.path], field_key(role, spec)
            # of a length that is not declared
            if self._wants_range(role) and key not in self._ranges:
                self._begin(role, spec, prod(values.shape[1:]))
            for found in (self._ranges, self._outside):
                if key in found:
                    body, terminal, truncated = found[key]
                    body.add(values[:-1])
                    (terminal if is_terminal(episode) else truncated).add(values[-1:])

    def ranges(self) -> dict[str, FieldRanges]:
        """The ranges, by role and field."""
        found = {key: FieldRanges(*(b.result() for b in builders)) for key, builders in self._ranges.items()}
        return {**self._said, **found}

    def outside(self) -> dict[str, tuple[Outside, Outside, Outside]]:
        """The values outside ranges that are known beforehand, by role and field."""
        return {key: (b.result(), t.result(), r.result()) for key, (b, t, r) in self._outside.items()}

    def _is_looked_at(self, role: Role) -> bool:
        return self._wants_range(role) or self._choice.limits(role) is not None

    def _wants_range(self, role: Role) -> bool:
        return self._choice.of(role) in ("minmax", "quantile")

    def _begin(self, role: Role, spec: Field, size: int) -> None:
        quantiles = self._choice.of(role) == "quantile"
        first, second, third = (RangeBuilder(size, quantiles=quantiles) for _ in range(3))
        self._ranges[field_key(role, spec)] = (first, second, third)


def _continuous(chosen: Selection) -> Iterator[tuple[Role, Leaf, Field]]:
    for leaf, spec in chosen.observations:
        if spec.modality == "continuous":
            yield "observations", leaf, spec
    for leaf, spec in chosen.actions:
        if spec.modality == "continuous":
            yield "actions", leaf, spec


def _said(container: Container, leaf: Leaf, spec: Field, role: Role) -> FieldRanges:
    """The range of a field that the dataset itself says."""
    said = container.value_range(leaf)
    if said is None or len(said[0]) != len(said[1]) or len(said[0]) != prod(spec.shape):
        what = "no statistics" if said is None else f"statistics of {len(said[0])} elements"
        word = role.removesuffix("s")
        raise InputError(
            f"{container.label} has {what} for {word} {spec.name!r} of {prod(spec.shape)}: --{word}-range minmax "
            "finds the same"
        )
    elements = [ElementRange(low, high) if low <= high else ElementRange() for low, high in zip(*said, strict=True)]
    return FieldRanges(elements, elements, elements)
