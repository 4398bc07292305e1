"""Mending a dataset: damaged pieces are set aside, what is whole stays, and everything that counts it is made anew.

Shards and their indexes are evidence, a manifest sums them up: nothing in it makes a whole record go. What is whole but
should not be there waits for `force`.

The order makes a repair that is killed harmless: copies into the quarantine first, then dead letters, then the shard
and its index, the manifest last. Run again, it goes on where it stopped; on a whole dataset it does nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from gato_data.card.files import card_files, files_of_manifest, stale_card
from gato_data.errors import OutputError
from gato_data.files import locked, refuse_links, write_durably
from gato_data.verify.dataset import ShardState, Verdict, verify_dataset
from gato_data.verify.dead_letters import restore_dead_letters, sort_dead_letters
from gato_data.verify.mend_shard import mend_shard
from gato_data.verify.quarantine import move_aside, set_aside
from gato_data.verify.recount import recount
from gato_schemas.dataset import CARD, CROISSANT, DEAD_LETTERS, MANIFEST, PICTURE
from gato_schemas.index import SUFFIX
from gato_schemas.regular_file import read_regular


@dataclass(frozen=True, slots=True)
class Repair:
    """What a repair did.

    Attributes:
        before: what was wrong.
        after: what is still wrong.
        done: one sentence for every thing that was done.
        doubts: one sentence for everything that nobody can vouch for any more.
    """

    before: Verdict
    after: Verdict
    done: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def repair_dataset(folder: Path, report: Callable[[str], None] = lambda line: None, *, force: bool = False) -> Repair:
    """Mend what can be mended; whatever is taken out of a file lies in `quarantine/` afterwards, byte by byte.

    Args:
        folder: the dataset.
        report: called with the name of every shard before it is read.
        force: set aside what is whole but should not be there as well, and take shards that are not the dataset's.

    Raises:
        InputError, FormatError: as `verify_dataset`.
        OutputError: the folder cannot be written, is being repaired, or holds a link.
    """
    before = verify_dataset(folder, report)
    if before.whole and not stale_card(folder, before.manifest):
        return Repair(before, before)
    refuse_links(folder)
    mending = _Mending(before, force)
    try:
        with locked(folder, "repaired"):
            mending.describe() if before.whole else mending.run()
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be repaired ({error.strerror or error}): mend that, then run the same command again"
        ) from error
    return Repair(before, verify_dataset(folder, report), tuple(mending.done), tuple(mending.doubts))


@dataclass(slots=True)
class _Mending:
    """One repair; `done` and `doubts` are those of `Repair`."""

    verdict: Verdict
    force: bool
    done: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Mend everything, the manifest last."""
        verdict, folder = self.verdict, self.verdict.folder
        self._restore_dead_letters()
        mended = set()
        for state in verdict.shards:
            if state.check is not None and (self.force or not state.waits):
                self._mend(state)
                mended.add(state.info.name)
        for finding in verdict.findings.kept:
            if finding.check == "stray" and (self.force or finding.remedy != "force"):
                self.done.append(f"{finding.file} is now {move_aside(folder / finding.file)}")
        episodes, digest = sort_dead_letters(folder, verdict.manifest)
        manifest = msgspec.structs.replace(
            recount(folder, verdict.manifest, verdict.shards, mended),
            dead_letters=episodes,
            dead_letters_digest=digest,
        )
        files = files_of_manifest(folder, manifest)
        if not stale_card(folder, manifest) and _has(folder / MANIFEST, files[MANIFEST]):
            files = {name: content for name, content in files.items() if name not in (CARD, PICTURE, CROISSANT)}
        for name, content in files.items():
            self._write(folder / name, content)

    def describe(self) -> None:
        """Write card and metadata of a whole dataset."""
        folder = self.verdict.folder
        for name, content in card_files(folder, self.verdict.manifest, read_regular(folder / MANIFEST)).items():
            self._write(folder / name, content)

    def _restore_dead_letters(self) -> None:
        exact = restore_dead_letters(self.verdict.folder, self.verdict.manifest)
        if exact is not None:
            self.done.append(f"{DEAD_LETTERS} was written anew")
        if exact is False:
            self.doubts.append(
                f"{DEAD_LETTERS} holds what the indexes and whole lines of it say: more may have been lost"
            )

    def _mend(self, state: ShardState) -> None:
        verdict, name = self.verdict, state.info.name
        if not verdict.findings.of(name) and not verdict.findings.of(name + SUFFIX):
            return
        assert state.check is not None
        self.doubts += _doubts(state)
        self.done += mend_shard(verdict.folder / name, state.split, state.check, verdict.manifest)

    def _write(self, path: Path, data: bytes) -> None:
        if path.is_file():
            if _has(path, data):
                return
            set_aside(path)
        write_durably(path, data)
        self.done.append(f"{path.name} was written anew")


def _has(path: Path, data: bytes) -> bool:
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data


def _doubts(state: ShardState) -> Iterator[str]:
    """What of a shard is taken on trust."""
    name, check = state.info.name, state.check
    assert check is not None
    if check.digest != state.info.digest:
        if state.replaced or (check.digest is not None and not check.lost[0]):
            yield f"{name} is taken as it is: whether its records are those that were ingested nobody can say"
        elif not state.indexed:
            yield f"what is left of {name} has nothing but its own checksums to vouch for it: its index was lost too"
    if not state.indexed:
        yield f"what the index of {name} said of its input is lost with it: the manifest alone has its statistics"
