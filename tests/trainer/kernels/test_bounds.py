"""The check itself: a kernel that reads or writes one value too many must not pass."""

import pytest
import torch


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is there: accesses are checked in the interpreter")
def test_an_access_beyond_the_end_is_seen(device: torch.device) -> None:
    import triton
    import triton.language as tl

    @triton.jit
    def copy(source, result, n, ROWS: tl.constexpr):  # noqa: N803
        place = tl.arange(0, ROWS)
        tl.store(result + place, tl.load(source + place, mask=place < n), mask=place < n)

    source, result = torch.ones(8), torch.zeros(8)
    copy[(1,)](source[:4], result, 4, ROWS=8)
    assert result.sum() == 4
    with pytest.raises(triton.runtime.errors.InterpreterError, match="outside every tensor"):
        copy[(1,)](source[:4], result, 5, ROWS=8)
