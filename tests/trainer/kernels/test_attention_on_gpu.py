"""What only a GPU can show of attention: offsets beyond 32 bits, float16, and the same bits from many programs."""

from collections.abc import Callable

import pytest
import torch

from gato_trainer.kernels import REFERENCE

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def roomy(gigabytes: int) -> None:
    free = torch.cuda.mem_get_info()[0] / 1e9
    if free < gigabytes:
        pytest.skip(f"a GPU with {gigabytes} GB free is needed, {free:.0f} GB are")


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(shape, device="cuda", dtype=torch.bfloat16)


def operations() -> tuple[Callable[..., torch.Tensor], Callable[..., torch.Tensor]]:
    from gato_trainer.kernels.fused_relative_attention import relative_attention
    from gato_trainer.kernels.fused_rotary_attention import rotary_attention

    return relative_attention, rotary_attention


@pytest.mark.parametrize(("heads", "size"), [(24, 32), (6, 128)])
def test_attention_beyond_32_bits(heads: int, size: int) -> None:
    """The last window of very many must come out as it does alone; q, k and v together have over 2**31 elements."""
    roomy(60)
    windows, length = 920, 1024
    projection = normal(windows, length, 3, heads, size).requires_grad_()
    assert projection.numel() > 2**31
    distance, biases = normal(heads, length, size), [torch.randn(heads, size, device="cuda") for _ in range(2)]
    angle = torch.rand(length, size // 2, device="cuda") * 100
    for operation, rest in zip(operations(), ((distance, *biases), (angle,)), strict=True):
        out = operation(*projection.permute(2, 0, 3, 1, 4).unbind(0), *rest)
        last = projection.detach()[-1:].clone().requires_grad_()
        expected = operation(*last.permute(2, 0, 3, 1, 4).unbind(0), *rest)
        torch.testing.assert_close(out[-1:], expected, rtol=0, atol=0)
        (found,) = torch.autograd.grad(out[-1].float().square().sum(), projection)
        (right,) = torch.autograd.grad(expected.float().square().sum(), last)
        torch.testing.assert_close(found[-1:], right, rtol=2e-2, atol=2e-2)
        assert not found[0].any()
        del out, found
    reference = REFERENCE.rotary_attention(*last.permute(2, 0, 3, 1, 4).unbind(0), angle)
    torch.testing.assert_close(expected, reference, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("length", [1, 31, 64, 65, 1000, 1023])
@pytest.mark.parametrize(("heads", "size"), [(4, 16), (24, 32), (4, 64), (12, 128)])
def test_lengths_that_do_not_fill_tiles(heads: int, size: int, length: int) -> None:
    given = [normal(3, heads, length, size) for _ in range(3)]
    distance, biases = normal(heads, length, size), [torch.randn(heads, size, device="cuda") for _ in range(2)]
    segment = (torch.arange(length, device="cuda") // 300).expand(3, -1).contiguous()
    angle = torch.rand(length, size // 2, device="cuda") * 100
    relative, rotary = operations()
    for packed in (None, segment):
        for fused, plain, rest in (
            (relative, REFERENCE.relative_attention, (distance, *biases)),
            (rotary, REFERENCE.rotary_attention, (angle,)),
        ):
            expected = plain(*given, *rest, packed)
            torch.testing.assert_close(fused(*given, *rest, packed), expected, rtol=3e-2, atol=3e-2)


def test_the_same_bits_from_many_programs() -> None:
    projection = normal(32, 1024, 3, 24, 32).requires_grad_()
    distance = normal(24, 1024, 32).requires_grad_()
    biases = [torch.randn(24, 32, device="cuda").requires_grad_() for _ in range(2)]

    def run() -> tuple[torch.Tensor, ...]:
        out = operations()[0](*projection.permute(2, 0, 3, 1, 4).unbind(0), distance, *biases)
        return out, *torch.autograd.grad(out.float().square().sum(), [projection, distance, *biases])

    first = run()
    for _ in range(3):
        assert all(torch.equal(a, b) for a, b in zip(run(), first, strict=True))
