"""VQAv2: open questions about COCO's pictures, each with the answer most annotators gave."""

from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.documents.questions import QuestionSource
from gato_pipelines.documents.source import setting


@dataclass(frozen=True)
class Source(QuestionSource):
    """VQAv2: v2_OpenEnded_*_questions.json, v2_*_annotations.json and COCO's images."""

    question_patterns: ClassVar[tuple[str, ...]] = (
        "v2_OpenEnded_mscoco_{split}*_questions.json",
        "**/v2_OpenEnded_mscoco_{split}*_questions.json",
    )
    annotation_patterns: ClassVar[tuple[str, ...]] = (
        "v2_mscoco_{split}*_annotations.json",
        "**/v2_mscoco_{split}*_annotations.json",
    )
    example: ClassVar[str] = "gato-data ingest vqav2 vqav2 --images coco --loss-on answers --out vqav2"

    family: str = setting("vqav2", QuestionSource.__dataclass_fields__["family"].metadata["help"])
