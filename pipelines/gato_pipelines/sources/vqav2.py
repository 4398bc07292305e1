"""VQAv2: open questions about COCO's pictures, each with the answer most annotators gave."""

from dataclasses import dataclass
from typing import ClassVar

from gato_pipelines.documents.pairs.questions import QuestionSource
from gato_pipelines.documents.source import family_setting


@dataclass(frozen=True)
class Source(QuestionSource):
    """VQAv2: questions about pictures, each with the answer that most people gave."""

    question_patterns: ClassVar[tuple[str, ...]] = (
        "v2_OpenEnded_mscoco_{split}*_questions.json",
        "**/v2_OpenEnded_mscoco_{split}*_questions.json",
    )
    annotation_patterns: ClassVar[tuple[str, ...]] = (
        "v2_mscoco_{split}*_annotations.json",
        "**/v2_mscoco_{split}*_annotations.json",
    )
    formats: ClassVar[str] = "official JSON; images in a folder, .tar or .zip"
    tokens_per_timestep: ClassVar[str] = "144 an image of 192x192, then question and answer"
    example: ClassVar[str] = "gato-data ingest vqav2 annotations --images coco --loss-on answers --out vqav2"

    family: str = family_setting("vqav2")
