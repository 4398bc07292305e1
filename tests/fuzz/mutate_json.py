"""A structure-aware mutator of JSON: what is still JSON, but says something else than any program would write.

Keys are dropped, renamed, doubled and misspelt; values get other types, sizes and signs; lists get other lengths; texts
get long, right to left, or into the terminal. Half of all mutations keep keys and types, so that they come further than
the door. `mutate` is a pure function of its seed, so a failure can be repeated.
"""

import json
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass
class Raw:
    """A piece of text in place of a value: what json.dumps would not write."""

    text: str


@dataclass
class Pairs:
    """An object: keys may occur twice."""

    items: list[tuple[str, Any]]


Place: TypeAlias = tuple[list[Any], int]
"""A list of values, or of (key, value), and a position in it."""

NUMBERS = [0, -1, 1, 255, 65536, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63), 10**400, 0.5, 1e308, -0.0, 5e-324]
TEXTS = [
    "", "x", "0", "../../etc/passwd", "/", ".", "..", "nul\0byte", "a\nb", "\x1b[31mred\x1b[0m", "\u202egnp.exe",
    "\ud800", "<script>alert(1)</script>", "{}", "%s%n", "\ufeff", "float9", "|O", "q" * 100_000,
]  # fmt: skip
OTHERS = [None, True, False, [], Pairs([]), [[]], [None], Pairs([("", None)]), [0] * 40, Pairs([("width", 2**63)])]
RAWS = [
    Raw("NaN"),
    Raw("-Infinity"),
    Raw("1e999"),
    Raw("-"),
    Raw("[" * 3000 + "]" * 3000),
    Raw('{"a":' * 600 + "1" + "}" * 600),
]


def mutate(data: bytes, seed: int) -> bytes:
    """One to three mutations of a JSON text; one in eight times a few bytes are damaged as well."""
    rng = random.Random(seed)
    document = json.loads(data, object_pairs_hook=Pairs)
    if rng.random() < 0.5:
        return encode(_mutate_gently(document, rng)).encode("utf-8", "surrogatepass")
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        document = _mutate_once(document, rng)
    text = bytearray(encode(document).encode("utf-8", "surrogatepass"))
    if rng.random() < 1 / 8:
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(text))
            text[at : at + rng.choice((0, 1, 1, 30))] = rng.randbytes(rng.choice((0, 1, 1, 4)))
    return bytes(text)


def encode(value: Any) -> str:
    """JSON of what `mutate` works on; an object ends in a line of its own, as readable JSON does."""
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{json.dumps(key)}:{encode(inner)}" for key, inner in value.items) + "\n}"
    if isinstance(value, list):
        return "[" + ",".join(map(encode, value)) + "]"
    return (
        json.dumps(value, ensure_ascii=False) if isinstance(value, str) and "\ud800" not in value else json.dumps(value)
    )


def _places(value: Any) -> Iterator[Place]:
    """Every value inside a document."""
    inside = value.items if isinstance(value, Pairs) else value if isinstance(value, list) else []
    for at, entry in enumerate(inside):
        yield inside, at
        yield from _places(entry[1] if isinstance(value, Pairs) else entry)


def _mutate_once(document: Any, rng: random.Random) -> Any:
    places = list(_places(document))
    if not places or rng.random() < 0.01:
        return deepcopy(rng.choice([*OTHERS, *RAWS, 7, "x"]))
    inside, at = rng.choice(places)
    keyed = isinstance(inside[at], tuple)
    change = rng.choice(_OF_KEYS if keyed and rng.random() < 0.35 else _OF_ENTRIES if rng.random() < 0.25 else [_value])
    change(inside, at, rng)
    return document


def _mutate_gently(document: Any, rng: random.Random) -> Any:
    """One value becomes another one of its type."""
    for inside, at in rng.sample(places := list(_places(document)), len(places)):
        keyed = isinstance(inside[at], tuple)
        value = inside[at][1] if keyed else inside[at]
        if value is None or isinstance(value, Pairs) or value == []:
            continue
        other = _like(value, rng)
        inside[at] = (inside[at][0], other) if keyed else other
        break
    return document


def _drop(inside: list[Any], at: int, rng: random.Random) -> None:
    del inside[at]


def _repeat(inside: list[Any], at: int, rng: random.Random) -> None:
    inside[at:at] = [inside[at]] * rng.choice((1, 1, 2, 300))


def _swap(inside: list[Any], at: int, rng: random.Random) -> None:
    other = rng.randrange(len(inside))
    inside[at], inside[other] = inside[other], inside[at]


def _rename(inside: list[Any], at: int, rng: random.Random) -> None:
    key, value = inside[at]
    misspelt = key[:1] + key[1:2].swapcase() + key[2:]
    inside[at] = (rng.choice([misspelt, key + "s", key[:-1], inside[rng.randrange(len(inside))][0], *TEXTS]), value)


def _double(inside: list[Any], at: int, rng: random.Random) -> None:
    inside.insert(rng.randint(0, len(inside)), (inside[at][0], _other(inside[at][1], rng)))


def _exchange(inside: list[Any], at: int, rng: random.Random) -> None:
    other = rng.randrange(len(inside))
    (mine, value), (theirs, another) = inside[at], inside[other]
    inside[at], inside[other] = (mine, another), (theirs, value)


def _value(inside: list[Any], at: int, rng: random.Random) -> None:
    if isinstance(inside[at], tuple):
        inside[at] = (inside[at][0], _other(inside[at][1], rng))
    else:
        inside[at] = _other(inside[at], rng)


def _other(value: Any, rng: random.Random) -> Any:
    """Another value: half the time of the same type."""
    known = isinstance(value, (bool, int, float, str)) or value is None or (isinstance(value, list) and value)
    if rng.random() < 0.5 and known:
        return _like(value, rng)
    return deepcopy(rng.choice(rng.choice([NUMBERS, TEXTS, OTHERS, RAWS])))


def _like(value: Any, rng: random.Random) -> Any:
    """Another value of the same type, near or far."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, (int, float)):
        return rng.choice([value + 1, value - 1, -value, value * 2, *NUMBERS])
    if isinstance(value, str):
        at = rng.randrange(len(value) + 1)
        return rng.choice([value[:at] + rng.choice("x\u202e0 ") + value[at + 1 :], value[:at], value * 2, *TEXTS])
    return rng.choice([[], value[1:], value[:-1], value * 2, [*value, deepcopy(rng.choice(OTHERS))], value[::-1]])


_OF_KEYS: list[Callable[[list[Any], int, random.Random], None]] = [_rename, _double, _exchange]
_OF_ENTRIES: list[Callable[[list[Any], int, random.Random], None]] = [_drop, _drop, _repeat, _swap]
