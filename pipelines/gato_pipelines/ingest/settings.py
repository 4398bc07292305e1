"""What a user asks of an ingest."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from gato_data.errors import SettingError
from gato_data.tokenize import TokenizeSettings
from gato_data.vocabulary import DiscreteIds
from gato_pipelines.ingest.runners import RunnerName
from gato_schemas.compression import PatchEncoding

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
        retry_dead_letters: make those shards anew that hold dead letters.
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
    retry_dead_letters: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.holdout < 1:
            raise SettingError(f"holdout is {self.holdout}: a share in [0, 1) is wanted")
        if self.max_episodes is not None and self.max_episodes < 1:
            raise SettingError(f"max-episodes is {self.max_episodes}: at least 1 is wanted")
        if self.overwrite and self.retry_dead_letters:
            raise SettingError(
                "overwrite makes everything anew and retry-dead-letters what was left out: give one of them"
            )
        if self.name and not _NAME.fullmatch(self.name):
            raise SettingError(
                f"name is {self.name!r}: lower-case letters, digits and underscores after a letter are wanted"
            )
