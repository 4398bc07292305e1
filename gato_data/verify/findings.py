"""What a check of a dataset found: where, what, and what `--repair` does about it."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Remedy: TypeAlias = Literal["none", "rebuild", "quarantine"]
"""What a repair does: nothing, write a file anew from what is whole, or set a damaged piece aside."""

MAX_FINDINGS = 1000
"""Findings of one file that are kept one by one; the others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        check: which check found it, one of the names in docs/commands/verify.md.
        file: its name in the dataset's folder.
        message: what is wrong, without the file's name.
        record: number of the record in the file, from 0; None where it is not about one.
        byte: offset in the file; None where it is not about one.
        remedy: what `--repair` does about it.
    """

    check: str
    file: str
    message: str
    record: int | None = None
    byte: int | None = None
    remedy: Remedy = "none"

    @property
    def place(self) -> str:
        """File, record and byte, as far as they are known."""
        record = "" if self.record is None else f", record {self.record}"
        return self.file + record + ("" if self.byte is None else f", byte {self.byte}")


@dataclass(slots=True)
class Findings:
    """All findings, a bounded number of them one by one.

    Attributes:
        kept: in the order in which they were found.
        count: of all.
        notes: what is no damage but should be known, one sentence each.
    """

    kept: list[Finding] = field(default_factory=list)
    count: int = 0
    notes: list[str] = field(default_factory=list)
    _by_file: dict[str, int] = field(default_factory=dict)

    def add(self, finding: Finding) -> None:
        """Take a finding."""
        self.count += 1
        seen = self._by_file[finding.file] = self._by_file.get(finding.file, 0) + 1
        if seen <= MAX_FINDINGS:
            self.kept.append(finding)

    def note(self, sentence: str) -> None:
        """Take a note."""
        if len(self.notes) < MAX_FINDINGS:
            self.notes.append(sentence)

    def of(self, file: str) -> int:
        """How many findings there are in a file."""
        return self._by_file.get(file, 0)
