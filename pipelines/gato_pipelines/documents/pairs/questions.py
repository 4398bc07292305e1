"""Questions about images (VQAv2, OK-VQA): two JSON files, joined by the id of the question."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec
import numpy as np

from gato_data.errors import SettingError
from gato_data.permutation import Numbers
from gato_pipelines.documents.formats.annotations import Id, find_one, read_annotations
from gato_pipelines.documents.image_files import ImageFiles, read_first
from gato_pipelines.documents.pairs.shuffle import deal
from gato_pipelines.documents.pairs.source import Pair
from gato_pipelines.documents.pairs.tables import PairTable, TableSource, beside
from gato_pipelines.documents.source import bad
from gato_pipelines.source import Item, setting
from gato_schemas.episode import Text

_SLOT = re.compile(r"\{(question|answer)\}")


class _Question(msgspec.Struct, frozen=True, gc=False):
    question_id: Id
    image_id: Id
    question: str | None = None


class _Questions(msgspec.Struct, frozen=True):
    questions: list[_Question]
    data_subtype: str = ""


class _Answer(msgspec.Struct, frozen=True, gc=False):
    answer: str | None = None


class _Annotation(msgspec.Struct, frozen=True, gc=False):
    question_id: Id
    multiple_choice_answer: str | None = None
    answers: list[_Answer] = []

    def chosen(self) -> str:
        """The answer that the annotators agreed on: as declared, else the most frequent, the first of those."""
        if self.multiple_choice_answer:
            return self.multiple_choice_answer
        return most_given(answer.answer for answer in self.answers if answer.answer)


class _Annotations(msgspec.Struct, frozen=True):
    annotations: list[_Annotation]
    data_subtype: str = ""


@dataclass(frozen=True)
class QuestionTable:
    """Questions with their answers.

    Attributes:
        name: of the file of questions.
        questions: those that have an answer.
        answers: of each of them.
        bad: questions without answer, answers without question, and second ones of an id.
        shuffled: int64 (N,), the order of questions.
        subset: of COCO, such as "train2014", which is in the names of its images.
        template: how a question and its answer become a text.
        only_answers: whether nothing but answers is trained on.
    """

    name: str
    questions: list[_Question]
    answers: list[str]
    bad: Sequence[Item]
    shuffled: Numbers
    subset: str
    template: str
    only_answers: bool

    @property
    def size(self) -> int:
        """Number of questions."""
        return len(self.questions)

    def order(self, first: int, count: int) -> Numbers:
        """Questions at these places of the shuffle."""
        return self.shuffled[first : first + count]

    def pair(self, number: int, image_files: ImageFiles) -> Pair | Item:
        """One question with its answer, and its image."""
        question, answer = self.questions[number], self.answers[number]
        name = str(question.question_id)
        asked = question.question or ""
        for what, value in (("question", asked), ("answer", answer)):
            if not value.strip():
                return bad(f"question {name}", f"the {what} is empty")
        text = fill(self.template, asked, answer, only_answers=self.only_answers)
        files = tuple(_places(question.image_id, self.subset))
        return Pair(f"question {name}, {files[0]}", name, text, partial(read_first, image_files, files))


def most_given(answers: Iterable[str]) -> str:
    """The most frequent of several answers, the first of those; empty where there is none."""
    given = Counter(answers)
    return given.most_common(1)[0][0] if given else ""


def template_setting() -> Any:
    """The field `template` of a source of questions, checked by `check_template`."""
    return setting("Q: {question} A: {answer}", "Text of a question and its answer.")


def check_template(template: str) -> None:
    """Check a setting `template`.

    Raises:
        SettingError: it lacks the question, or has not one answer.
    """
    slots = [match[1] for match in _SLOT.finditer(template)]
    if slots.count("answer") != 1 or "question" not in slots:
        raise SettingError(f"the template {template!r} needs {{question}}, and {{answer}} once")


def fill(template: str, question: str, answer: str, *, only_answers: bool) -> Text:
    """The text of a question and its answer; where only answers are trained on, what stands before it is not."""
    values = {"question": question, "answer": answer}
    before, _, after = template.partition("{answer}")
    head, tail = (_SLOT.sub(lambda slot: values[slot[1]], piece) for piece in (before, after))
    return Text(head + answer + tail, unsupervised=len(head) if only_answers else 0)


@dataclass(frozen=True)
class QuestionSource(TableSource):
    """Reads questions and answers about images."""

    licence: ClassVar[str] = "questions and answers CC-BY-4.0; images as on Flickr"
    question_patterns: ClassVar[tuple[str, ...]]
    annotation_patterns: ClassVar[tuple[str, ...]]

    questions: str = setting("", "File of questions; by default the only one of that split in INPUT.", "FILE")
    annotations: str = setting("", "File of answers; by default the only one of that split in INPUT.", "FILE")
    split: str = setting("train", "Split: train or val; the others have no answers.")
    template: str = template_setting()
    loss_on: Literal["text", "answers"] = setting("text", "Train on the whole text, or on answers alone.")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_template(self.template)

    def annotation_files(self, folder: Path) -> tuple[Path, ...]:
        """The files of questions and of answers."""
        base = folder if folder.is_dir() else folder.parent
        found = []
        for option, given, patterns in (
            ("questions", self.questions or (folder.name if folder.is_file() else ""), self.question_patterns),
            ("annotations", self.annotations, self.annotation_patterns),
        ):
            wanted = tuple(pattern.format(split=self.split) for pattern in patterns)
            path = beside(folder, given) if given else find_one(base, wanted, f"file of {option}", f"--{option}")
            found.append(path)
        return tuple(found)

    def read_table(self, folder: Path, files: tuple[Path, ...]) -> PairTable:
        """All questions that have an answer."""
        asked = read_annotations(files[0], _Questions, "questions of VQA")
        found = read_annotations(files[1], _Annotations, "annotations of VQA")
        wrong: list[Item] = []
        answers = {}
        for annotation in found.annotations:
            if annotation.question_id in answers:
                wrong.append(bad(f"answer {annotation.question_id}", "the question is answered a second time"))
            else:
                answers[annotation.question_id] = annotation.chosen()
        questions = list(_joined(asked.questions, answers, wrong))
        numbers: dict[Id, int] = {}
        shown = [numbers.setdefault(question.image_id, len(numbers)) for question in questions]
        return QuestionTable(
            name=files[0].name,
            questions=questions,
            answers=[answers[question.question_id] for question in questions],
            bad=wrong,
            shuffled=deal(np.array(shown, np.int64), self.seed, self.pairs_per_episode),
            subset=asked.data_subtype or found.data_subtype,
            template=self.template,
            only_answers=self.loss_on == "answers",
        )


def _joined(questions: list[_Question], answers: dict[Id, str], wrong: list[Item]) -> Iterator[_Question]:
    """The questions that are answered; the others, and answers to no question, are added to `wrong`."""
    known: set[Id] = set()
    for question in questions:
        if question.question_id in known:
            wrong.append(bad(f"question {question.question_id}", "the question's id occurs a second time"))
            continue
        known.add(question.question_id)
        if question.question_id in answers:
            yield question
        else:
            wrong.append(bad(f"question {question.question_id}", "the question has no answer"))
    wrong += [bad(f"answer {name}", "the answer belongs to no question") for name in answers if name not in known]


def _places(image: Id, subset: str) -> Iterator[str]:
    """Where COCO's image of a number may be."""
    number = f"{image:012d}" if isinstance(image, int) else image
    for name in (f"COCO_{subset}_{number}.jpg", f"{number}.jpg"):
        yield name
        yield f"{subset}/{name}"
