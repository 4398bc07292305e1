"""What `verify` says of a dataset: its answer as JSON, and what to do about what is wrong."""

from typing import Any

from gato_data.printable import counted
from gato_data.remote.mirror import mirror_of, origin
from gato_data.verify.dataset import Verdict
from gato_data.verify.repair import Repair


def repair_answer(mended: Repair) -> dict[str, Any]:
    """What is wrong after a repair, and what the repair did."""
    verdict = mended.after
    return {
        "dir": origin(verdict.folder),
        "whole": verdict.whole,
        "bytes": verdict.bytes,
        "shards": len(verdict.shards),
        "totals": verdict.counts,
        "findings_total": verdict.findings.count,
        "findings": verdict.findings.kept,
        "notes": verdict.findings.notes,
        "repaired": mended.done,
        "not_vouched_for": mended.doubts,
    }


def advice(verdict: Verdict, *, repaired: bool) -> str:
    """What to do about a dataset that is not whole, after a repair or before one."""
    findings = verdict.findings
    found = f"{counted(findings.count, 'finding')} in {origin(verdict.folder)}"
    if repaired and any(finding.remedy == "force" for finding in findings.kept):
        return (
            f"{found} that a repair would have to give up whole records for: copy the right files "
            "here again, or add --force"
        )
    if repaired:
        return f"{found} that cannot be mended here: copy those files again, or run the ingest again"
    if verdict.mendable and not mirror_of(verdict.folder):
        return f"{found}: --repair sets damaged records aside and makes the rest whole again"
    return f"{found}: copy those files again, or run the ingest again"
