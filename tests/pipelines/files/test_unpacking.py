"""Compressed bytes: several members, padding, and all that comes before damage."""

import bz2
import gzip
import io
import lzma
import random
import zlib
from collections.abc import Callable
from contextlib import suppress

import pytest
import zstandard

from gato_pipelines.files import unpacking
from gato_pipelines.files.unpacking import DamageError, WindowError, codec_of, unpack

LINES = [b"%d %d\n" % (number, random.Random(number).getrandbits(200)) for number in range(9000)]
TEXT = b"".join(LINES)
PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".tgz": gzip.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    ".xz": lzma.compress,
    ".bz2": lambda data: bz2.compress(data, 1),
}


def unpacked(suffix: str, data: bytes, window: int = 128) -> tuple[bytes, str]:
    """What comes out, and what is said of the rest."""
    found = b""
    try:
        for block in unpack(io.BytesIO(data), codec_of("a.jsonl" + suffix, window)):
            found += block
    except DamageError as error:
        return found, str(error)
    return found, ""


@pytest.mark.parametrize("suffix", PACK)
class TestEveryCodec:
    def test_members_follow_each_other(self, suffix: str) -> None:
        pack = PACK[suffix]
        assert unpacked(suffix, pack(TEXT)) == (TEXT, "")
        assert unpacked(suffix, pack(TEXT) + pack(b"") + pack(b"more") + bytes(1000)) == (TEXT + b"more", "")
        assert unpacked(suffix, pack(b"one") + bytes(100) + pack(b"two")) == (b"onetwo", "")

    def test_rubbish_behind_the_end_costs_nothing_before(self, suffix: str) -> None:
        found, reason = unpacked(suffix, PACK[suffix](TEXT) + b"<html>gateway timeout</html>")
        assert (found, bool(reason)) == (TEXT, True)

    def test_a_file_that_is_cut_off_gives_all_that_it_holds(self, suffix: str) -> None:
        whole = PACK[suffix](TEXT)
        found, reason = unpacked(suffix, whole[: len(whole) // 2])
        assert reason == "it is cut off"
        assert TEXT.startswith(found)
        assert len(found) > len(TEXT) // 4
        assert unpacked(suffix, whole[:5]) == (b"", "it is cut off")
        assert unpacked(suffix, b"") == (b"", "it is cut off")

    def test_a_damaged_member_costs_none_before(self, suffix: str) -> None:
        pack, second = PACK[suffix], bytearray(PACK[suffix](TEXT))
        second[1] ^= 255
        found, reason = unpacked(suffix, pack(b"first\n" * 1000) + bytes(second))
        assert found == b"first\n" * 1000
        assert reason.endswith("; the damage may begin before")

    def test_another_kind_of_file(self, suffix: str) -> None:
        found, reason = unpacked(suffix, b"this is no compressed file at all" * 10)
        assert (found, bool(reason)) == (b"", True)


def test_zeros_without_end_are_something_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "_MAX_PADDING", 1000)
    assert unpacked(".gz", gzip.compress(TEXT) + bytes(1001)) == (TEXT, "it goes on with zeros")


@pytest.mark.parametrize("at", [3000, 20_000, 50_001])
def test_a_flipped_byte_costs_only_what_comes_after_it(at: int) -> None:
    """As far as zlib itself gets when it is given byte after byte."""
    data = bytearray(gzip.compress(TEXT, 6))
    data[at] ^= 0x55
    decoder, wanted = zlib.decompressobj(31), b""
    with suppress(zlib.error):
        for byte in data:
            wanted += decoder.decompress(bytes([byte]))
    found, reason = unpacked(".gz", bytes(data))
    assert found == wanted
    assert reason
    assert unpacked(".gz", gzip.compress(b"before\n") + bytes(data))[0] == b"before\n" + wanted


def test_a_checksum_that_does_not_agree_is_said() -> None:
    data = bytearray(gzip.compress(TEXT))
    data[-6] ^= 1
    assert unpacked(".gz", bytes(data)) == (TEXT, "incorrect data check; the damage may begin before")


def test_frames_that_are_to_be_skipped_are() -> None:
    skipped = b"\x50\x2a\x4d\x18" + (300).to_bytes(4, "little") + bytes(300)
    pack = PACK[".zst"]
    assert unpacked(".zst", skipped + pack(b"one") + skipped + pack(b"two")) == (b"onetwo", "")


def long_zstd(log: int) -> bytes:
    parameters = zstandard.ZstdCompressionParameters(window_log=log, enable_ldm=True, hash_log=10, ldm_hash_log=10)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return compressor.compress(TEXT) + compressor.flush()


def long_xz(log: int) -> bytes:
    return lzma.compress(TEXT, filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << log}])


@pytest.mark.parametrize(("suffix", "pack"), [(".zst", long_zstd), (".xz", long_xz)])
def test_memory_is_bounded_by_the_window(suffix: str, pack: Callable[[int], bytes]) -> None:
    assert unpacked(suffix, pack(27)) == (TEXT, "")
    with pytest.raises(WindowError):
        unpacked(suffix, pack(28))
    assert unpacked(suffix, pack(28), 256) == (TEXT, "")
