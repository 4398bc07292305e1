"""Which of the processes of an array one is: `I/N`, and which parts of the input are its own."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from gato_data.errors import SettingError

_WRITTEN = re.compile(r"(\d{1,6})/(\d{1,6})")


@dataclass(frozen=True, slots=True)
class ArrayTask:
    """One of the processes of an array.

    Attributes:
        number: of it, from 1 on.
        of: how many there are.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> "ArrayTask":
        """Read "2/4".

        Raises:
            SettingError: it is not written so, or there is no such task.
        """
        found = _WRITTEN.fullmatch(text.strip())
        if found is None:
            raise SettingError(
                f"array-task {text!r} is not I/N: say which of how many processes this one is, such as 1/4"
            )
        number, of = int(found[1]), int(found[2])
        if not 1 <= number <= of:
            raise SettingError(
                f"array-task {text} is not possible: I counts from 1 to N, the number of processes of the whole array"
            )
        return cls(number, of)

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def folder(self) -> str:
        """Name of the folder in the work folder that is this task's own."""
        return f"task-{self.number:05d}"

    def mine(self, parts: int) -> list[int]:
        """The numbers of the parts that this task writes, of so many."""
        return list(range(self.number - 1, parts, self.of))

    def others(self, parts: int) -> list[int]:
        """The numbers of the other parts, those of the next task first, so that not all begin with the same."""
        return [
            part for step in range(1, self.of) for part in range((self.number - 1 + step) % self.of, parts, self.of)
        ]

    def owners(self, parts: Iterable[int]) -> list["ArrayTask"]:
        """The tasks that write these parts."""
        return [ArrayTask(number + 1, self.of) for number in sorted({part % self.of for part in parts})]
