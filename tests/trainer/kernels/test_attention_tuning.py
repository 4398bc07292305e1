"""The choice of tiles: all that may be chosen are right, the faster one is taken and kept."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from gato_trainer.kernels import REFERENCE, Shapes, fused_attention_tiles
from gato_trainer.kernels.fused_attention_tiles import CUTS, TRIED, Cut, Tiles
from gato_trainer.kernels.self_test import compare

OTHERS = [
    (key, kernel, tiles) for key, kernels in TRIED.items() for kernel, others in kernels.items() for tiles in others
]


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    usual = dict(CUTS)
    yield
    CUTS.update(usual)
    fused_attention_tiles.adopt.cache_clear()


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of tiles as a card has it."""
    monkeypatch.setattr(fused_attention_tiles, "kept_path", lambda: tmp_path / "folder" / "tiles.json")
    return tmp_path / "folder" / "tiles.json"


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize(("key", "kernel", "tiles"), OTHERS, ids=str)
def test_whatever_may_be_chosen_is_right(
    key: tuple[bool, bool], kernel: str, tiles: Tiles, device: torch.device
) -> None:
    from gato_trainer.kernels import fused_relative_attention, fused_rotary_attention

    relative, large = key
    length, size = 70, 64 if large else 16
    CUTS[key] = dataclasses.replace(CUTS[key], **{kernel: tiles})
    given = [torch.randn(1, 1, length, size, device=device).requires_grad_() for _ in range(3)]
    segment = (torch.arange(length, device=device) // 40).expand(1, -1).contiguous()
    if relative:
        distance = torch.randn(1, length, size, device=device).requires_grad_()
        biases = [torch.randn(1, size, device=device).requires_grad_() for _ in range(2)]
        operations = (fused_relative_attention.relative_attention, REFERENCE.relative_attention)
        assert compare(*operations, [*given, distance, *biases, segment], torch.float32) is None
    else:
        angle = torch.randn(length, size // 2, device=device)
        rotary = (fused_rotary_attention.rotary_attention, REFERENCE.rotary_attention)
        assert compare(*rotary, [*given, angle, segment], torch.float32) is None


def test_the_faster_tiles_are_taken_and_kept(kept: Path) -> None:
    from gato_trainer.kernels import fused_attention_tuning

    usual = CUTS[True, True]
    other = TRIED[True, True]["keys"][0]

    def time(kernel: str) -> float:
        cut = CUTS[True, True]
        if cut.queries != usual.queries:
            raise RuntimeError("out of resources")
        return {usual.keys: 1.0, other: 0.5}[cut.keys] if kernel == "keys" else 1.0

    wanted = Cut(usual.forward, usual.queries, other)
    assert fused_attention_tuning.fastest(True, True, time) == wanted
    assert fused_attention_tiles.is_kept(True, True)
    assert not fused_attention_tiles.is_kept(True, False)
    CUTS[True, True] = usual
    fused_attention_tiles.adopt.cache_clear()  # another process
    assert fused_attention_tiles.cut(128, True) == wanted
    assert fused_attention_tiles.cut(128, False) == CUTS[False, True]
    assert kept.exists()


def test_times_that_vary_change_nothing(kept: Path) -> None:
    from gato_trainer.kernels import fused_attention_tuning

    usual = CUTS[False, False]
    assert fused_attention_tuning.fastest(False, False, lambda _: 1.0 if CUTS[False, False] == usual else 0.98) == usual


def test_a_damaged_file_is_as_none(kept: Path) -> None:
    kept.parent.mkdir()
    kept.write_bytes(b"[{")
    usual = CUTS[True, False]
    assert not fused_attention_tiles.is_kept(True, False)
    assert fused_attention_tiles.cut(32, True) == usual


def test_nothing_is_tuned_without_a_card(shapes: Callable[..., Shapes]) -> None:
    from gato_trainer.kernels import fused_attention_tuning

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA GPU")
    assert fused_attention_tiles.kept_path() is None
    usual = dict(CUTS)
    fused_attention_tuning.tune(shapes(width=32))
    assert usual == CUTS
