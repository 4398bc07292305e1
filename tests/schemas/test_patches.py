import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_schemas.compression import PatchEncoding
from gato_schemas.errors import FormatError
from gato_schemas.patches import decode_patches, encode_patches, gather_patches

PATCHES = np.random.default_rng(0).integers(0, 4, (600, 16, 16, 3), np.uint8)
PAYLOADS = {
    name: [memoryview(payload) for payload in encode_patches(PATCHES, PatchEncoding(name))] for name in ("zlib", "raw")
}


@pytest.mark.parametrize("encoding", ["zlib", "raw"])
def test_all_patches_come_back(encoding):
    np.testing.assert_array_equal(decode_patches(PAYLOADS[encoding], 600, encoding), PATCHES)


@given(st.sampled_from(["zlib", "raw"]), st.lists(st.integers(0, 599), max_size=50))
def test_gathered_patches_are_those_of_the_index(encoding, index):
    found = gather_patches(PAYLOADS[encoding], np.array(index, "<u2"), 600, encoding)
    np.testing.assert_array_equal(found, PATCHES[index])


def test_only_the_blocks_that_are_named_are_inflated():
    payloads = [memoryview(b"damaged"), PAYLOADS["zlib"][1], memoryview(b"damaged")]
    found = gather_patches(payloads, np.array([256, 511, 300]), 600, "zlib")
    np.testing.assert_array_equal(found, PATCHES[[256, 511, 300]])
    with pytest.raises(FormatError, match="column patches: a stream of 7 bytes does not inflate"):
        gather_patches(payloads, np.array([256, 255]), 600, "zlib")


@pytest.mark.parametrize("encoding", ["zlib", "raw"])
def test_an_index_out_of_range(encoding):
    with pytest.raises(FormatError, match="column patch_index names patch 600 of 600"):
        gather_patches(PAYLOADS[encoding], np.array([3, 600]), 600, encoding)


def test_payloads_that_are_not_those_of_so_many_patches():
    with pytest.raises(FormatError, match="column patches has 3 blocks for 1000 distinct patches"):
        decode_patches(PAYLOADS["zlib"], 1000, "zlib")
    with pytest.raises(FormatError, match="column patches has 460800 bytes for 601 distinct patches"):
        decode_patches(PAYLOADS["raw"], 601, "raw")
