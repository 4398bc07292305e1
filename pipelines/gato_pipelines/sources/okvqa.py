"""OK-VQA: questions about COCO's pictures that need outside knowledge; the most frequent answer counts."""

from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.documents.pairs.questions import QuestionSource
from gato_pipelines.documents.source import family_setting


@dataclass(frozen=True)
class Source(QuestionSource):
    """OK-VQA: questions that a picture alone does not answer, each with the most frequent answer."""

    question_patterns: ClassVar[tuple[str, ...]] = (
        "OpenEnded_mscoco_{split}*_questions.json",
        "**/OpenEnded_mscoco_{split}*_questions.json",
    )
    annotation_patterns: ClassVar[tuple[str, ...]] = (
        "mscoco_{split}*_annotations.json",
        "**/mscoco_{split}*_annotations.json",
    )
    formats: ClassVar[str] = "official JSON; images in a folder, .tar or .zip"
    tokens_per_timestep: ClassVar[str] = "144 an image of 192x192, then question and answer"
    example: ClassVar[str] = "gato-data ingest okvqa annotations --images coco --out okvqa"

    family: str = family_setting("okvqa")
