import math

import pytest
import torch
import torch.nn.functional as F

from gato_trainer.kernels import reference


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def naive_relative_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    r: torch.Tensor,
    content_bias: torch.Tensor,
    distance_bias: torch.Tensor,
) -> torch.Tensor:
    """Score by score, straight from the formula; r is (H, T, E) with row m for distance m."""
    batch, heads, length, size = q.shape
    out = torch.zeros_like(q)
    for b in range(batch):
        for h in range(heads):
            for i in range(length):
                scores = torch.stack(
                    [
                        (q[b, h, i] + content_bias[h]) @ k[b, h, j] + (q[b, h, i] + distance_bias[h]) @ r[h, i - j]
                        for j in range(i + 1)
                    ]
                )
                weights = torch.softmax(scores / math.sqrt(size), dim=0)
                out[b, h, i] = weights @ v[b, h, : i + 1]
    return out


def test_relative_attention_is_the_formula_score_by_score() -> None:
    q, k, v = (normal(2, 3, 7, 4, seed=s) for s in range(3))
    r, content_bias, distance_bias = normal(3, 7, 4, seed=3), normal(3, 4, seed=4), normal(3, 4, seed=5)
    fast = reference.relative_attention(q, k, v, r.flip(1), content_bias, distance_bias)
    naive = naive_relative_attention(q, k, v, r, content_bias, distance_bias)
    torch.testing.assert_close(fast, naive, rtol=1e-12, atol=1e-12)


def test_relative_shift_moves_distances_to_keys() -> None:
    length = 5
    by_distance = torch.tensor([[100 * i + (length - 1 - c) for c in range(length)] for i in range(length)])
    shifted = reference.relative_shift(by_distance[None])[0]
    for i in range(length):
        for j in range(i + 1):
            assert shifted[i, j] == 100 * i + (i - j)


def test_gradients_of_the_reference_operations() -> None:
    q, k, v = (normal(1, 2, 5, 4, seed=s).requires_grad_() for s in range(3))
    r = normal(2, 5, 4, seed=3).requires_grad_()
    u, w = (normal(2, 4, seed=s).requires_grad_() for s in (4, 5))
    assert torch.autograd.gradcheck(reference.relative_attention, (q, k, v, r, u, w))
    angle = normal(5, 2, seed=6)
    x, bias = normal(3, 8, seed=7).requires_grad_(), normal(8, seed=8).requires_grad_()
    assert torch.autograd.gradcheck(reference.geglu, (x, bias))
    keep = torch.tensor([0.0, 1.1, 1.1], dtype=torch.float64)
    branch, gain = normal(3, 8, seed=9).requires_grad_(), normal(8, seed=10).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda *a: reference.add_norm(a[0], a[1], keep, a[2], a[3]), (x, branch, gain, bias)
    )
    assert torch.isfinite(reference.rotary_attention(q, k, v, angle)).all()


@pytest.mark.parametrize("packed", [False, True])
def test_rotary_attention_of_bfloat16_is_rounded_once_on_a_cpu(packed: bool) -> None:
    q, k, v = (normal(2, 3, 7, 8, seed=seed).bfloat16() for seed in range(3))
    angle = normal(7, 4).float()
    segment = torch.tensor([[0, 0, 0, 1, 1, 1, 1]] * 2) if packed else None
    wide = reference.rotary_attention(q.float(), k.float(), v.float(), angle, segment)
    assert torch.equal(reference.rotary_attention(q, k, v, angle, segment), wide.bfloat16())


def test_rotary_scores_depend_on_the_distance_only() -> None:
    x, y = normal(1, 1, 1, 8, seed=1).expand(1, 1, 6, 8), normal(1, 1, 1, 8, seed=2).expand(1, 1, 6, 8)
    position = torch.arange(6, dtype=torch.float32)
    angle = position[:, None] * torch.tensor([1.0, 0.1, 0.01, 0.001])
    scores = reference.rotate(x, angle) @ reference.rotate(y, angle).transpose(-1, -2)
    for diagonal in range(-5, 6):
        values = scores[0, 0].diagonal(diagonal)
        torch.testing.assert_close(values, values[:1].expand_as(values), rtol=1e-5, atol=1e-5)


def test_geglu_takes_the_first_half_as_value() -> None:
    x = torch.tensor([[3.0, 5.0, -1e9, 1e9]])
    assert reference.geglu(x, torch.zeros(4)).tolist() == [[0.0, 5e9]]


def test_patches_are_normalised_to_a_quarter_around_zero() -> None:
    pixels = torch.zeros(2, 16, 16, 3, dtype=torch.uint8)
    pixels[1, 2, 3, 1] = 255
    out = reference.normalise_patches(pixels, torch.float32)
    assert out.shape == (2, 3, 16, 16)
    assert out[1, 1, 2, 3] == pytest.approx(0.25)
    assert out[0].max() == pytest.approx(-0.25)


def test_masked_loss_is_the_full_loss_at_the_supervised_rows() -> None:
    hidden, table = normal(20, 6), normal(50, 6, seed=1)
    targets = torch.randint(0, 50, (20,), generator=torch.Generator().manual_seed(0))
    mask = torch.arange(20) % 3 == 0
    full = F.cross_entropy(hidden.float() @ table.float().T, targets, reduction="none")
    rows = mask.nonzero()[:, 0]
    loss, correct = reference.linear_cross_entropy(hidden.float()[rows], table.float(), targets[rows])
    torch.testing.assert_close(loss, full[mask])
    assert torch.equal(correct, (hidden @ table.T).argmax(-1)[rows] == targets[rows])


def test_logits_in_pieces_give_the_same_loss_and_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    table = normal(40, 6, seed=1).float().requires_grad_()
    hidden = normal(10, 6).float().requires_grad_()
    targets = torch.arange(10)
    whole = reference.linear_cross_entropy(hidden, table, targets)[0]
    expected = torch.autograd.grad(whole.sum(), (hidden, table))
    monkeypatch.setattr(reference, "LOGIT_ROWS", 4)
    pieces = reference.linear_cross_entropy(hidden, table, targets)[0]
    torch.testing.assert_close(pieces, whole)
    torch.testing.assert_close(torch.autograd.grad(pieces.sum(), (hidden, table)), expected)


def test_gradients_of_thousands_of_equal_patches_are_summed_in_float32() -> None:
    tables = [torch.zeros(rows, 2) for rows in (3, 1, 128, 128)]
    none = torch.zeros(1, 5000, dtype=torch.int64)
    slot = torch.arange(5000)
    index = torch.where(slot < 4096, 1, 2)
    vectors = torch.zeros(4, 2, dtype=torch.bfloat16).requires_grad_()
    x = reference.embed(*tables, none, none - 1, vectors, index, slot, none[0], none[0], torch.bfloat16)
    (gradient,) = torch.autograd.grad(x.sum(), vectors)
    assert gradient.tolist() == [[0, 0], [4096, 4096], [904, 904], [0, 0]]


def test_gradients_of_equal_patches_are_summed_in_a_fixed_order() -> None:
    tables = [torch.zeros(rows, 64) for rows in (3, 1, 128, 128)]
    none = torch.zeros(1, 20000, dtype=torch.int64)
    index = torch.randint(7, (20000,), generator=torch.Generator().manual_seed(0))
    vectors, weight = normal(8, 64).float().requires_grad_(), normal(1, 20000, 64, seed=1).float()

    def gradient() -> torch.Tensor:
        x = reference.embed(
            *tables, none, none - 1, vectors, index, torch.arange(20000), none[0], none[0], torch.float32
        )
        return torch.autograd.grad((x * weight).sum(), vectors)[0]

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        several = gradient()
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(several, gradient())
    assert not several[7].any()


def test_embedding_puts_patches_and_positions_where_they_belong() -> None:
    table, local, rows, columns = normal(9, 4), normal(5, 4, seed=1), normal(128, 4, seed=2), normal(128, 4, seed=3)
    vectors, index = normal(2, 4, seed=4), torch.tensor([1, 0])
    tokens = torch.tensor([[1, 0, 3], [0, 5, 6]])
    local_row = torch.tensor([[0, 1, -1], [2, -1, 4]])
    slots, r, c = torch.tensor([1, 3]), torch.tensor([7, 8]), torch.tensor([9, 127])
    out = reference.embed(table, local, rows, columns, tokens, local_row, vectors, index, slots, r, c, torch.float64)
    torch.testing.assert_close(out[0, 0], table[1] + local[0])
    torch.testing.assert_close(out[0, 1], vectors[1] + rows[7] + columns[9] + local[1])
    torch.testing.assert_close(out[0, 2], table[3])
    torch.testing.assert_close(out[1, 0], vectors[0] + rows[8] + columns[127] + local[2])
    torch.testing.assert_close(out[1, 2], table[6] + local[4])
