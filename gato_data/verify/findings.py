"""What a check of a dataset found: where, what, and what `--repair` does about it."""

from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

Remedy: TypeAlias = Literal["none", "rebuild", "quarantine", "force"]
"""What a repair does: nothing, write a file anew from what is whole, set a damaged piece aside, or give up what is not
damaged, which it does with --force alone."""

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

    def about(self, check: str, file: str, message: str, remedy: Remedy = "none", *, byte: int | None = None) -> None:
        """Take a finding about a whole file."""
        self.add(Finding(check=check, file=file, message=message, remedy=remedy, byte=byte))

    def withhold(self, file: str) -> None:
        """What would be set aside of a file is not damaged: let it wait for --force."""
        self.kept = [
            replace(finding, remedy="force") if (finding.file, finding.remedy) == (file, "quarantine") else finding
            for finding in self.kept
        ]

    def drop(self, file: str, check: str) -> None:
        """Forget the findings of one check in a file: another one says it all."""
        rest = [finding for finding in self.kept if (finding.file, finding.check) != (file, check)]
        self.count -= len(self.kept) - len(rest)
        self.kept = rest

    def note(self, sentence: str) -> None:
        """Take a note."""
        if len(self.notes) < MAX_FINDINGS:
            self.notes.append(sentence)

    def of(self, file: str) -> int:
        """How many findings there are in a file."""
        return self._by_file.get(file, 0)
