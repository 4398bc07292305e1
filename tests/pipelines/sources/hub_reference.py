"""What the samples of the Hub's layouts should become, by plain numpy, Pillow, PyArrow and SentencePiece."""

import io
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
from PIL import Image
from sentencepiece import SentencePieceProcessor

from gato_schemas.record import Record
from tests.pipelines.sources.reference import IMAGE, MODEL, PATCH, TEXT, Tokens, cut

HUB = Path(__file__).parents[2] / "data" / "documents" / "hub"
END = 2
Said = tuple[str, str]
"""What is not trained on, and what is and ends the text."""


def column(folder: str, name: str) -> list[Any]:
    return [row for path in sorted((HUB / folder / "data").iterdir()) for row in pq.read_table(path)[name].to_pylist()]


def file(name: str) -> bytes:
    return (HUB / name).read_bytes()


def member(name: str) -> bytes:
    with tarfile.open(HUB / "energon_interleaved" / "shard_0.tar") as archive:
        found = archive.extractfile(name)
        assert found is not None
        return found.read()


def reference(parts: Sequence[bytes | str | Said]) -> Tokens:
    """Pictures, texts that go on, and texts that end, of which the second piece alone is trained on."""
    model, found = SentencePieceProcessor(model_file=str(MODEL)), Tokens()
    for part in parts:
        if isinstance(part, bytes):
            pixels = np.asarray(Image.open(io.BytesIO(part)).convert("RGB"))
            height, width = (min(side, 192) for side in pixels.shape[:2])
            pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
            patches = cut(cv2.resize(pixels, (192, 192), interpolation=cv2.INTER_LINEAR))
            found.add([PATCH] * len(patches), IMAGE, 0)
            found.patches += patches
        elif isinstance(part, str):
            found.add(model.encode(part), TEXT, 0)
        else:
            ids, before = model.encode("".join(part)), model.encode(part[0])
            same = next((n for n, (a, b) in enumerate(zip(ids, before, strict=False)) if a != b), len(before))
            found.add(ids[:same], TEXT, 0)
            found.add([*ids[same:], END], TEXT, 1)
    return found


def captions(pictures: list[bytes], said: list[str]) -> list[bytes | Said]:
    return [part for pair in zip(pictures, [("", text) for text in said], strict=True) for part in pair]


def hf_caption() -> list[list[Any]]:
    pictures, said = [row["bytes"] for row in column("hf_caption", "image")], column("hf_caption", "caption")
    return [captions(pictures[first : first + 3], said[first : first + 3]) for first in (0, 3)]


def hf_conversations() -> list[list[Any]]:
    cat, cup, rocket, arms = (row["bytes"] for row in column("hf_conversations", "image"))
    return [
        [
            cat,
            ("USER: What animal is this? ASSISTANT: ", "A cat."),
            ("USER: Which way does it look? ASSISTANT: ", "Straight at the camera."),
        ],
        [cup, ("USER: Is the cup full? ASSISTANT: ", "Yes, it is full of coffee.")],
        ["USER: Describe the picture briefly.", rocket, ("ASSISTANT: ", "A rocket starts at night.")],
        [arms, ("USER: How many arms are there? ASSISTANT: ", "Two.")],
    ]


def hf_images_texts() -> list[list[Any]]:
    (cat, cup), (rocket,) = ([image["bytes"] for image in row] for row in column("hf_images_texts", "images"))
    return [
        [
            cat,
            cup,
            ("USER: Which picture shows an animal? ASSISTANT: ", "The first."),
            ("USER: What is in the second? ASSISTANT: ", "A cup of coffee."),
        ],
        [rocket, ("USER: What lifts off? ASSISTANT: ", "A rocket.")],
    ]


def imagefolder() -> list[list[Any]]:
    names = ("0001.jpg", "0002.png", "more/0003.jpg")
    said = ["A cat with green eyes.", "Rows of old coins, in gray.", "A portrait of an astronaut."]
    return [captions([file(f"imagefolder/train/{name}") for name in names], said)]


def llava() -> list[list[Any]]:
    cat, rocket, cup = (
        file(f"llava/images/{name}.jpg") for name in ("coco/train2017/000000000001", "ocr/000000000002", "vg/VG_100K/3")
    )
    return [
        [
            "USER: What animal is in the picture?",
            cat,
            ("ASSISTANT: ", "A cat."),
            ("USER: What colour are its eyes? ASSISTANT: ", "Green."),
        ],
        [("USER: Write one line about rain. ASSISTANT: ", "Rain taps gently on the roof.")],
        [
            rocket,
            ("USER: Answer with one word. What lifts off? ASSISTANT: ", "Rocket"),
            ("USER: Is it day or night?\nAnswer with one word. ASSISTANT: ", "Night"),
        ],
        [cup, ("USER: Provide a one-sentence caption. ASSISTANT: ", "A cup of coffee on a table.")],
    ]


REFERENCES: dict[str, Callable[[], list[list[Any]]]] = {
    "hf_caption": hf_caption,
    "hf_conversations": hf_conversations,
    "hf_images_texts": hf_images_texts,
    "imagefolder": imagefolder,
    "llava": llava,
}


def pairs(parts: Sequence[Any]) -> list[Any]:
    return [parts[at : at + 2] for at in range(0, len(parts), 2)]


def assert_same(record: Record, wanted: Tokens) -> None:
    sequence = record.sequence
    assert sequence.tokens.tolist() == wanted.ids
    assert sequence.modality.tolist() == wanted.modality
    assert sequence.loss_mask.tolist() == wanted.mask
    assert (sequence.patches == np.array(wanted.patches).reshape(-1, 16, 16, 3)).all()
