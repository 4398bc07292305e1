"""Merging datasets: their shards one behind the other, as one ingest of all their inputs would have written them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from gato_data.errors import InputError, MixtureError
from gato_data.growing.assemble import assemble, fingerprint_of
from gato_data.growing.copying import Taken, part_number
from gato_data.growing.output import name_of, new_folder
from gato_data.growing.parents import parent_of
from gato_data.growing.tasks import joined_notes, joined_task, replaced
from gato_data.reading.datasets import common_vocabulary
from gato_data.shards.episodes import OpenDataset
from gato_schemas.account import Note
from gato_schemas.dataset import Manifest, TaskInfo, read_manifest
from gato_schemas.origin import Origin, SourceInfo

Copies: TypeAlias = Literal["keep", "drop"]
_ALIKE = ("tokenization", "patch_encoding")


@dataclass(frozen=True)
class Merged:
    """What a merge made.

    Attributes:
        manifest: of the new dataset.
        copies: episodes of a dataset that an earlier one has as well.
        leaks: those of them that one of both trains on and the other one holds out.
    """

    manifest: Manifest
    copies: int
    leaks: int


def merge(
    folders: Sequence[Path],
    out: Path,
    name: str | None = None,
    *,
    copies: Copies = "keep",
    family: str | None = None,
    progress: Callable[[int, int], None] = lambda done, shards: None,
) -> Merged:
    """Write the dataset that has the episodes of all of these, in their order.

    Args:
        folders: of at least two datasets.
        out: the new dataset's folder.
        name: of the new dataset; None for that of its folder.
        copies: what becomes of an episode that an earlier dataset has as well.
        family: of the new dataset; None for that of all of them.
        progress: called before every shard is written, with how many are and how many there will be.

    Raises:
        InputError: fewer than two datasets, or one twice.
        FormatError: a folder is no complete dataset, or is damaged.
        MixtureError: they do not go together; the message says in what.
        OutputError: `out` is not free, or cannot be written.
    """
    parents = _open(folders)
    base = _together(parents, name_of(out, name), family)
    with new_folder(out, folders):
        choice = _Choice(parents, drops=copies == "drop")
        taken = choice.taken()
        origin = Origin(
            how="merge",
            parents=[parent_of(parent.manifest) for parent in parents],
            left_out=choice.copies if copies == "drop" else 0,
        )
        account = joined_notes([base.account, _dropped(origin)])
        fingerprint = fingerprint_of(origin, list(base.tasks), base.agents)
        manifest = msgspec.structs.replace(base, origin=origin, account=account, fingerprint=fingerprint)
        return Merged(assemble(out, manifest, parents, taken, progress), choice.copies, choice.leaks)


def _open(folders: Sequence[Path]) -> list[OpenDataset]:
    if len(folders) < 2:
        raise InputError("a merge wants two datasets or more: name their folders")
    parents, seen = [], dict[str, Path]()
    for folder in folders:
        manifest = read_manifest(folder)
        if (other := seen.get(manifest.content_id)) is not None:
            raise InputError(f"{folder} has the episodes of {other}, all of them: give every dataset once")
        seen[manifest.content_id] = folder
        parents.append(OpenDataset(folder, manifest))
    return parents


def _together(parents: Sequence[OpenDataset], name: str, family: str | None) -> Manifest:
    """The manifest of the new dataset, but for what its shards decide.

    Raises:
        MixtureError: the datasets do not go together.
    """
    manifests = [parent.manifest for parent in parents]
    first, tasks, owners = manifests[0], dict[str, TaskInfo](), dict[str, Path]()
    for parent in parents:
        _check_alike(parents[0], parent, family)
        for key, task in parent.manifest.tasks.items():
            owner = str(owners.setdefault(key, parent.folder))
            known = tasks.get(key)
            tasks[key] = joined_task(key, known, task, (owner, str(parent.folder))) if known else task
    holdouts = {manifest.holdout for manifest in manifests}
    return msgspec.structs.replace(
        first,
        name=name,
        family=family or first.family,
        source=_source(manifests),
        libraries=_libraries(manifests),
        vocabulary=common_vocabulary(manifests),
        tasks={key: tasks[key] for key in sorted(tasks)},
        agents=sorted({agent for manifest in manifests for agent in manifest.agents}),
        holdout=first.holdout if len(holdouts) == 1 else 0.0,
        account=joined_notes([*(manifest.account for manifest in manifests), _filters(parents, tasks)]),
    )


def _check_alike(one: OpenDataset, other: OpenDataset, family: str | None) -> None:
    for key in _ALIKE:
        mine, theirs = (msgspec.to_builtins(getattr(each.manifest, key)) for each in (one, other))
        for setting in mine.keys() | theirs.keys():
            if mine.get(setting) != theirs.get(setting):
                raise MixtureError(
                    f"{one.folder} and {other.folder} have different settings ({key}.{setting} is "
                    f"{mine.get(setting)!r} and {theirs.get(setting)!r}): ingest one of them again with the other's"
                )
    if family is None and one.manifest.family != other.manifest.family:
        mine, theirs = (each.manifest.family or "one that is not stated" for each in (one, other))
        raise MixtureError(
            f"{one.folder} is of family {mine} and {other.folder} of {theirs}: say with --family which one the new "
            "dataset stands for"
        )


def _source(manifests: Sequence[Manifest]) -> SourceInfo:
    """The source of all of them; of its settings those that they share, the parents have the others."""
    sources = [manifest.source for manifest in manifests]
    first = sources[0]
    one_source = len({source.name for source in sources}) == 1
    shared = {key: value for key, value in first.settings.items() if all(s.settings.get(key) == value for s in sources)}
    licences = dict.fromkeys(licence for source in sources for licence in source.licence.split("; ") if licence)
    return SourceInfo(
        name=", ".join(dict.fromkeys(name for source in sources for name in source.name.split(", "))),
        settings=shared if one_source else {},
        inputs=list(dict.fromkeys(name for source in sources for name in source.inputs)),
        licence="; ".join(licences),
    )


def _libraries(manifests: Sequence[Manifest]) -> dict[str, str]:
    """The versions of libraries; where they differ, all of them."""
    found: dict[str, list[str]] = {}
    for manifest in manifests:
        for library, version in manifest.libraries.items():
            found.setdefault(library, []).extend(version.split(", "))
    return {library: ", ".join(dict.fromkeys(versions)) for library, versions in sorted(found.items())}


def _filters(parents: Sequence[OpenDataset], tasks: dict[str, TaskInfo]) -> list[Note]:
    """What is no longer said of filters, since they were not the same ones."""
    found = []
    for name in tasks:
        owners = [parent.manifest.tasks[name] for parent in parents if name in parent.manifest.tasks]
        if len({msgspec.json.encode(replaced(task.filter)) for task in owners}) > 1:
            found.append(Note("read", f"episodes of task {name} passed different filters in the datasets merged"))
    return found


def _dropped(origin: Origin) -> list[Note]:
    if not origin.left_out:
        return []
    return [Note("left-out", "episodes of a dataset merged that one before it has as well", origin.left_out)]


class _Choice:
    """What is taken of every shard; counts the copies on the way.

    Args:
        parents: in order.
        drops: whether copies are left out.
    """

    def __init__(self, parents: Sequence[OpenDataset], *, drops: bool) -> None:
        self._parents, self._drops = parents, drops
        self._train, self._held = np.zeros(0, np.uint64), np.zeros(0, np.uint64)
        self.copies = self.leaks = 0

    def taken(self) -> dict[str, list[Taken]]:
        """By split, in the order of the datasets."""
        found: dict[str, list[Taken]] = {}
        further = 0
        for parent in self._parents:
            beyond, hashes = further, {True: [self._train], False: [self._held]}
            for split in parent.manifest.splits:
                shards = parent.shards(split)
                for number, shard in enumerate(shards):
                    index, _ = shard.load_index()
                    kept = self._kept(index, trains=split == "train")
                    found.setdefault(split, []).append(Taken(shard, kept, further))
                    beyond = max(beyond, further + 1 + max(number, part_number(shard, index)))
                    hashes[split == "train"].append(index.episode_hash[index.chunk == 0])
            further = beyond
            self._train, self._held = (np.unique(np.concatenate(hashes[trains])) for trains in (True, False))
        return found

    def _kept(self, index: Any, *, trains: bool) -> NDArray[np.bool_]:
        """Which records are taken, bool (R,)."""
        own, other = (self._train, self._held) if trains else (self._held, self._train)
        among = np.isin(index.episode_hash, own)
        leaks = np.isin(index.episode_hash, other)
        begins = index.chunk == 0
        self.copies += int(np.count_nonzero((among | leaks) & begins))
        self.leaks += int(np.count_nonzero(leaks & begins))
        return np.asarray(~(among | leaks)) if self._drops else np.ones(len(index), np.bool_)
