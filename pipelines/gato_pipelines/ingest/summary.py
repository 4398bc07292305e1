"""What an ingest made, and what its user should know of it."""

from dataclasses import dataclass

from gato_data.printable import share
from gato_data.report.account import unknown_share
from gato_pipelines.control.expected import MANY_SHORT
from gato_pipelines.ingest.account import MANY_UNKNOWN
from gato_pipelines.ingest.array_task import ArrayTask
from gato_schemas.dataset import DEAD_LETTERS, Manifest


@dataclass(frozen=True)
class Summary:
    """What an ingest made, and what its user should know.

    Attributes:
        manifest: of the dataset.
        warnings: one sentence each.
        finished_before: parts that an earlier run had finished.
        was_complete: there was nothing left to do.
    """

    manifest: Manifest
    warnings: tuple[str, ...]
    finished_before: int = 0
    was_complete: bool = False


@dataclass(frozen=True)
class Unfinished:
    """What one task of an array leaves that was not the last: parts that other tasks have to write.

    Attributes:
        task: that is done.
        parts: of the whole dataset.
        missing: the numbers of those that are not finished.
    """

    task: ArrayTask
    parts: int
    missing: tuple[int, ...]


def warnings_of(manifest: Manifest) -> tuple[str, ...]:
    """One sentence for each thing in a manifest that looks wrong."""
    found = []
    for name, split in manifest.splits.items():
        if not split.totals.episodes:
            found.append(
                f"the {name} split is empty: --holdout draws every episode on its own, "
                f"and none of these fell to it; give more episodes or another share"
            )
    for row in manifest.statistics:
        if row.modality == "continuous" and any(row.saturated) and _is_clipped_unasked(row.role, manifest):
            clipped = sum(row.saturated) / (row.count * len(row.saturated))
            low, high = min(row.low), max(row.high)
            found.append(
                f"{clipped:.1%} of the values of {row.role} {row.field!r} of task {row.task!r} were clipped "
                f"(they reach from {low:g} to {high:g}): --{row.role}-range minmax or LOW:HIGH maps a wider range"
            )
    episodes = manifest.totals.episodes
    short = sum(note.count for note in manifest.account if note.kind == "short")
    if short and short >= MANY_SHORT * episodes:
        found.append(
            f"{share(short, episodes)} of the episodes are one timestep long: does the input say where episodes end?"
        )
    unknown, texts = unknown_share(manifest)
    if unknown > MANY_UNKNOWN * texts:
        found.append(
            f"{share(unknown, texts)} of the text tokens are no piece of the text model, and their characters "
            "are lost: give a --text-model that knows them, or one with byte pieces, as the packaged one has"
        )
    if manifest.dead_letters:
        left_out = "1 episode was" if manifest.dead_letters == 1 else f"{manifest.dead_letters} episodes were"
        found.append(f"{left_out} left out: see {DEAD_LETTERS}")
    return tuple(found)


def _is_clipped_unasked(role: str, manifest: Manifest) -> bool:
    """Whether it is told that values of a role were clipped: quantiles leave some out, companding the very largest."""
    asked = manifest.source.settings.get(f"{role}_range", "none")
    return asked != "quantile" and (role == "action" or asked != "none")
