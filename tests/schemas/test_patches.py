import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_schemas.compression import PatchEncoding
from gato_schemas.errors import FormatError
from gato_schemas.patches import decode_patches, encode_patches

PATCHES = np.random.default_rng(0).integers(0, 4, (600, 16, 16, 3), np.uint8)
PAYLOADS = {
    name: [memoryview(payload) for payload in encode_patches(PATCHES, PatchEncoding(name))] for name in ("zlib", "raw")
}


@given(st.sampled_from(["zlib", "raw"]), st.integers(0, 600), st.none() | st.integers(0, 700))
def test_some_patches_are_those_of_all(encoding, first, count):
    found = decode_patches(PAYLOADS[encoding], 600, encoding, first, count)
    np.testing.assert_array_equal(found, PATCHES[first:] if count is None else PATCHES[first : first + count])


def test_payloads_that_are_not_those_of_so_many_patches():
    with pytest.raises(FormatError, match="column patches has 3 blocks for 1000 patches"):
        decode_patches(PAYLOADS["zlib"], 1000, "zlib")
    with pytest.raises(FormatError, match="column patches has 460800 bytes for 601 patches"):
        decode_patches(PAYLOADS["raw"], 601, "raw")
