"""Weights as a user writes them: NAME=W,..., a TOML file, or a preset."""

import math
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from gato_data.closest import did_you_mean
from gato_data.errors import InputError, MixtureError
from gato_data.families import TABLE_1
from gato_data.shards.episodes import OpenDataset
from gato_data.shards.views import WHOLE, View, split_names, views_of, weights_by_name
from gato_schemas.dataset import Manifest, read_manifest
from gato_schemas.mixture import Measure

PRESETS = ("gato", "uniform", "tokens", "loss-tokens", "episodes")
MEASURES: tuple[Measure, ...] = get_args(Measure)


_BARE_VIEW = re.compile(r"^\s*[\w-]+\s*\[.*\]\s*=", re.MULTILINE)
"""A name with a view in a TOML file, without its quotes."""


@dataclass(frozen=True, slots=True)
class WeightChoice:
    """What was asked for.

    Attributes:
        weights: a preset's name, or weights by dataset name.
        measure: what they are shares of; None where that was not said.
        temperature: weights are raised to 1 / temperature; None where that was not said.
        origin: how to call it in a message.
    """

    weights: str | Mapping[str, float]
    measure: Measure | None = None
    temperature: float | None = None
    origin: str = "--weights"


def parse_weights(text: str) -> WeightChoice:
    """Read NAME=W,NAME[VIEW]=W, the path of a TOML file, or the name of a preset.

    Raises:
        MixtureError: it is none of these, or a weight is not a number.
        InputError: the file cannot be read.
    """
    if "=" in text:
        return WeightChoice(_pairs(text))
    if text.endswith(".toml"):
        return _read_toml(Path(text))
    if text in PRESETS:
        return WeightChoice(text, origin=f"preset {text}")
    raise MixtureError(
        f"no weights called {text!r}{did_you_mean(text, PRESETS)} Give NAME=W,NAME=W, a .toml file, "
        f"or one of {', '.join(PRESETS)}"
    )


def _pairs(text: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for pair in filter(None, (part.strip() for part in split_names(text))):
        name, equals, value = (part.strip() for part in pair.rpartition("="))
        try:
            weight = float(value)
        except ValueError:
            raise MixtureError(f"weight {pair!r} is not NAME=NUMBER, as in breakout=2,pong=1") from None
        if not equals or not name:
            raise MixtureError(f"weight {pair!r} is not NAME=NUMBER, as in breakout=2,pong=1")
        if name in weights:
            raise MixtureError(f"dataset {name} has two weights, {weights[name]:g} and {weight:g}: give it one")
        weights[name] = weight
    return weights


def _read_toml(path: Path) -> WeightChoice:
    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except OSError as error:
        raise InputError(f"weights file {path} cannot be read ({error.strerror})") from error
    except ValueError as error:  # of TOML, of UTF-8, or a number of thousands of digits
        quotes = ': a name with a view stands in quotes, as in "breakout[return>=20]" = 2'
        raise MixtureError(f"{path} is not a TOML file ({error}){quotes * bool(_BARE_VIEW.search(text))}") from error
    unknown = sorted(set(data) - {"weights", "preset", "by", "temperature"})
    if unknown:
        raise MixtureError(f"{path} has {unknown[0]!r}: only [weights], preset, by and temperature are known")
    if ("weights" in data) == ("preset" in data):
        raise MixtureError(f"{path} wants either a table [weights] of NAME = NUMBER, or a preset")
    chosen = _toml_weights(data, path)
    measure, temperature = data.get("by"), data.get("temperature")
    if measure is not None and measure not in MEASURES:
        raise MixtureError(f"{path}: by = {measure!r} is unknown: one of {', '.join(MEASURES)} is wanted")
    if temperature is not None and not _is_number(temperature):
        raise MixtureError(f"{path}: temperature = {temperature!r} is not a number")
    return WeightChoice(chosen, measure, temperature, str(path))


def _toml_weights(data: Mapping[str, Any], path: Path) -> str | dict[str, float]:
    if "preset" in data:
        if data["preset"] not in PRESETS:
            raise MixtureError(f"{path}: preset = {data['preset']!r} is unknown: one of {', '.join(PRESETS)} is wanted")
        return str(data["preset"])
    if not isinstance(data["weights"], dict):
        raise MixtureError(f"{path}: weights is not a table: NAME = NUMBER below [weights] is wanted")
    for name, value in data["weights"].items():
        if not _is_number(value):
            view = f'; a view stands in the name, as in "{name}[return>=20]" = 2' if isinstance(value, dict) else ""
            raise MixtureError(f"{path}: weight of {name} is {value!r}, a number is wanted{view}")
    return {name: float(value) for name, value in data["weights"].items()}


def _is_number(value: object) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) <= sys.float_info.max
    return isinstance(value, float)


def chosen(weights: str | Mapping[str, float]) -> WeightChoice:
    """What was asked for, the views in its names written in one way.

    Raises:
        MixtureError, InputError: as `parse_weights`; or a view cannot be read.
    """
    choice = parse_weights(weights) if isinstance(weights, str) else WeightChoice(weights)
    if isinstance(choice.weights, str):
        return choice
    return replace(choice, weights=weights_by_name(choice.weights))


def with_views(folders: Sequence[Path], choice: WeightChoice) -> tuple[list[Path], list[View]]:
    """Every folder as often as weights name a view of its dataset, and the views.

    Raises:
        FormatError: a folder is no complete dataset.
    """
    if isinstance(choice.weights, str):
        return list(folders), [WHOLE] * len(folders)
    names = [*choice.weights]
    pairs = [(folder, view) for folder in folders for view in views_of(read_manifest(folder).name, names)]
    return [folder for folder, _ in pairs], [view for _, view in pairs]


def resolve(choice: WeightChoice, datasets: Sequence[OpenDataset]) -> list[float]:
    """One weight for each dataset, in their order, before temperature; not yet summing to 1.

    Raises:
        MixtureError: a name is unknown or missing, a weight is negative or no number, or all are 0.
    """
    if isinstance(choice.weights, str):
        weights = _preset(choice.weights, [dataset.manifest for dataset in datasets])
    else:
        weights = _named(choice.weights, [dataset.name for dataset in datasets], choice.origin)
    if not sum(weights) > 0:
        raise MixtureError("all weights are zero: at least one dataset with a positive weight is wanted")
    if not math.isfinite(sum(weights)):
        raise MixtureError(f"{choice.origin}: the weights sum to infinity: give smaller ones, only their ratios count")
    return weights


def _named(weights: Mapping[str, float], names: Sequence[str], origin: str) -> list[float]:
    for name, weight in weights.items():
        if name not in names:
            hint = did_you_mean(name, names)
            raise MixtureError(f"{origin}: no dataset named {name!r}{hint} Given: {', '.join(names)}")
        if not math.isfinite(weight) or weight < 0:
            raise MixtureError(f"{origin}: weight of {name} is {weight:g}: a number from 0 on is wanted")
    missing = [name for name in names if name not in weights]
    if missing:
        raise MixtureError(f"{origin}: dataset {missing[0]} has no weight: add {missing[0]}=W, or leave it out")
    return [float(weights[name]) for name in names]


def _preset(preset: str, manifests: Sequence[Manifest]) -> list[float]:
    if preset == "gato":
        return _table_1(manifests)
    if preset == "uniform":
        return [1.0] * len(manifests)
    field = preset.replace("-", "_")
    splits = [manifest.splits.get("train") for manifest in manifests]
    return [float(getattr(split.totals, field)) if split else 0.0 for split in splits]


def _table_1(manifests: Sequence[Manifest]) -> list[float]:
    """The weight of each dataset's family, shared between the datasets of a family by their number of tasks."""
    tasks: dict[str, int] = {}
    for manifest in manifests:
        if manifest.family not in TABLE_1:
            stated = f"is of family {manifest.family!r}, no row of" if manifest.family else "states no family, a row of"
            hint = did_you_mean(manifest.family, TABLE_1)
            raise MixtureError(
                f"dataset {manifest.name} {stated} the paper's Table 1, by which preset gato weighs"
                f"{hint} Ingest it with --family, or give weights by name. Rows: {', '.join(TABLE_1)}"
            )
        tasks[manifest.family] = tasks.get(manifest.family, 0) + max(1, len(manifest.tasks))
    return [TABLE_1[m.family] * max(1, len(m.tasks)) / tasks[m.family] for m in manifests]
