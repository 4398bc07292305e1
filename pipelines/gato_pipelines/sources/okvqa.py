"""OK-VQA: questions about COCO's pictures that need outside knowledge; the most frequent answer counts."""

from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.documents.questions import QuestionSource
from gato_pipelines.documents.source import setting


@dataclass(frozen=True)
class Source(QuestionSource):
    """OK-VQA: OpenEnded_*_questions.json, mscoco_*_annotations.json and COCO's images."""

    question_patterns: ClassVar[tuple[str, ...]] = (
        "OpenEnded_mscoco_{split}*_questions.json",
        "**/OpenEnded_mscoco_{split}*_questions.json",
    )
    annotation_patterns: ClassVar[tuple[str, ...]] = (
        "mscoco_{split}*_annotations.json",
        "**/mscoco_{split}*_annotations.json",
    )
    example: ClassVar[str] = "gato-data ingest okvqa okvqa --images coco --out okvqa"

    family: str = setting("okvqa", QuestionSource.__dataclass_fields__["family"].metadata["help"])
