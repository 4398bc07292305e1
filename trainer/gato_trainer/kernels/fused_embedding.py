"""The assembly of a batch's vectors in one pass, and its gradients without atomics.

Forward: one program a tile of tokens reads the token's row, or its patch's vector and two rows, adds the local
position's row and writes the sum. Backward: a table's gradient is a sum over all tokens that looked up the same row;
the vectors of the distinct patches are such a table.
The tokens are sorted by row (stably, so equal ones keep their order), every row's run is cut into pieces of `PIECE`
tokens, one program adds up each piece, and a second step adds the pieces of those rows that have several. The order
of additions depends on the input alone: the same input gives the same bits, however often a row occurs.
"""

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

if TYPE_CHECKING:
    from gato_trainer.kernels import Shapes

PIECE = 512
"""Tokens that one program adds up."""

_ROWS, _COLUMNS = 8, 256
_TILE = {"ROWS": _ROWS, "COLUMNS": _COLUMNS, "num_warps": 4}


def why_not(shapes: "Shapes") -> str | None:
    """Why this file does not take the shapes, or None: it takes all."""
    return None


@triton.jit(do_not_specialize=["n"])
def embed_forward(
    table, local_table, row_table, column_table, tokens, local_row, patches, patch_of, patch_index,
    patch_row, patch_column, result, n, width, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """A tile of result (n, width); patch_of (n,) is which patch token a token is, or -1."""
    token = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    here, within = token < n, (column < width)[None, :]
    patch = tl.load(patch_of + token, mask=here, other=-1).to(tl.int64)
    is_patch = patch >= 0
    text = (here & ~is_patch)[:, None] & within
    image = is_patch[:, None] & within
    row = tl.load(tokens + token, mask=here & ~is_patch, other=0)
    value = tl.load(table + row[:, None] * width + column[None, :], mask=text, other=0.0).to(tl.float32)
    row = tl.load(patch_index + patch, mask=is_patch, other=0)
    value += tl.load(patches + row[:, None] * width + column[None, :], mask=image, other=0.0).to(tl.float32)
    row = tl.load(patch_row + patch, mask=is_patch, other=0)
    value += tl.load(row_table + row[:, None] * width + column[None, :], mask=image, other=0.0).to(tl.float32)
    row = tl.load(patch_column + patch, mask=is_patch, other=0)
    value += tl.load(column_table + row[:, None] * width + column[None, :], mask=image, other=0.0).to(tl.float32)
    row = tl.load(local_row + token, mask=here, other=-1)
    placed = (row >= 0)[:, None] & within
    value += tl.load(local_table + row[:, None] * width + column[None, :], mask=placed, other=0.0).to(tl.float32)
    place = result + token[:, None] * width + column[None, :]
    tl.store(place, value.to(result.dtype.element_ty), mask=here[:, None] & within)


@triton.jit(do_not_specialize=["rows"])
def add_pieces(
    values, order, start, piece_row, piece_first, partial_first, sums, partial, rows, width,
    PIECE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """One piece of one row's tokens: the only piece of a row goes to sums (rows, width), others to partial.

    Row r's tokens are order[start[r] : start[r + 1]], its pieces begin at piece_first[r] and its places in partial
    at partial_first[r]. There are piece_first[rows] pieces; a row without tokens has none.
    """
    piece = tl.program_id(0).to(tl.int64)
    if piece >= tl.load(piece_first + rows):
        return
    row = tl.load(piece_row + piece)
    first = tl.load(piece_first + row)
    begin = tl.load(start + row) + (piece - first) * PIECE
    end = tl.minimum(begin + PIECE, tl.load(start + row + 1))
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for step in range(begin, end, ROWS):
        position = step + tl.arange(0, ROWS)
        token = tl.load(order + position, mask=position < end, other=0)
        inside = (position < end)[:, None] & (column < width)[None, :]
        total += tl.load(values + token[:, None] * width + column[None, :], mask=inside, other=0.0).to(tl.float32)
    result = tl.sum(total, axis=0)
    if tl.load(piece_first + row + 1) - first > 1:
        place = partial + (tl.load(partial_first + row) + piece - first) * width
    else:
        place = sums + row * width
    tl.store(place + column, result, mask=column < width)


@triton.jit(do_not_specialize=["rows"])
def add_partials(partial, long_row, piece_first, partial_first, sums, rows, width, COLUMNS: tl.constexpr):
    """Add up the pieces of a row that has several, in their order; the list long_row is filled up with `rows`."""
    row = tl.load(long_row + tl.program_id(0))
    if row >= rows:
        return
    count = tl.load(piece_first + row + 1) - tl.load(piece_first + row)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    place = partial + tl.load(partial_first + row) * width + column
    total = tl.zeros((COLUMNS,), tl.float32)
    for index in range(0, count):
        total += tl.load(place + index * width, mask=column < width, other=0.0)
    tl.store(sums + row * width + column, total, mask=column < width)


def sum_by_row(values: Tensor, row: Tensor, rows: int) -> Tensor:
    """For each row of a table, the sum of the values that belong to it.

    Args:
        values: (N, D). row: int64 (N,), in [0, rows); values of any other row are left out.
        rows: of the table.

    Returns:
        float32 (rows, D); the shapes of everything on the way depend on N and `rows` alone.
    """
    n, width = values.shape
    sums = values.new_zeros((rows, width), dtype=torch.float32)
    if n == 0:
        return sums
    key = torch.where((row >= 0) & (row < rows), row, rows).int()
    ordered, order = torch.sort(key, stable=True)
    start = torch.searchsorted(ordered, torch.arange(rows + 1, dtype=torch.int32, device=row.device))
    counts = (start.diff() + PIECE - 1) // PIECE
    several = counts > 1
    piece_first, partial_first = _before(counts), _before(counts * several)
    whole = n // PIECE
    piece_row = _number(piece_first, min(n, rows) + whole)
    partial = values.new_empty((2 * whole, width), dtype=torch.float32)
    tiles = triton.cdiv(width, _COLUMNS)
    add_pieces[(len(piece_row), tiles)](
        values, order, start, piece_row, piece_first, partial_first, sums, partial, rows, width, PIECE=PIECE, **_TILE
    )  # fmt: skip
    if whole:
        long_row = _number(_before(several.long()), whole)
        add_partials[(whole, tiles)](
            partial, long_row, piece_first, partial_first, sums, rows, width, COLUMNS=_COLUMNS, num_warps=4
        )  # fmt: skip
    return sums


def _before(counts: Tensor) -> Tensor:
    """(n + 1,): the sum of all counts before each, and of all."""
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def _number(first: Tensor, most: int) -> Tensor:
    """(most,): which row the p-th thing belongs to, if row r's begin at first[r]; the number of rows if none."""
    return torch.searchsorted(first[1:], torch.arange(most, device=first.device), right=True)


class _Embed(torch.autograd.Function):
    """The tables are float32 masters; nothing of the forward is kept but the ids."""

    @staticmethod
    def forward(
        ctx, table, local_table, row_table, column_table, tokens, local_row,
        patch_vectors, patch_index, patch_slot, patch_row, patch_column, dtype,
    ):  # fmt: skip
        n, width = tokens.numel(), table.shape[1]
        # What fills up has the place n, behind the last.
        patch_of = torch.full((n + 1,), -1, dtype=torch.int32, device=tokens.device)
        patch_of[patch_slot] = torch.arange(len(patch_slot), dtype=torch.int32, device=tokens.device)
        ctx.save_for_backward(tokens, local_row, patch_of, patch_index, patch_slot, patch_row, patch_column)
        tables = [table, local_table, row_table, column_table, patch_vectors]
        ctx.tables = [(len(given), given.dtype) for given in tables]
        result = torch.empty((*tokens.shape, width), dtype=dtype, device=tokens.device)
        if n:
            *tables, vectors = [given.contiguous() for given in tables]
            ids = [given.contiguous() for given in (tokens, local_row)]
            of_patches = [patch_of, patch_index, patch_row, patch_column]
            embed_forward[(triton.cdiv(n, _ROWS), triton.cdiv(width, _COLUMNS))](
                *tables, *ids, vectors, *of_patches, result, n, width, **_TILE
            )
        return result

    @staticmethod
    def backward(ctx, gradient):
        tokens, local_row, patch_of, patch_index, patch_slot, patch_row, patch_column = ctx.saved_tensors
        gradient = gradient.reshape(tokens.numel(), -1).contiguous()
        placed = patch_slot < tokens.numel()
        of_patches = gradient.index_select(0, patch_slot * placed)
        patch_row, patch_column, patch_index = (
            torch.where(placed, row, -1) for row in (patch_row, patch_column, patch_index)
        )
        text = torch.where(patch_of[:-1] < 0, tokens.flatten(), -1)
        looked_up = (
            (gradient, text),
            (gradient, local_row.flatten()),
            (of_patches, patch_row),
            (of_patches, patch_column),
            (of_patches, patch_index),
        )
        *sums, vectors = [
            sum_by_row(values, row, rows).to(dtype)
            for (values, row), (rows, dtype) in zip(looked_up, ctx.tables, strict=True)
        ]
        return *sums, None, None, vectors, None, None, None, None, None


def embed(
    table: Tensor,
    local_table: Tensor,
    row_table: Tensor,
    column_table: Tensor,
    tokens: Tensor,
    local_row: Tensor,
    patch_vectors: Tensor,
    patch_index: Tensor,
    patch_slot: Tensor,
    patch_row: Tensor,
    patch_column: Tensor,
    dtype: torch.dtype,
) -> Tensor:
    """See `reference.embed`."""
    tables = (table, local_table, row_table, column_table)
    of_patches = (patch_vectors, patch_index, patch_slot, patch_row, patch_column)
    result: Tensor = _Embed.apply(*tables, tokens, local_row, *of_patches, dtype)
    return result
