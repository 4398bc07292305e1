"""What a trained model needs to act, whatever became of its datasets: `policy.json` of a run and its checkpoints."""

import hashlib
from typing import Any

import msgspec

from gato_schemas.bounds import Digest, Natural
from gato_schemas.dataset import TaskInfo, VocabularyInfo
from gato_schemas.errors import FormatError
from gato_schemas.origin import SourceInfo
from gato_schemas.versioned import decode_versioned

POLICY_VERSION = 1
POLICY = "policy.json"
MOST_BYTES = 80 * 2**20
"""Of a card: it has to fit into the head of a safetensors file, which ends at 100 MB."""


class Demonstration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The first timesteps of one good episode.

    Attributes:
        task: its task. agent: who played.
        episode_id: in its dataset.
        episode_return: of the whole episode; None where there are no rewards.
        record: the record of those timesteps, its patches as zlib blocks.
    """

    task: str
    agent: str
    episode_id: str
    episode_return: float | None
    record: bytes


class PolicyDataset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One dataset of the mixture.

    Attributes:
        name: the dataset's, with its view in brackets.
        family, source, content_id, libraries, tokenization, vocabulary, agents: as its manifest has them.
        tasks: those of its view.
        demonstrations: some of the best episodes of each task, the best first.
    """

    name: str
    family: str
    source: SourceInfo
    content_id: Digest
    libraries: dict[str, str]
    tokenization: dict[str, Any]
    vocabulary: VocabularyInfo
    tasks: dict[str, TaskInfo]
    agents: list[str]
    demonstrations: list[Demonstration]


class PolicyCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything but the parameters, their shape and the step, which stand beside it.

    Attributes:
        reading: the settings of the reader that decide windows and prompts.
        vocabulary: of all datasets together.
        max_observation_tokens: rows of the table of local positions.
        text_model: the bytes of the text model; None where no text is tokenized.
        datasets: in the order of the mixture.
        left_out: what is missing, a sentence each.
    """

    version: Natural = POLICY_VERSION
    reading: dict[str, Any]
    vocabulary: VocabularyInfo
    max_observation_tokens: Natural
    text_model: bytes | None
    datasets: list[PolicyDataset]
    left_out: list[str] = []


def encode_card(card: PolicyCard) -> bytes:
    """Readable JSON with sorted keys, sealed by its checksum."""
    content = msgspec.to_builtins(card)
    content["checksum"] = _checksum(content)
    return msgspec.json.format(msgspec.json.encode(content, order="sorted"), indent=1) + b"\n"


def _checksum(content: dict[str, Any]) -> str:
    """SHA-256 of a card's JSON without its checksum: keys sorted, no spaces."""
    rest = {name: value for name, value in content.items() if name != "checksum"}
    return hashlib.sha256(msgspec.json.encode(rest, order="sorted")).hexdigest()


def decode_card(data: bytes, name: str) -> PolicyCard:
    """Parse a card; `name` is that of the file in errors.

    Raises:
        FormatError: it is of another version (a VersionError), damaged, malformed or too large.
    """
    if len(data) > MOST_BYTES:
        raise FormatError(f"{name} has {len(data):,} bytes, at most {MOST_BYTES:,} are wanted: it is no {POLICY}")
    problem, advice = f"is no {POLICY} of gato-data", ": load it with the version of gato-data that wrote it"
    content = decode_versioned(
        data, dict[str, Any], POLICY_VERSION, name=name, noun="policy", problem=problem, advice=advice
    )
    try:
        whole = content.pop("checksum", None) == _checksum(content)
        card = msgspec.convert(content, PolicyCard) if whole else None
    except (msgspec.ValidationError, OverflowError) as error:
        raise FormatError(f"{name} {problem} ({error})") from error
    if card is None:
        raise FormatError(f"{name} is damaged: its content does not match its checksum")
    return card
