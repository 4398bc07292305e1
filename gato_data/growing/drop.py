"""Dropping episodes: a dataset of those that are left."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from gato_data.errors import MixtureError
from gato_data.growing.assemble import assemble, fingerprint_of
from gato_data.growing.copying import Taken
from gato_data.growing.output import name_of, new_folder
from gato_data.growing.parents import parent_of
from gato_data.growing.tasks import joined_notes, without_notes
from gato_data.printable import counted
from gato_data.shards.episodes import OpenDataset
from gato_data.shards.views import View
from gato_schemas.account import Note
from gato_schemas.dataset import Manifest, TaskInfo, read_manifest
from gato_schemas.origin import Origin


@dataclass(frozen=True)
class Dropped:
    """What a drop made.

    Attributes:
        manifest: of the new dataset.
        episodes: that were left out.
        tasks: that have no episode any more.
    """

    manifest: Manifest
    episodes: int
    tasks: tuple[str, ...]


def drop(
    folder: Path,
    where: str,
    out: Path,
    name: str | None = None,
    *,
    progress: Callable[[int, int], None] = lambda done, shards: None,
) -> Dropped:
    """Write the dataset that has all episodes of this one but those that meet the conditions.

    Args:
        folder: of the dataset.
        where: conditions as a view has them between brackets; `not-in` is none here.
        out: the new dataset's folder.
        name: of the new dataset; None for that of its folder.
        progress: called before every shard is written, with how many are and how many there will be.

    Raises:
        FormatError: the folder is no complete dataset, or is damaged.
        MixtureError: the conditions cannot be read, name what is not there, or leave nothing or all.
        OutputError: `out` is not free, or cannot be written.
    """
    view = _conditions(where)
    parent = OpenDataset(folder, read_manifest(folder))
    view.check(parent.manifest)
    with new_folder(out, [folder]):
        cut = _Cut(parent, view)
        origin = Origin(how="drop", parents=[parent_of(parent.manifest)], where=str(view), left_out=cut.episodes)
        manifest = msgspec.structs.replace(
            parent.manifest,
            name=name_of(out, name),
            tasks=cut.tasks,
            agents=cut.agents,
            account=cut.account(),
            origin=origin,
            fingerprint=fingerprint_of(origin, list(cut.tasks), cut.agents),
        )
        gone = tuple(task for task in parent.manifest.tasks if task not in cut.tasks)
        return Dropped(assemble(out, manifest, [parent], cut.taken, progress), cut.episodes, gone)


def _conditions(where: str) -> View:
    view = View.parse(where)
    if not view.conditions:
        raise MixtureError("no condition was given, and all episodes would go: write --where as in 'return<20'")
    if view.others:
        raise MixtureError(
            "not-in tells datasets of a mixture apart: gato-data merge --copies drop leaves copies out, "
            "drop wants conditions on the episodes themselves"
        )
    return view


class _Cut:
    """What is left of every shard, and of the tables.

    Args:
        parent: the dataset.
        view: the episodes that go.

    Raises:
        MixtureError: none goes, or none is left.
    """

    def __init__(self, parent: OpenDataset, view: View) -> None:
        self._view = view
        self._before = parent.manifest
        self.taken: dict[str, list[Taken]] = {split: [] for split in parent.manifest.splits}
        self.episodes, self._partly = 0, 0
        self._gone: list[Note] = []
        tasks, agents = set[str](), set[str]()
        for split in parent.manifest.splits:
            for shard in parent.shards(split):
                index, _ = shard.load_index()
                kept = ~view.records(index)
                self.episodes += int(np.count_nonzero((index.chunk == 0) & ~kept))
                self._partly += bool(kept.any() and not kept.all())
                tasks |= {index.header.tasks[number] for number in np.unique(index.task[kept]).tolist()}
                agents |= {index.header.agents[number] for number in np.unique(index.agent[kept]).tolist()}
                if kept.any() or (index.header.dead_letters and not self._is_gone(index.header.part.task)):
                    self.taken[split].append(Taken(shard, kept))
                else:
                    self._gone += index.header.notes
        total = parent.manifest.totals.episodes
        if not self.episodes or self.episodes == total:
            what, meet = ("all", "meet") if self.episodes else ("none", "meets")
            raise MixtureError(f"{what} of the {counted(total, 'episode')} of {parent.folder} {meet} {str(view)!r}")
        self.tasks: dict[str, TaskInfo] = {name: parent.manifest.tasks[name] for name in sorted(tasks)}
        self.agents = sorted(agents)

    def _is_gone(self, task: str) -> bool:
        """Whether the conditions leave no episode of a task, whatever else is said of it."""
        said = [each for each in self._view.conditions if each.column == "task"]
        return bool(said) and len(said) == len(self._view.conditions) and self._view.has_task(task)

    def account(self) -> list[Note]:
        """What was said of the input, without that of shards that are gone."""
        added = [Note("left-out", f"episodes were dropped: {self._view}", self.episodes)]
        if self._partly:
            text = "statistics and counts of shards that lost some of their episodes are those of all of these"
            added.append(Note("read", text, self._partly))
        return joined_notes([without_notes(self._before.account, self._gone), added])
