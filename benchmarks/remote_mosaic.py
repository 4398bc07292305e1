"""What mosaicml-streaming fetches of windows in an object store: `remote.py` calls this with the peer's Python.

    python remote_mosaic.py FOLDER ADDRESS CACHE_BYTES EPOCHS BATCH

FOLDER/windows has a file for every window. They are written as shards, each compressed with zstd, as large as the peer
demands of a cache of so many bytes; put at ADDRESS; and read as often as there are epochs, in the peer's own random
order.
"""

import os
import sys
from pathlib import Path


def main() -> None:
    folder, address, limit, epochs, batch = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
    os.environ["S3_ENDPOINT_URL"] = os.environ["AWS_ENDPOINT_URL"]
    from streaming import MDSWriter, StreamingDataset

    windows = sorted((folder / "windows").iterdir())
    size = min(limit // 8, 2**26)
    with MDSWriter(out=address, columns={"window": "bytes"}, compression="zstd", size_limit=size) as writer:
        for path in windows:
            writer.write({"window": path.read_bytes()})
    dataset = StreamingDataset(
        remote=address, local=str(folder / "local"), shuffle=True, batch_size=batch, cache_limit=limit
    )
    read = sum(1 for _ in range(epochs) for _ in dataset)
    assert read == epochs * len(windows), read
    os._exit(0)  # its threads would go on


if __name__ == "__main__":
    main()
