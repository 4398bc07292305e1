"""`--skip-steps`: the steps whose windows are left out; people count steps from 1."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gato_data.errors import SettingError

_TERM = re.compile(r"(\d{1,13})(?::(\d{1,13}))?")


@dataclass(frozen=True, slots=True)
class SkippedSteps:
    """Steps that are not trained on.

    Attributes:
        ranges: of steps from 0, ascending and apart.
    """

    ranges: tuple[range, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "SkippedSteps":
        """Those of a text such as 120 or 120:124,300, in which steps count from 1 and the end of a range is left out.

        Raises:
            SettingError: it is no such text.
        """
        found = []
        for term in text.split(",") if text else ():
            match = _TERM.fullmatch(term.strip())
            first = int(match[1]) if match else 0
            stop = int(match[2] or first + 1) if match else 0
            if not 1 <= first < stop:
                raise SettingError(
                    f"skip_steps {text!r} are no steps: numbers from 1 and ranges such as 120:124,300 are wanted, of "
                    f"which 120:124 is the four steps 120 to 123"
                )
            found.append(range(first - 1, stop - 1))
        return cls.of(found)

    @classmethod
    def of(cls, ranges: Iterable[range]) -> "SkippedSteps":
        """The steps of any ranges."""
        merged: list[range] = []
        for steps in sorted(ranges, key=lambda steps: steps.start):
            if merged and steps.start <= merged[-1].stop:
                steps = range(merged[-1].start, max(merged.pop().stop, steps.stop))
            merged.append(steps)
        return cls(tuple(merged))

    def __str__(self) -> str:
        """The text that `parse` reads."""
        pairs = ((steps.start + 1, steps.stop + 1) for steps in self.ranges)
        return ",".join(f"{first}:{stop}" if stop > first + 1 else str(first) for first, stop in pairs)

    def __contains__(self, step: int) -> bool:
        """Whether a step, from 0, is left out."""
        return any(step in steps for steps in self.ranges)

    def __or__(self, other: "SkippedSteps") -> "SkippedSteps":
        """The steps of both."""
        return SkippedSteps.of((*self.ranges, *other.ranges))

    def without(self, other: "SkippedSteps") -> "SkippedSteps":
        """Those that are not among others."""
        left = [*self.ranges]
        for hole in other.ranges:
            parts = ((range(r.start, min(r.stop, hole.start)), range(max(r.start, hole.stop), r.stop)) for r in left)
            left = [part for pair in parts for part in pair if part]
        return SkippedSteps(tuple(left))

    def before(self, step: int) -> "SkippedSteps":
        """Those before a step."""
        return SkippedSteps(tuple(steps[: step - steps.start] for steps in self.ranges if steps.start < step))

    def trained(self, steps: range) -> Iterator[int]:
        """The steps of a range that are trained on."""
        return (step for step in steps if step not in self)
