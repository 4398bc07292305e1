"""One bit of a file that is no shard is another: `verify` notices, whichever bit it is."""

import random
from pathlib import Path

import pytest

from gato_data.errors import GatoError
from gato_data.verify.dataset import verify_dataset
from gato_schemas.dataset import (
    DEAD_LETTERS,
    MANIFEST,
    MANIFEST_COPY,
    TEXT_MODEL,
    TFDS_FEATURES,
    TFDS_INFO,
)  # fmt: skip
from tests.fuzz.dataset_commands import DATASET, INDEX, copied

FLIPS = 12
FILES = (MANIFEST, MANIFEST_COPY, DEAD_LETTERS, TEXT_MODEL, TFDS_FEATURES, TFDS_INFO, INDEX)


def noticed(folder: Path) -> bool:
    """Whether something is found to be wrong, or nothing can be read."""
    try:
        return not verify_dataset(folder).whole
    except GatoError:
        return True


@pytest.mark.parametrize("names", [*((name,) for name in FILES), (MANIFEST, MANIFEST_COPY)], ids=" and ".join)
def test_a_flipped_bit_is_noticed(names: tuple[str, ...], tmp_path: Path) -> None:
    folder = copied(tmp_path) / DATASET
    good = {name: (folder / name).read_bytes() for name in names}
    rng = random.Random(" ".join(names))
    for _ in range(FLIPS):
        flipped = [rng.randrange(8 * len(data)) for data in good.values()]
        for (name, data), bit in zip(good.items(), flipped, strict=True):
            damaged = bytearray(data)
            damaged[bit // 8] ^= 1 << bit % 8
            (folder / name).write_bytes(damaged)
        assert noticed(folder), f"bits {flipped} of {names}"
