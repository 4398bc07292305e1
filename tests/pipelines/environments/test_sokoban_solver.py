"""Rooms drawn by hand: # wall, _ floor, . target, $ box, * box on a target, @ player."""

import numpy as np
import pytest

from gato_pipelines.environments.sokoban_solver import solve

_STATE = {"#": 0, "_": 1, ".": 2, "*": 3, "$": 4, "@": 5}
_NAMES = {1: "U", 2: "D", 3: "L", 4: "R", 5: "u", 6: "d", 7: "l", 8: "r"}


def _solution(room: str) -> str | None:
    rows = room.split()
    state = np.array([[_STATE[cell] for cell in row] for row in rows])
    fixed = np.array([[{"#": 0, ".": 2, "*": 2}.get(cell, 1) for cell in row] for row in rows])
    actions = solve(fixed, state)
    return None if actions is None else "".join(_NAMES[action] for action in actions)


@pytest.mark.parametrize(
    ("room", "solution"),
    [
        ("##### #@$.# #####", "R"),
        ("###### #@$_.# ######", "RR"),
        ("##### #_._# #_$_# #@__# #####", "rU"),
        ("##### #@__# #_$_# #_._# #####", "rD"),
        ("###### #@*__# #_#### ######", ""),
        ("####### #_.___# #__$$.# #@____# #######", "rrUdruLL"),
    ],
)
def test_solutions(room, solution):
    found = _solution(room)
    assert found is not None
    if len(solution) > 4:  # several are as short
        assert sum(letter.isupper() for letter in found) == sum(letter.isupper() for letter in solution)
    else:
        assert found == solution


@pytest.mark.parametrize(
    "room",
    [
        "##### #@_$# #_._# #####",  # the box stands in a corner
        "###### #@$#.# ######",  # and here behind a wall
        "######## #@_$$..# ########",  # two in a corridor
    ],
)
def test_rooms_without_a_solution(room):
    assert _solution(room) is None


def test_a_search_that_takes_too_long_ends(monkeypatch):
    from gato_pipelines.environments import sokoban_solver

    monkeypatch.setattr(sokoban_solver, "_MAX_STATES", 1)
    assert _solution("####### #@$___# #_$_..# #_____# #######") is None
