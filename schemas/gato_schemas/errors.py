"""The root of every error that a user can cause.

GatoError
└── FormatError         a file on disk is not what its format says

The whole tree is in `gato_data.errors`; the schemas raise `FormatError` alone.
"""


class GatoError(Exception):
    """An error a user can cause: its message is one sentence, shown without a traceback."""


class FormatError(GatoError):
    """A file is truncated, damaged, of another version, or not of this format at all."""
