"""The mixture file: datasets, their weights over the run, and what the datasets were when they were mixed."""

from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from gato_schemas.bounds import Digest, Natural, Planned
from gato_schemas.dataset import VocabularyInfo
from gato_schemas.errors import FormatError
from gato_schemas.regular_file import read_regular
from gato_schemas.versioned import decode_versioned

MIXTURE_VERSION = 3
SHORT_DIGEST = 8
"""Hexadecimal digits of a shard's digest that a mixture keeps: by them a shard that changed is named."""

_MOST_WEIGHT = 2.0**53
"""Shares are at most 1; far larger ones are damage, and their products would overflow."""

Measure: TypeAlias = Literal["windows", "tokens", "loss-tokens", "episodes"]
"""What a weight is a share of: the windows of the batches (as in the paper's Table 1), their tokens, ..."""


class MixtureDataset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One dataset of a mixture.

    Attributes:
        name: the dataset's name, with its view in brackets; unique in the mixture.
        path: its folder, relative to the mixture file.
        family: the row of the paper's Table 1 that it stands for.
        fingerprint: of the dataset when the mixture was made.
        content_id: likewise.
        parts: short hashes of the manifest's parts, so that a change can be named.
        digests: by split the first 8 digits of every shard's digest, all in one text.
        episodes: of its train split, whatever the view leaves of it.
        tokens: likewise.
        loss_tokens: likewise.
        view: which of its episodes are drawn; empty for all of them.
    """

    name: str
    path: str
    family: str
    fingerprint: str
    content_id: Digest
    parts: dict[str, str]
    digests: dict[str, str]
    episodes: Natural
    tokens: Natural
    loss_tokens: Natural
    view: str = ""


class MixtureStage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Weights that hold from one global sample number on.

    Attributes:
        first_sample: global sample number; 0 in the first stage, ascending.
        measure: what the weights are shares of.
        weights: one for each dataset of the mixture, not negative, summing to 1; 0 for one that is not drawn yet
            or no longer.
    """

    first_sample: Natural = 0
    measure: Measure = "windows"
    weights: list[float]


class MixtureRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What `mix` was told of the run that it planned for; whoever trains takes it, unless told otherwise.

    Attributes:
        steps, batch_size, context_length: of the run; None where nothing was said.
        window, pack: how its windows are drawn, likewise.
    """

    steps: Planned | None = None
    batch_size: Planned | None = None
    context_length: Planned | None = None
    window: Literal["timestep", "token"] | None = None
    pack: bool | None = None

    @property
    def told(self) -> dict[str, Any]:
        """Name and value of what was said."""
        values = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return {name: value for name, value in values if value is not None}


class Mixture(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Datasets drawn by relative weight.

    Attributes:
        vocabulary, max_observation_tokens: common to all datasets.
        datasets, stages: what is drawn, and by which weights.
        run: what was said of the run.
    """

    version: int = MIXTURE_VERSION
    vocabulary: VocabularyInfo
    max_observation_tokens: Natural
    datasets: list[MixtureDataset]
    stages: list[MixtureStage]
    run: MixtureRun = MixtureRun()

    @property
    def vocabulary_size(self) -> int:
        """Rows of the table of token ids."""
        return self.vocabulary.size


def encode_mixture(mixture: Mixture) -> bytes:
    """Readable JSON with sorted keys."""
    return msgspec.json.format(msgspec.json.encode(mixture, order="sorted"), indent=2) + b"\n"


def read_mixture(path: str | Path) -> Mixture:
    """Read a mixture file.

    Raises:
        FormatError: it is missing, of another version, or malformed.
    """
    path = Path(path)
    try:
        data = read_regular(path)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise FormatError(f"there is no mixture file {path}: make one with `gato-data mix`") from error
    except OSError as error:
        raise FormatError(f"{path} cannot be read ({error.strerror})") from error
    mixture = decode_versioned(
        data, Mixture, MIXTURE_VERSION, name=str(path), noun="mixture", problem="is not a mixture file",
        advice=": make the mixture again with `gato-data mix`",
    )  # fmt: skip
    _check(mixture, path)
    return mixture


def _check(mixture: Mixture, path: Path) -> None:
    names = [dataset.name for dataset in mixture.datasets]
    if not names or len(set(names)) != len(names):
        raise FormatError(f"{path}: different datasets, at least one, are wanted, it has {', '.join(names) or 'none'}")
    for dataset in mixture.datasets:
        if not dataset.path or "\0" in dataset.path:
            raise FormatError(f"{path}: dataset {dataset.name} has no folder, its path is {dataset.path!r}")
    starts = [stage.first_sample for stage in mixture.stages]
    if not starts or starts[0] != 0 or starts != sorted(set(starts)):
        raise FormatError(f"{path}: stages start at samples {starts}, 0 first and ascending numbers are wanted")
    for stage in mixture.stages:
        if len(stage.weights) != len(names):
            raise FormatError(f"{path}: a stage has {len(stage.weights)} weights for {len(names)} datasets")
        if not all(0 <= weight <= _MOST_WEIGHT for weight in stage.weights) or not sum(stage.weights) > 0:
            raise FormatError(f"{path}: weights {stage.weights} are no shares: numbers from 0, not all 0, are wanted")
