"""The tokenizer once more, one value at a time in plain Python, from the rules and not from the product's code.

Also hypothesis strategies for specifications and episodes, and a text model that needs no file.
"""

from bisect import bisect_right
from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from itertools import product
from typing import Any

import numpy as np
from hypothesis import strategies as st

from gato_data.tokenize import TokenizeSettings
from gato_data.vocabulary import Vocabulary
from gato_schemas.episode import Document, Episode, EpisodeSpec, Field, Image, Text

TEXT, PATCH, DISCRETE, CONTINUOUS, SEPARATOR = range(5)


class LetterModel:
    """A text model whose ids are letters; the end-of-sentence piece is 2."""

    eos_id = 2

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [np.array([3 + ord(letter) % 997 for letter in text], np.int32) for text in texts]


@cache
def companded_edges() -> list[float]:
    """The inner edges by 60 decimal digits: where sgn(x) ln(100 |x| + 1) / ln(25601) is 2 k / 1024 - 1."""
    with localcontext() as context:
        context.prec = 60
        edges = []
        for k in range(1, 1024):
            y = Decimal(2 * k - 1024) / 1024
            x = ((abs(y) * Decimal(25601).ln()).exp() - 1) / 100
            edges.append(float(x.copy_sign(y)))
    return edges


def bin_of(value: float, *, compand: bool) -> int:
    if compand:
        return bisect_right(companded_edges(), value)
    return max(0, min(1023, int((Fraction(value) + 1) * 512 // 1)))


class Rows:
    """The columns as lists."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.loss_mask: list[int] = []
        self.modality: list[int] = []
        self.position: list[int] = []
        self.timestep_starts: list[int] = []
        self.patches: list[np.ndarray] = []
        self.patch_position: list[list[int]] = []
        self.image_grid: list[list[int]] = []

    def add(self, token: int, modality: int, position: int, *, trained: bool = False) -> None:
        self.tokens.append(token)
        self.modality.append(modality)
        self.position.append(position)
        self.loss_mask.append(int(trained))

    def add_image(self, pixels: np.ndarray, content: tuple[int, int] | None, filler: int, first: int | None) -> int:
        """Add the patches of one image; returns how many. `first` is the position of its first patch, None for none."""
        rows, columns = pixels.shape[0] // 16, pixels.shape[1] // 16
        self.image_grid.append([len(self.patches), rows, columns, *(content or pixels.shape[:2])])
        for number, (r, c) in enumerate(product(range(rows), range(columns))):
            self.add(filler, PATCH, 65533 if first is None else first + number)
            self.patches.append(pixels[16 * r : 16 * r + 16, 16 * c : 16 * c + 16])
            interval = [Fraction(128 * r, rows), Fraction(128 * (r + 1), rows)]
            interval += [Fraction(128 * c, columns), Fraction(128 * (c + 1), columns)]
            self.patch_position.append([round(edge) for edge in interval])  # Python rounds half to even
        return rows * columns

    def assert_are(self, sequence: Any) -> None:
        for name in ("tokens", "loss_mask", "modality", "position", "timestep_starts"):
            assert getattr(sequence, name).tolist() == getattr(self, name), name
        assert sequence.patch_position.tolist() == self.patch_position
        assert sequence.image_grid.tolist() == self.image_grid
        assert sequence.patches.shape == (len(self.patches), 16, 16, 3)
        assert all((mine == theirs).all() for mine, theirs in zip(sequence.patches, self.patches, strict=True))


def tensor_ids(value: Any, field: Field, vocabulary: Vocabulary, *, compand: bool) -> list[int]:
    flat = np.asarray(value).reshape(-1).tolist()
    if field.modality == "discrete":
        return [vocabulary.discrete_offset + int(number) for number in flat]
    if field.low is not None and field.high is not None:
        lows = np.broadcast_to(field.low, len(flat)).tolist()
        highs = np.broadcast_to(field.high, len(flat)).tolist()
        flat = [(x - low) * (2 / (high - low)) - 1 for x, low, high in zip(flat, lows, highs, strict=True)]
    return [vocabulary.continuous_offset + bin_of(number, compand=compand) for number in flat]


def tokenize_episode(episode: Episode, spec: EpisodeSpec, vocabulary: Vocabulary, settings: TokenizeSettings) -> Rows:
    rows, model = Rows(), LetterModel()
    by_kind = {"text": 0, "image": 1, "discrete": 2, "continuous": 2}
    fields = sorted(spec.observations, key=lambda f: (by_kind[f.modality], f.name.split("/")))
    for t in range(len(next(iter({**episode.observations, **episode.actions}.values())))):
        rows.timestep_starts.append(len(rows.tokens))
        at = 0
        for f in fields:
            value = episode.observations[f.name][t]
            if f.modality == "text":
                ids = model.encode([value])[0].tolist() + [model.eos_id] * settings.end_of_text_observations
                for token in ids:
                    rows.add(token, TEXT, at, trained=settings.loss_on_text_observations)
                    at += 1
            elif f.modality == "image":
                at += rows.add_image(value, f.content, vocabulary.patch_filler, at)
            else:
                compand = settings.compand_observations and f.compand
                for token in tensor_ids(value, f, vocabulary, compand=compand):
                    rows.add(token, DISCRETE if f.modality == "discrete" else CONTINUOUS, at)
                    at += 1
        rows.add(vocabulary.separator, SEPARATOR, 65534, trained=settings.loss_on_separator)
        for f in spec.actions:
            for token in tensor_ids(episode.actions[f.name][t], f, vocabulary, compand=False):
                rows.add(token, DISCRETE if f.modality == "discrete" else CONTINUOUS, 65535, trained=True)
    return rows


def tokenize_document(document: Document, vocabulary: Vocabulary, settings: TokenizeSettings) -> Rows:
    rows, model = Rows(), LetterModel()
    for segment in document.segments:
        if isinstance(segment, Image):
            rows.add_image(segment.pixels, segment.content, vocabulary.patch_filler, None)
            continue
        end = [model.eos_id] * (settings.end_of_text_documents and segment.ends)
        for number, token in enumerate(model.encode([segment.text])[0].tolist() + end):
            in_head = number < min(segment.unsupervised, len(segment.text))  # a letter is a token
            rows.add(token, TEXT, 65533, trained=segment.supervised and not in_head)
    return rows


VOCABULARIES = st.sampled_from(
    [Vocabulary(), Vocabulary(discrete_ids="separate"), Vocabulary(1024), Vocabulary(100_000), Vocabulary(64_510)]
)
SETTINGS = st.builds(
    TokenizeSettings,
    compand_observations=st.booleans(),
    loss_on_text_observations=st.booleans(),
    loss_on_separator=st.booleans(),
    end_of_text_observations=st.booleans(),
    end_of_text_documents=st.booleans(),
)
_NAMES = ["a", "a/b", "a/b/c", "a-b", "B", "b/a", "z", "é", "10", "9", "camera/left", "camera/right"]
_SHAPES = st.sampled_from([(), (1,), (3,), (2, 2), (0,)])
_SIDES = st.sampled_from([16, 32, 48])
_RANGES = st.sampled_from([(None, None), (-2.0, 3.0), (0.1, 0.3)])


@st.composite
def _image_fields(draw: Any, name: str) -> Field:
    height, width = draw(_SIDES), draw(_SIDES)
    content = draw(st.none() | st.tuples(st.integers(1, height), st.integers(1, width)))
    return Field(name, "image", (height, width, 3), content=content)


@st.composite
def _tensor_fields(draw: Any, name: str) -> Field:
    shape = draw(_SHAPES)
    if draw(st.booleans()):
        return Field(name, "discrete", shape)
    low, high = draw(_RANGES)
    width = int(np.prod(shape))
    if low is not None and width and draw(st.booleans()):
        low, high = (low,) * width, tuple(high + k for k in range(width))
    return Field(name, "continuous", shape, low=low, high=high, compand=draw(st.booleans()))


@st.composite
def _fields(draw: Any, name: str, *, images: bool, texts: bool) -> Field:
    kinds = [_tensor_fields(name)]
    kinds += [_image_fields(name)] * images + [st.just(Field(name, "text"))] * texts
    return draw(st.one_of(kinds))


def _values(field: Field, steps: int, rng: np.random.Generator, *, ragged: bool) -> Any:
    shape = (steps, *field.shape)
    if field.modality == "text":
        lengths = rng.integers(0, 5, steps) if ragged else np.full(steps, 3)
        return ["".join(map(chr, rng.integers(32, 0x2FF, length))) for length in lengths]
    if field.modality == "image":
        return rng.integers(0, 256, shape).astype(np.uint8)
    if field.modality == "discrete":
        return rng.integers(0, 1024, shape).astype(rng.choice(["i4", "u2", "i8", "f4"]))
    return (rng.normal(size=shape) * 10.0 ** rng.integers(-6, 5)).astype(rng.choice(["f4", "f8", "f2"]))


@st.composite
def cases(draw: Any, *, ragged: bool, images: bool = True, min_actions: int = 0) -> tuple[Episode, EpisodeSpec]:
    """An episode and its specification; `ragged` ones have texts of varying length, empty ones too."""
    names = draw(st.lists(st.sampled_from(_NAMES), unique=True, max_size=5))
    observations = [draw(_fields(name, images=images, texts=ragged)) for name in names]
    if ragged:
        observations.append(Field("instruction", "text"))
    actions = [draw(_tensor_fields(name)) for name in draw(st.lists(st.sampled_from("ab"), unique=True))]
    if len(actions) < min_actions or not (observations or actions):
        actions.append(Field("action", "discrete"))
    steps, rng = draw(st.integers(1, 4)), np.random.default_rng(draw(st.integers(0, 2**32)))
    episode = Episode(
        task="task",
        observations={f.name: _values(f, steps, rng, ragged=ragged) for f in observations},
        actions={f.name: _values(f, steps, rng, ragged=ragged) for f in actions},
        reward=rng.normal(size=steps).astype(np.float32) if draw(st.booleans()) else None,
    )
    return episode, EpisodeSpec(tuple(observations), tuple(actions))


@st.composite
def _pictures(draw: Any) -> Image:
    height, width = draw(_SIDES), draw(_SIDES)
    pixels = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return Image(pixels, draw(st.none() | st.tuples(st.integers(1, height), st.integers(1, width))))


DOCUMENTS = st.builds(
    Document,
    task=st.just("task"),
    segments=st.lists(st.builds(Text, st.text("abc é", max_size=5), st.booleans()) | _pictures(), max_size=5).map(
        tuple
    ),
)
