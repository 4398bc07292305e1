"""Whether batches of an Arrow file are compressed, told by their headers: how large they become is not."""

import struct
from typing import Any

from gato_data.errors import EpisodeError
from gato_pipelines.files.streams import import_pyarrow

_HEADER, _COMPRESSION = 2, 3
"""Members of the tables Message and RecordBatch of Arrow's flatbuffers (Message.fbs)."""
_RECORD_BATCH = "record batch"
_COMPRESSED = "the batches of the file are compressed, which has no bounds: write it without, or as parquet"


def check_plain(stream: Any) -> None:
    """Check that no batch is compressed; damage is left to who reads them.

    Args:
        stream: pyarrow's file, where a message begins; it is left where the messages end.

    Raises:
        EpisodeError: one is.
    """
    pyarrow = import_pyarrow()
    messages = pyarrow.ipc.MessageReader.open_stream(stream)
    while True:
        try:
            message = messages.read_next_message()
        except (StopIteration, pyarrow.ArrowException, OSError):
            return
        try:
            packed = message.type == _RECORD_BATCH and _is_compressed(message.metadata.to_pybytes())
        except struct.error as error:
            raise EpisodeError("the rest of the file cannot be read (a damaged header)", stage="read") from error
        if packed:
            raise EpisodeError(_COMPRESSED, stage="read")


def _is_compressed(metadata: bytes) -> bool:
    root = struct.unpack_from("<I", metadata)[0]
    at = _member(metadata, root, _HEADER)
    return bool(at) and bool(_member(metadata, at + struct.unpack_from("<I", metadata, at)[0], _COMPRESSION))


def _member(metadata: bytes, table: int, number: int) -> int:
    """Where a member of a table lies; 0 where it is not there."""
    members = table - struct.unpack_from("<i", metadata, table)[0]
    entry = 4 + 2 * number
    if entry >= struct.unpack_from("<H", metadata, members)[0]:
        return 0
    offset = struct.unpack_from("<H", metadata, members + entry)[0]
    return table + offset if offset else 0
