"""The ingest pipeline, top to bottom: parts -> plan -> one shard per part and split -> manifest.

    parts       what the source finds in the input
    scan        a first pass over all parts, without decoding images      (Beam: Create | Reshuffle | Map)
    plan        what needs all parts: fields, final-step policy, tables
    write       read, tokenize and write the shards of each part          (Beam: Create | Reshuffle | Map)
    commit      merge the indexes, write the manifest last

A part's shards depend on the part and the job alone, so any runner and any number of workers gives the same bytes, and
a run that was interrupted continues with the parts that are not finished.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from gato_data.errors import InputError, SettingError
from gato_data.tokenize import TokenizeSettings
from gato_data.tokenizers.text import TextTokenizer
from gato_data.vocabulary import DiscreteIds, Vocabulary
from gato_pipelines.commit import Summary, already_complete, commit
from gato_pipelines.documents.duplicates import write_duplicates
from gato_pipelines.inputs import find_inputs
from gato_pipelines.output import check_ours, claim, dataset_name, work_folder
from gato_pipelines.planning import (
    SMALL_WRITE,
    ScanJob,
    check_observation_tokens,
    local_workers,
    make_plan,
    without_reasons,
)
from gato_pipelines.progress import Watcher, WriteProgress, scan_progress, watching
from gato_pipelines.runners import RunnerName, run_over
from gato_pipelines.shards import WORK, Job, finished, write_part
from gato_pipelines.source import PartScan, Plan, Source, make_source, recorded_settings
from gato_schemas.compression import PatchEncoding
from gato_schemas.dataset import FORMAT_VERSION
from gato_schemas.index import INDEX_VERSION, Part

_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")


@dataclass(frozen=True, kw_only=True)
class IngestSettings:
    """What is asked of an ingest, apart from the source's own settings.

    Attributes:
        name: of the dataset; by default the output folder's.
        holdout: share of episodes that go to the validation split, in [0, 1).
        max_episodes: only the first ones.
        max_bad: dead letters that are put up with.
        encoding: of patches.
        tokenize: the choices that the paper leaves open.
        discrete_ids: layout of the vocabulary.
        text_model: path of a SentencePiece model; None for the packaged one.
        runner, beam_options, workers: where it runs.
        overwrite: start again where the folder holds another dataset of ours.
    """

    name: str = ""
    holdout: float = 0.0
    max_episodes: int | None = None
    max_bad: int = 0
    encoding: PatchEncoding = field(default_factory=PatchEncoding)
    tokenize: TokenizeSettings = field(default_factory=TokenizeSettings)
    discrete_ids: DiscreteIds = "paper"
    text_model: Path | None = None
    runner: RunnerName = "local"
    beam_options: tuple[str, ...] = ()
    workers: int | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.holdout < 1:
            raise SettingError(f"holdout is {self.holdout}: a share in [0, 1) is wanted")
        if self.max_episodes is not None and self.max_episodes < 1:
            raise SettingError(f"max-episodes is {self.max_episodes}: at least 1 is wanted")
        if self.name and not _NAME.fullmatch(self.name):
            raise SettingError(
                f"name is {self.name!r}: lower-case letters, digits and underscores after a letter are wanted"
            )


@dataclass(frozen=True)
class DryRun:
    """What an ingest would do."""

    plan: Plan
    fingerprint: str
    vocabulary: Vocabulary


def plan_only(
    source: str, settings: Mapping[str, Any], inputs: Path | Sequence[Path], out: Path, ingest: IngestSettings
) -> DryRun:
    """Scan the inputs and decide, without writing anything.

    Raises:
        InputError, OutputError: as `run`, as far as it can be told without writing.
    """
    made = make_source(source, settings)
    ingest = _as_source_says(made, ingest)
    check_ours(out)
    folders = find_inputs(made, inputs)
    scans = [made.scan(folders[part.input], part) for part in _parts(made, folders)]
    plan = _plan(made, scans, ingest)
    vocabulary, _ = _vocabulary(plan, ingest)
    return DryRun(plan, _decides(source, made, plan, vocabulary, ingest)[0], vocabulary)


def run(
    source: str,
    settings: Mapping[str, Any],
    inputs: Path | Sequence[Path],
    out: Path,
    ingest: IngestSettings,
    report: Callable[[str], None] = lambda line: None,
    watcher: Watcher | None = None,
) -> Summary:
    """Turn the episodes of one or several inputs into a dataset in `out`, or continue doing so.

    Args:
        source: name of the source.
        settings: the source's settings; those not given have their defaults.
        inputs: folders or files; a pattern such as `recordings/*` stands for all that match it.
        out: the dataset's folder, created if need be.
        ingest: everything else.
        report: called with a line of what was found out.
        watcher: is shown how far it is.

    Raises:
        InputError: an input is missing, empty, or not what the source reads.
        OutputError: `out` is not ours, holds another dataset, cannot be written, or too many episodes are bad.
    """
    made = make_source(source, settings)
    ingest = _as_source_says(made, ingest)
    folders = find_inputs(made, inputs)
    parts = _parts(made, folders)
    with work_folder(out, overwrite=ingest.overwrite):
        scan = ScanJob(source, dict(settings), folders, parts, out / WORK)
        with watching(scan_progress(out / WORK, scan.prefix, len(parts)), watcher):
            scans = scan.run(ingest.runner, ingest.beam_options, ingest.workers)
        plan = _plan(made, scans, ingest)
        for note in plan.notes:
            report(note)
        if duplicates := write_duplicates(scans, out / WORK):
            report(f"{duplicates:,} documents occurred before and are left out")
        vocabulary, model = _vocabulary(plan, ingest)
        fingerprint, decides = _decides(source, made, plan, vocabulary, ingest)
        job = Job(
            source=source,
            settings=dict(settings),
            inputs=folders,
            out=out,
            name=ingest.name or dataset_name(out),
            plan=plan,
            tokenize=ingest.tokenize,
            vocabulary=vocabulary,
            encoding=ingest.encoding,
            text_model=model,
            holdout=ingest.holdout,
            libraries=decides["libraries"],
            fingerprint=fingerprint,
        )
        if (complete := already_complete(job, made)) is not None:
            return complete
        claim(job, decides)
        todo = [number for number in range(len(plan.parts)) if finished(job, number) is None]
        done = len(plan.parts) - len(todo)
        report(_progress(plan, done))
        if todo:
            log = out / WORK / "workers.log"
            processes = local_workers(plan.parts, SMALL_WRITE, ingest.workers)
            with watching(WriteProgress(job, todo), watcher):
                run_over(todo, partial(write_part, job), ingest.runner, ingest.beam_options, processes, log)
        return replace(commit(job, made, ingest.max_bad), finished_before=done)


def _as_source_says(source: Source, ingest: IngestSettings) -> IngestSettings:
    """The settings with what the source's own ones say of tokenizing."""
    end = getattr(source, "end_of_text", ingest.tokenize.end_of_text_documents)
    return replace(ingest, tokenize=replace(ingest.tokenize, end_of_text_documents=end))


def _progress(plan: Plan, done: int) -> str:
    episodes, parts = sum(part.count for part in plan.parts), len(plan.parts)
    text = f"{episodes:,} episode{'s' * (episodes != 1)} in {parts:,} part{'s' * (parts != 1)}"
    return f"{text}, {done:,} of them finished already" if done else text


def _parts(source: Source, folders: Mapping[str, Path]) -> list[Part]:
    """The parts of all inputs, in their order."""
    parts = []
    for name, folder in folders.items():
        found = source.parts(folder)
        if not found:
            raise InputError(f"{folder} has no episodes: nothing was written")
        parts += [msgspec.structs.replace(part, input=name) for part in found]
    return parts


def _plan(source: Source, scans: Sequence[PartScan], ingest: IngestSettings) -> Plan:
    plan = make_plan(scans, source, ingest.max_episodes)
    check_observation_tokens(plan, ingest.tokenize.max_observation_tokens)
    return plan


def _vocabulary(plan: Plan, ingest: IngestSettings) -> tuple[Vocabulary, bytes | None]:
    """The vocabulary, and the text model where any text will be tokenized."""
    model = TextTokenizer.load(ingest.text_model) if ingest.text_model else TextTokenizer.default()
    fields = [field for task in plan.tasks.values() for field in task.observations]
    has_text = any(field.modality == "text" for field in fields) or not fields
    digest = model.sha256 if has_text else None
    vocabulary = Vocabulary(model.size, ingest.discrete_ids, digest)
    return vocabulary, model.model_bytes if has_text else None


def _decides(
    source: str, made: Source, plan: Plan, vocabulary: Vocabulary, ingest: IngestSettings
) -> tuple[str, dict[str, Any]]:
    """Everything that decides the bytes of the shards apart from the input itself, and its hash: the fingerprint."""
    decides = {
        "format": [FORMAT_VERSION, INDEX_VERSION],
        "source": source,
        "settings": recorded_settings(made),
        "tasks": {name: without_reasons(task) for name, task in plan.tasks.items()},
        "agents": plan.agents,
        "shards": len(plan.parts),
        "vocabulary": vocabulary.info,
        "tokenize": asdict(ingest.tokenize),
        "encoding": asdict(ingest.encoding),
        "holdout": ingest.holdout,
        "libraries": _libraries(made, has_text=vocabulary.text_model is not None),
    }
    encoded = msgspec.json.encode(decides, order="deterministic")
    return hashlib.sha256(encoded).hexdigest()[:32], msgspec.json.decode(encoded, type=dict[str, Any])


def _libraries(source: Source, *, has_text: bool) -> dict[str, str]:
    """Versions of the libraries that decide bytes."""
    found = {"deflate": version("deflate"), **source.libraries()}
    if has_text:
        found["sentencepiece"] = version("sentencepiece")
    return dict(sorted(found.items()))
