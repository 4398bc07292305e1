"""Turns as people write them, and the texts and pictures that they become."""

from typing import Any

import pytest

from gato_data.errors import EpisodeError
from gato_pipelines.documents.pages import PageImage
from gato_pipelines.documents.rows.conversation import Style, turns_of, write_turns
from gato_schemas.episode import Text

STYLE = Style("{ROLE}: {text}", only_answers=True)
ASKED, SAID = "What is it?", "A cat."
WANTED = [("user", ASKED), ("assistant", SAID)]
FORMS: dict[str, Any] = {
    "llava": [{"from": "human", "value": ASKED}, {"from": "gpt", "value": SAID}],
    "messages": [{"role": "user", "content": ASKED}, {"role": "assistant", "content": SAID}],
    "parquet": [{"role": b"user", "content": b"What is it?"}, {"role": b"assistant", "content": b"A cat."}],
    "pieces": [
        {"role": "user", "content": [{"type": "text", "text": ASKED}]},
        {"role": "assistant", "content": [{"type": "text", "text": SAID}]},
    ],
    "cauldron": [{"user": ASKED, "assistant": SAID, "source": "x"}],
    "questions": [{"question": ASKED, "answer": SAID}],
    "lists": {"from": ["human", "gpt"], "value": [ASKED, SAID]},
    "empty system": [{"from": "system", "value": ""}, None, {"user": ASKED, "assistant": SAID}],
}


def picture(name: str) -> PageImage:
    return PageImage(name, lambda images: b"")


def written(value: Any, *names: str, style: Style = STYLE) -> list[Text | str]:
    parts = write_turns(turns_of(value, "a.json"), [picture(name) for name in names], style)
    return [part.name if isinstance(part, PageImage) else part for part in parts]


def said(text: str, unsupervised: int) -> Text:
    return Text(text, unsupervised=unsupervised)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_says_the_same(form: str) -> None:
    assert [(turn.role, turn.text) for turn in turns_of(FORMS[form], "")] == WANTED
    assert written(FORMS[form], "cat") == ["cat", said(f"USER: {ASKED} ASSISTANT: {SAID}", len(ASKED) + 18)]


def turn(*values: str) -> list[dict[str, str]]:
    roles = ("human", "gpt")
    return [{"from": roles[number % 2], "value": value} for number, value in enumerate(values)]


def test_pictures_stand_where_they_are_marked() -> None:
    assert written(turn("<image>\nfirst <image> second?", "So."), "a", "b") == [
        "a",
        Text("USER: first", supervised=False, ends=False),
        "b",
        said("second? ASSISTANT: So.", len("second? ASSISTANT: ")),
    ]
    assert written(turn("Which? <image>", "Here: <image> and there."), "a", "b") == [
        Text("USER: Which?", supervised=False, ends=False),
        "a",
        Text("ASSISTANT: Here:", unsupervised=len("ASSISTANT: "), ends=False),
        "b",
        Text("and there."),
    ]
    assert written(turn("<image><image>", "Two."), "a", "b")[:2] == ["a", "b"]


def test_pictures_that_are_marked_nowhere_stand_first() -> None:
    assert written([{"from": "system", "value": "Be brief."}, *turn("What?", "A cat.")], "a", "b") == [
        "a",
        "b",
        said("SYSTEM: Be brief. USER: What? ASSISTANT: A cat.", len("SYSTEM: Be brief. USER: What? ASSISTANT: ")),
    ]


def test_pictures_inside_turns_and_beside_them() -> None:
    content = [{"type": "image", "image": "own.jpg"}, {"type": "image"}, {"type": "text", "text": "Which <image>?"}]
    value = [{"role": "user", "content": content}, {"role": "assistant", "content": "This."}]
    assert [part for part in written(value, "a", "b") if isinstance(part, str)] == ["own.jpg", "a", "b"]


def test_what_nobody_answers_is_not_trained_on() -> None:
    *_, last = written(turn("What?", "A cat.", "And now?"))
    assert last == Text("USER: And now?", supervised=False, ends=False)
    *_, last = written(turn("What?", "A cat.", "And now?"), style=Style("{ROLE}: {text}", only_answers=False))
    assert last == Text("USER: And now?", ends=False)


def test_a_template_of_ones_own() -> None:
    style = Style("<|{role}|>\n{text}<|end|>\n", only_answers=True)
    assert written(turn("What?", "A cat."), style=style) == [
        said("<|user|>\nWhat?<|end|>\n<|assistant|>\nA cat.<|end|>\n", len("<|user|>\nWhat?<|end|>\n<|assistant|>\n"))
    ]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"from": ["human"], "value": []}, "differ in length"),
        ([{"from": "tool", "value": "x"}], "'tool' speaks"),
        ([{"from": None, "value": "x"}], "'' speaks"),
        ([{"role": "user", "content": ["x"]}], "a turn holds ''"),
        ([{"user": b"\xff", "assistant": "x"}], "not valid UTF-8"),
        ("a text", "the conversation is empty"),
    ],
)
def test_what_is_none(value: Any, reason: str) -> None:
    with pytest.raises(EpisodeError, match=reason):
        turns_of(value, "")
