"""Solutions of Sokoban rooms: A* over pushes, with walks in between."""

import heapq
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Cell: TypeAlias = tuple[int, int]
Boxes: TypeAlias = frozenset[Cell]
_State: TypeAlias = tuple[int, int, int, Boxes, Cell, Any]

UP, DOWN, LEFT, RIGHT = range(4)
PUSH, MOVE = 1, 5
"""gym-sokoban's first action that pushes and first one that moves;
directions follow in the order above."""
_STEPS = {UP: (-1, 0), DOWN: (1, 0), LEFT: (0, -1), RIGHT: (0, 1)}
_WALL, _EMPTY, _TARGET, _BOX_ON_TARGET, _BOX, _PLAYER = range(6)
_MAX_STATES = 50_000


def solve(fixed: NDArray[Any], state: NDArray[Any]) -> list[int] | None:
    """The actions that push every box onto a target with the fewest pushes, or None if the search takes too long.

    Args:
        fixed: gym-sokoban's `room_fixed`, (height, width): 0 wall, 1 floor, 2 target.
        state: `room_state`, (height, width): the same, and 3 box on a target, 4 box, 5 player.
    """
    floor = frozenset(_cells(fixed != _WALL))
    pushes = _pushes_left(floor, _cells(fixed == _TARGET))
    boxes = frozenset(_cells((state == _BOX) | (state == _BOX_ON_TARGET)))
    (player,) = _cells(state == _PLAYER)
    targets = frozenset(_cells(fixed == _TARGET))
    if not boxes <= pushes.keys():
        return None
    ticket = count()
    start: _State = (_bound(boxes, pushes), next(ticket), 0, boxes, player, ())
    open_states = [start]
    seen: set[tuple[Boxes, Cell]] = set()
    while open_states and len(seen) < _MAX_STATES:
        _, _, done, boxes, player, actions = heapq.heappop(open_states)
        if boxes == targets:
            return _unlink(actions)
        paths = _walks(floor - boxes, player)
        if (boxes, min(paths)) in seen:
            continue
        seen.add((boxes, min(paths)))
        for direction, box, beyond in _pushable(boxes, floor, pushes, paths):
            moved = (boxes - {box}) | {beyond}
            step = (actions, (*paths[_before(box, direction)], PUSH + direction))
            heapq.heappush(open_states, (done + 1 + _bound(moved, pushes), next(ticket), done + 1, moved, box, step))
    return None


def _cells(mask: NDArray[Any]) -> list[Cell]:
    return [(int(row), int(column)) for row, column in np.argwhere(mask)]


def _next(cell: Cell, direction: int) -> Cell:
    return cell[0] + _STEPS[direction][0], cell[1] + _STEPS[direction][1]


def _before(cell: Cell, direction: int) -> Cell:
    return cell[0] - _STEPS[direction][0], cell[1] - _STEPS[direction][1]


def _pushes_left(floor: frozenset[Cell], targets: list[Cell]) -> dict[Cell, int]:
    """Pushes from each cell to the nearest target in an otherwise empty room; cells without a way are missing."""
    left = dict.fromkeys(targets, 0)
    queue = deque(targets)
    while queue:
        cell = queue.popleft()
        for direction in _STEPS:
            box = _before(cell, direction)
            if box in floor and _before(box, direction) in floor and box not in left:
                left[box] = left[cell] + 1
                queue.append(box)
    return left


def _bound(boxes: Boxes, pushes: Mapping[Cell, int]) -> int:
    """Pushes that are needed at least."""
    return sum(pushes[box] for box in boxes)


def _walks(free: frozenset[Cell], player: Cell) -> dict[Cell, tuple[int, ...]]:
    """The moves to every cell that can be reached without a push."""
    paths: dict[Cell, tuple[int, ...]] = {player: ()}
    queue = deque([player])
    while queue:
        cell = queue.popleft()
        for direction in _STEPS:
            to = _next(cell, direction)
            if to in free and to not in paths:
                paths[to] = (*paths[cell], MOVE + direction)
                queue.append(to)
    return paths


def _pushable(
    boxes: Boxes, floor: frozenset[Cell], pushes: Mapping[Cell, int], paths: Mapping[Cell, tuple[int, ...]]
) -> Iterator[tuple[int, Cell, Cell]]:
    """Direction, box and where it goes, of every push that does not spoil the room."""
    for box in sorted(boxes):
        for direction in _STEPS:
            beyond = _next(box, direction)
            if beyond in pushes and beyond in floor and beyond not in boxes and _before(box, direction) in paths:
                yield direction, box, beyond


def _unlink(actions: Any) -> list[int]:
    """The actions of a chain of (earlier, walk and push)."""
    found: list[tuple[int, ...]] = []
    while actions:
        actions, last = actions
        found.append(last)
    return [action for part in reversed(found) for action in part]
