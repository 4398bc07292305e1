"""A job as workers are given it: addresses and settings; what was decided lies in the work folder, and is read once."""

from dataclasses import dataclass
from typing import Any

import msgspec

from gato_data.errors import InputError
from gato_data.vocabulary import Vocabulary
from gato_pipelines.documents.texts.duplicates import duplicates_file
from gato_pipelines.ingest.chosen_source import ChosenSource
from gato_pipelines.ingest.fingerprint import Recipe, libraries_of
from gato_pipelines.ingest.inputs import InputFolders
from gato_pipelines.ingest.job import Job, finished
from gato_pipelines.ingest.places import at_work
from gato_pipelines.ingest.settings import IngestSettings
from gato_pipelines.ingest.shards import write_part
from gato_pipelines.remote.output import RemoteOutput
from gato_pipelines.remote.work_files import WorkFiles, read_once
from gato_pipelines.source import Plan
from gato_schemas.dataset import VocabularyInfo

_NAME = "plan.msgpack"


class _Decided(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the driver decided; `duplicates` are the files of the work folder that say what is left out."""

    plan: Plan
    values: dict[str, Any]
    fingerprint: str
    text_model: bytes | None
    duplicates: tuple[str, ...]


@dataclass(frozen=True)
class JobFile:
    """Stands for a job on its way to workers, which may see nothing of the driver's disk.

    Attributes:
        source: that reads the inputs.
        settings: what is asked beside those of the source.
        inputs: where each input lies.
        work: the work folder, inside the dataset's.
        name: the dataset's.
        digest: of what lies in the work folder.
    """

    source: ChosenSource
    settings: IngestSettings
    inputs: InputFolders
    work: WorkFiles
    name: str
    digest: str

    def write(self, number: int) -> None:
        """Write the shards of part `number`, one per split, unless they are there already.

        Raises:
            InputError: the input cannot be read, or this worker would make other bytes of it.
            OutputError: the output cannot be written.
        """
        with at_work(self.inputs, self.work):
            decided, job = read_once(self.work, _NAME, self.digest, self._made)
            if job.remote is not None and finished(job, number) is None:
                for split in job.splits:
                    job.remote.have_shard(job.shard(number, split).name)
            if (name := duplicates_file(job.plan.parts[number])) in decided.duplicates:
                self.work.fetch(name)
            write_part(job, number)

    def _made(self, content: bytes) -> tuple[_Decided, Job]:
        decided = msgspec.msgpack.decode(content, type=_Decided)
        remote = self.work.out if isinstance(self.work.out, RemoteOutput) else None
        info = msgspec.convert(decided.values["vocabulary"], VocabularyInfo)
        recipe = Recipe(decided.values, decided.fingerprint, Vocabulary.from_info(info), decided.text_model)
        found = libraries_of(self.source.made, model=recipe.text, has_video=decided.plan.decodes_video)
        for name, version in recipe.libraries.items():
            if found.get(name) != version:
                raise InputError(
                    f"a worker has {name} {found.get(name)}, and the one who started the ingest {version}: install the "
                    "same versions everywhere"
                )
        job = Job(
            source=self.source,
            settings=self.settings,
            plan=decided.plan,
            recipe=recipe,
            inputs=self.inputs,
            out=self.work.folder.parent,
            name=self.name,
            remote=remote,
        )
        return decided, job


def leave_job(job: Job) -> JobFile:
    """Leave in the work folder what workers need to know of a job.

    Raises:
        OSError, OutputError: it cannot be written.
    """
    work, travels = job.work, job.settings.engine != "local"
    duplicates = sorted(path.name for path in work.folder.glob("duplicates-*.npy"))
    for name in duplicates if travels else ():
        work.push(name)
    recipe = job.recipe
    decided = _Decided(job.plan, recipe.values, recipe.fingerprint, recipe.text_model, tuple(duplicates))
    digest = work.leave(_NAME, msgspec.msgpack.encode(decided), travels=travels)
    return JobFile(job.source, job.settings, job.inputs, work, job.name, digest)
