"""Every error that a user can cause.

GatoError
├── FormatError         a file on disk is not what its format says
├── SettingError        a setting or option has a value that cannot be used
├── InputError          an input folder or file is missing, or is not what was asked for
├── OutputError         an output folder cannot be written, or is not ours
├── EpisodeError        one episode or document cannot be tokenized (it becomes a dead letter)
├── MixtureError        datasets, weights or vocabularies that do not go together
├── TrainError          a run cannot start, continue or be resumed
└── MissingPackageError a package of an extra is not installed

Each message is one sentence that says what came, what was wanted and what to do.
"""

from gato_schemas.errors import FormatError, GatoError

__all__ = [
    "EpisodeError",
    "FormatError",
    "GatoError",
    "InputError",
    "MissingPackageError",
    "MixtureError",
    "OutputError",
    "SettingError",
    "TrainError",
]


class SettingError(GatoError):
    """A setting or option has a value that cannot be used."""


class InputError(GatoError):
    """An input folder or file is missing, empty, or not what was asked for."""


class OutputError(GatoError):
    """An output folder cannot be written, or holds something that is not ours."""


class EpisodeError(GatoError):
    """One episode or document cannot be read or tokenized; it becomes a dead letter.

    `stage` is where it happened: "read", "decode", "tokenize" or "write".
    """

    def __init__(self, message: str, *, stage: str = "tokenize") -> None:
        super().__init__(message)
        self.stage = stage

    def __reduce__(self) -> tuple[object, ...]:  # keeps `stage` when the error crosses a process boundary
        return (_rebuild_episode_error, (str(self), self.stage))


def _rebuild_episode_error(message: str, stage: str) -> "EpisodeError":
    return EpisodeError(message, stage=stage)


class MixtureError(GatoError):
    """Datasets, weights or vocabularies do not go together."""


class TrainError(GatoError):
    """A training run cannot start, continue or be resumed."""


class MissingPackageError(GatoError):
    """A package of an optional extra is not installed."""
