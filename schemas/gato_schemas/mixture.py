"""The mixture file: datasets, their weights, and the plan that came out of them."""

from pathlib import Path

import msgspec

from gato_schemas.errors import FormatError

MIXTURE_VERSION = 1


class MixtureDataset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One dataset of a mixture.

    Attributes:
        name: the dataset's name, unique in the mixture.
        path: its folder, relative to the mixture file where that is possible.
        weight: its share of the windows that are drawn; all weights sum to 1.
        fingerprint: of the dataset when the mixture was made.
        tokens, loss_tokens, episodes: of its train split.
    """

    name: str
    path: str
    weight: float
    fingerprint: str
    tokens: int
    loss_tokens: int
    episodes: int


class Mixture(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Datasets drawn by relative weight; `vocabulary_size` and `text_model` are common to all of them."""

    version: int = MIXTURE_VERSION
    vocabulary_size: int
    text_model: str | None
    max_observation_tokens: int
    datasets: list[MixtureDataset]


def encode_mixture(mixture: Mixture) -> bytes:
    """Readable JSON with sorted keys."""
    return msgspec.json.format(msgspec.json.encode(mixture, order="sorted"), indent=2) + b"\n"


def read_mixture(path: Path) -> Mixture:
    """Read a mixture file.

    Raises:
        FormatError: it is missing, of another version, or malformed.
    """
    try:
        data = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise FormatError(f"there is no mixture file {path}: make one with `gato-data mix`") from error
    try:
        version = msgspec.json.decode(data, type=dict[str, object]).get("version")
        if version != MIXTURE_VERSION:
            raise FormatError(f"{path} has mixture version {version}, this program reads version {MIXTURE_VERSION}")
        return msgspec.json.decode(data, type=Mixture)
    except msgspec.MsgspecError as error:
        raise FormatError(f"{path} is not a mixture file ({error})") from error
