"""States, actions and rewards over an episode: lowest and highest in stretches of time, so that nothing is lost."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gato_data.printable import printable
from gato_data.report.html.layout import Layout
from gato_data.report.html.packed import Columns
from gato_data.report.html.values import ValueTables
from gato_schemas.sequence import Modality

POINTS = 300
"""Stretches of time of a curve; one timestep each where there are no more timesteps."""
CURVES = 12
"""Elements of actions that are drawn, and as many of observations that change."""
EVENTS = 1000
"""Rewards other than 0 that are told one by one."""


def draw_elements(
    layouts: dict[int, Layout],
    layout: NDArray[np.int64],
    starts: NDArray[np.int64],
    tokens: NDArray[np.int64],
    tables: ValueTables,
    columns: Columns,
) -> dict[str, Any]:
    """Lowest and highest id of elements in every stretch, added to `columns`; their names and tables.

    Args:
        layouts: those of the episode, by number.
        layout, starts: int64 (T,), every timestep's layout and first token.
        tokens: int64 (N,).
        tables: what the ids mean.
        columns: gets (k, b) lowest and (k, b) highest ids, where there is any element.
    """
    places = [_places(found) for found in layouts.values()]
    known = [name for name in places[0] if all(name in others for others in places)]
    ids = np.zeros((len(known), len(layout)), np.int64)
    for number, place in zip(layouts, places, strict=True):
        rows = np.flatnonzero(layout == number)
        ids[:, rows] = tokens[starts[rows] + np.array([place[name] for name in known], np.int64)[:, None]]
    actions = [place for place, name in enumerate(known) if name[1]]
    states = [place for place, name in enumerate(known) if not name[1] and (ids[place] != ids[place, 0]).any()]
    drawn = actions[:CURVES] + states[:CURVES]
    numbers = [next(iter(layouts.values())).tables[places[0][known[place]]] for place in drawn]
    if drawn:
        low, high = stretches(ids[drawn])
        for number, lows, highs in zip(numbers, low, high, strict=True):
            tables.use(number, np.concatenate([lows, highs]))
        columns.add(low)
        columns.add(high)
    return {
        "elements": [[printable(known[place][0]), number] for place, number in zip(drawn, numbers, strict=True)],
        "undrawn": {
            "actions": max(len(actions) - CURVES, 0),
            "states": max(len(states) - CURVES, 0),
            "constant": len(known) - len(actions) - len(states),
        },
    }


def _places(layout: Layout) -> dict[tuple[str, bool], int]:
    """Where the numbers of a timestep stand whose meaning is known, by name and whether they are actions."""
    names: Sequence[tuple[str, bool]] = [(slot.name, slot.is_action) for slot in layout.slots]
    return {
        name: place
        for place, (name, slot) in enumerate(zip(names, layout.slots, strict=True))
        if slot.field is not None and slot.field.modality in _NUMBERS and layout.tables[place] >= 0
    }


_NUMBERS = {Modality.DISCRETE.name.lower(), Modality.CONTINUOUS.name.lower()}


def draw_rewards(reward: NDArray[np.float32], columns: Columns) -> dict[str, int] | None:
    """Lowest and highest reward of every stretch and the first `EVENTS` other than 0; None where they are not known."""
    if not len(reward) or not np.isfinite(reward).all():
        return None
    events = np.flatnonzero(reward)
    told = events[:EVENTS]
    low, high = stretches(reward[None])
    for column in (low[0], high[0], told, reward[told]):
        columns.add(column)
    return {"events": len(events), "told": len(told)}


def stretches(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Lowest and highest of values (k, T) in each of b = min(T, `POINTS`) stretches, (k, b) each.

    Stretch number i is of the timesteps from i * T // b to before (i + 1) * T // b.
    """
    steps = values.shape[1]
    points = min(steps, POINTS)
    begins = np.arange(points) * steps // max(points, 1)
    return np.minimum.reduceat(values, begins, axis=1), np.maximum.reduceat(values, begins, axis=1)
