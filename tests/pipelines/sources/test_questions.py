"""VQAv2 and OK-VQA: joined by question, answered by most, trained on as a whole or on answers alone."""

from pathlib import Path

import pytest

from gato_data.errors import InputError, SettingError
from gato_pipelines.documents.pairs.questions import fill
from gato_pipelines.registry.find import make_source
from gato_schemas.episode import Text
from tests.document_inputs import NAMES, dead_letters, ingest, make_coco, make_vqa, records, texts

VERSIONS = {"vqav2": 2, "okvqa": 1}


@pytest.fixture
def images(tmp_path: Path) -> dict[str, str]:
    return {"images": str(make_coco(tmp_path / "coco"))}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def asked(number: int) -> str:
    return f"Q: What is picture {number // 10}, part {number % 10}? A: {NAMES[number // 10]}"


@pytest.mark.parametrize("source", VERSIONS)
def test_questions_are_joined_to_answers_and_pictures(
    tmp_path: Path, out: Path, images: dict[str, str], source: str
) -> None:
    ingest(source, make_vqa(tmp_path / "vqa", version=VERSIONS[source]), out, images)
    found = records(out)
    assert [record.sequence.num_images for record in found] == [5, 5, 2]
    shown = {
        int(name): text
        for record in found
        for name, text in zip(record.source_episode_id.split(), texts(record), strict=True)
    }
    assert shown == {number: asked(number) for picture in range(6) for number in (10 * picture, 10 * picture + 1)}
    for record in found:
        pictures = [int(name) // 10 for name in record.source_episode_id.split()]
        assert len(set(pictures)) == len(pictures)
        assert texts(record, trained=True) == texts(record)


def test_only_answers_are_trained_on_and_the_tokens_are_the_same(tmp_path: Path, images: dict[str, str]) -> None:
    folder = make_vqa(tmp_path / "vqa")
    ingest("vqav2", folder, tmp_path / "text", images)
    ingest("vqav2", folder, tmp_path / "answers", {**images, "loss_on": "answers"})
    for whole, answers in zip(records(tmp_path / "text"), records(tmp_path / "answers"), strict=True):
        assert (whole.sequence.tokens == answers.sequence.tokens).all()
        numbers = [int(name) for name in whole.source_episode_id.split()]
        assert texts(answers, trained=True) == [NAMES[number // 10] for number in numbers]


def test_a_template_of_ones_own(tmp_path: Path, out: Path, images: dict[str, str]) -> None:
    template = "{question} Answer: {answer}."
    ingest("okvqa", make_vqa(tmp_path / "vqa", version=1), out, {**images, "template": template, "loss_on": "answers"})
    record = records(out)[0]
    first = int(record.source_episode_id.split()[0])
    assert texts(record)[0] == f"What is picture {first // 10}, part {first % 10}? Answer: {NAMES[first // 10]}."
    assert texts(record, trained=True)[0] == f"{NAMES[first // 10]}."


def test_what_is_filled_in_is_not_filled_again() -> None:
    assert fill("Q: {question} A: {answer}", "{answer}?", "{question}", only_answers=True) == Text(
        "Q: {answer}? A: {question}", unsupervised=len("Q: {answer}? A: ")
    )


@pytest.mark.parametrize("template", ["{question}", "{answer}", "{question} {answer} {answer}", ""])
def test_a_template_that_cannot_be(template: str) -> None:
    with pytest.raises(SettingError, match=r"needs \{question\}, and \{answer\} once"):
        make_source("vqav2", {"template": template})


def test_what_does_not_go_together_is_counted(tmp_path: Path, out: Path, images: dict[str, str]) -> None:
    folder = make_vqa(
        tmp_path / "vqa",
        version=1,
        questions=[
            {"question_id": 0, "image_id": 0, "question": "The same id again?"},
            {"question_id": 900, "image_id": 0, "question": "Without an answer?"},
            {"question_id": 901, "image_id": 0, "question": "With nothing but empty answers?"},
            {"question_id": 902, "image_id": 0, "question": " "},
            {"question_id": 903, "image_id": 77, "question": "About a missing picture?"},
        ],
        answers=[
            {"question_id": 1, "answers": [{"answer": "a second time"}]},
            {"question_id": 901, "answers": [{"answer": ""}, {"answer": None}]},
            {"question_id": 902, "answers": [{"answer": "yes"}]},
            {"question_id": 903, "answers": [{"answer": "yes"}]},
            {"question_id": 999, "answers": [{"answer": "to nothing"}]},
        ],
    )
    ingest("okvqa", folder, out, images, max_bad=7)
    assert dead_letters(out) == {
        "the question's id occurs a second time": 1,
        "the question has no answer": 1,
        "the question is answered a second time": 1,
        "the answer belongs to no question": 1,
        "the answer is empty": 1,
        "the question is empty": 1,
        "the image is missing": 1,
    }
    assert sum(record.sequence.num_images for record in records(out)) == 12


def test_a_majority_is_the_most_frequent_answer_and_the_first_of_those(tmp_path: Path, out: Path) -> None:
    make_coco(tmp_path / "coco")
    answers = [{"answer": text} for text in ("tea", "coffee", "espresso", "coffee", "espresso")]
    folder = make_vqa(
        tmp_path / "vqa",
        version=1,
        questions=[{"question_id": "q", "image_id": 3, "question": "What?"}],
        answers=[{"question_id": "q", "answers": answers}],
    )
    ingest("okvqa", folder, out, {"images": str(tmp_path / "coco")})
    assert "Q: What? A: coffee" in [text for record in records(out) for text in texts(record)]


def test_files_of_ones_own_names(tmp_path: Path, out: Path, images: dict[str, str]) -> None:
    folder = make_vqa(tmp_path / "vqa")
    (folder / "v2_OpenEnded_mscoco_train2014_questions.json").rename(folder / "q.json")
    (folder / "v2_mscoco_train2014_annotations.json").rename(folder / "a.json")
    with pytest.raises(InputError, match=r"holds no file of questions .*: name the file with --questions"):
        ingest("vqav2", folder, out, images)
    ingest("vqav2", folder / "q.json", out, {**images, "annotations": "a.json"})
    assert len(records(out)) == 3


def test_questions_are_no_answers(tmp_path: Path, out: Path, images: dict[str, str]) -> None:
    folder = make_vqa(tmp_path / "vqa")
    name = "v2_OpenEnded_mscoco_train2014_questions.json"
    with pytest.raises(InputError, match=r"questions\.json is not annotations of VQA .*missing required field"):
        ingest("vqav2", folder, out, {**images, "annotations": name})
