"""A job: what is asked, what was decided, and where it lies."""

from dataclasses import dataclass
from pathlib import Path

from gato_pipelines.ingest.chosen_source import ChosenSource
from gato_pipelines.ingest.fingerprint import Recipe
from gato_pipelines.ingest.inputs import InputFolders
from gato_pipelines.ingest.settings import IngestSettings
from gato_pipelines.remote.output import RemoteOutput
from gato_pipelines.remote.work_files import WorkFiles
from gato_pipelines.source import Plan
from gato_schemas.dataset import shard_name
from gato_schemas.errors import FormatError
from gato_schemas.index import ShardIndex, index_path, read_index


@dataclass(frozen=True, kw_only=True)
class Job:
    """Everything that decides the bytes of the shards, and where they go; workers are given its `JobFile`.

    Attributes:
        source: that reads the inputs.
        settings: what is asked beside those of the source.
        plan: what was decided for the whole dataset.
        recipe: all that decides bytes, and its hash.
        inputs: where each input lies.
        out: the dataset's folder.
        name: the dataset's name.
        remote: what copies shards to where they belong; None where that is `out`.
    """

    source: ChosenSource
    settings: IngestSettings
    plan: Plan
    recipe: Recipe
    inputs: InputFolders
    out: Path
    name: str
    remote: RemoteOutput | None = None

    @property
    def work(self) -> WorkFiles:
        """The work folder."""
        return WorkFiles(self.remote or self.out)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that are written."""
        return ("train", "validation") if self.settings.holdout > 0 else ("train",)

    def shard(self, number: int, split: str) -> Path:
        """Path of the shard that a part becomes."""
        return self.out / shard_name(self.name, split, number, len(self.plan.parts))


def finished(job: Job, number: int) -> dict[str, ShardIndex] | None:
    """The indexes of a part's shards where all are whole and of this job; None otherwise."""
    indexes = {}
    for split in job.splits:
        path = job.shard(number, split)
        try:
            index = read_index(index_path(path))
            size = path.stat().st_size
        except (OSError, FormatError):
            return None
        wanted = (job.recipe.fingerprint, job.plan.parts[number], size)
        if (index.header.fingerprint, index.header.part, index.header.shard_size) != wanted:
            return None
        indexes[split] = index
    return indexes
