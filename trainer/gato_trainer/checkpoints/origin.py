"""What is known of parameters that a run may start from, and whether they are those of its model."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from gato_data.errors import SettingError, TrainError
from gato_schemas.dataset import VocabularyInfo
from gato_trainer.checkpoints.header import CheckpointHeader
from gato_trainer.config import ModelConfig, name_told

_FREE = ("dropout", "stochastic_depth", "patch_position")
"""What may differ in training that goes on: no shape depends on it, nor what the parameters mean."""
_OF_NEW = "initialization"
"""What is of a new model alone."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What an exported file says of its parameters, each field as JSON in its metadata.

    Attributes:
        model: the shape.
        vocabulary: id ranges and text model; None where it is not known.
        context_length: of the windows that were trained on; None where it is not known.
        step: optimizer steps done.
        datasets: contents by name.
    """

    model: ModelConfig
    vocabulary: VocabularyInfo | None = None
    context_length: int | None = None
    step: int = 0
    datasets: Any = None

    def metadata(self) -> dict[str, str]:
        """The fields as a safetensors file keeps them."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: msgspec.json.encode(value, order="sorted").decode() for name, value in fields.items()}

    def check(self, model: ModelConfig, vocabulary: VocabularyInfo | None, path: Path) -> None:
        """Check that a run of this model and vocabulary can start from these parameters.

        Raises:
            TrainError: names everything that differs.
        """
        theirs, ours = asdict(self.model), asdict(model)
        names = [name for name in ours if name not in (*_FREE, _OF_NEW) and theirs[name] != ours[name]]
        if self.vocabulary is not None and vocabulary is not None:
            theirs |= msgspec.structs.asdict(self.vocabulary)
            ours |= msgspec.structs.asdict(vocabulary)
            names += [name for name in vocabulary.__struct_fields__ if not _same(name, theirs[name], ours[name])]
        if names:
            raise TrainError(f"{path} holds another model: {_told(names, theirs, ours)}")

    def changed(self, model: ModelConfig) -> str:
        """What a run of this model has otherwise, of all that it may; empty where it is the same."""
        theirs, ours = asdict(self.model), asdict(model)
        return _told([name for name in _FREE if theirs[name] != ours[name]], theirs, ours)


def _told(names: Iterable[str], theirs: Mapping[str, object], ours: Mapping[str, object]) -> str:
    return "; ".join(f"{name_told(name)} is {theirs[name]} there, {ours[name]} here" for name in names)


def _same(name: str, theirs: object, ours: object) -> bool:
    """A vocabulary without text goes with any text model."""
    return theirs == ours or (name == "text_model" and None in (theirs, ours))


def of_header(header: CheckpointHeader, path: Path) -> Origin:
    """What a checkpoint says.

    Raises:
        TrainError: its settings are not those of a run.
    """
    fields = {
        "model": asdict(header.model),
        "vocabulary": header.vocabulary and msgspec.structs.asdict(header.vocabulary),
        "context_length": header.settings.get("context_length"),
        "step": header.step,
        "datasets": header.datasets,
    }
    return _convert(fields, path)


def of_metadata(metadata: Mapping[str, str] | None, path: Path) -> Origin | None:
    """What an exported file says; None if it was written by something else.

    Raises:
        TrainError: it cannot be understood.
    """
    known = {name: text for name, text in (metadata or {}).items() if name in Origin.__struct_fields__}
    if "model" not in known:
        return None
    try:
        fields = {name: msgspec.json.decode(text) for name, text in known.items()}
    except (msgspec.MsgspecError, RecursionError) as error:
        raise TrainError(f"{path} has metadata that cannot be read ({error}): export it again") from error
    return _convert(fields, path)


def _convert(fields: dict[str, Any], path: Path) -> Origin:
    try:
        return msgspec.convert(fields, Origin)
    except (msgspec.MsgspecError, SettingError) as error:
        raise TrainError(f"{path} does not say which model it holds ({error}): export it again") from error
