"""Splits that names of files and folders tell."""

import pytest

from gato_data.errors import InputError
from gato_pipelines.documents.rows.splits import absent, of_split, split_of
from gato_schemas.account import Note


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("data/train-00000-of-00002.parquet", "train"),
        ("data/testmini-00000-of-00001.parquet", "testmini"),
        ("default/test/0000.parquet", "test"),
        ("test/data-00000-of-00001.arrow", "test"),
        ("train/metadata.jsonl", "train"),
        ("photos-validation.arrow", "validation"),
        ("val.json", "validation"),
        ("captions_train2017.jsonl", "train"),
        ("latest/contest.json", ""),
        ("data-00000-of-00001.arrow", ""),
        ("eval/train.json", "train"),
    ],
)
def test_names(name: str, split: str) -> None:
    assert split_of(name) == split


def test_the_files_of_a_split() -> None:
    names = ["data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet", "more.parquet"]
    assert of_split(names, "", "in") == ([names[0], names[2]], [Note("passed-over", "tables of the split test")])
    assert of_split(names, "test", "in")[0] == [names[1]]
    assert of_split(names, "all", "in") == (names, [])
    assert of_split(names[1:], "", "in") == (names[1:], [])
    with pytest.raises(InputError, match="in has no split 'dev1': it has test, train; name one with --split"):
        of_split(names, "dev1", "in")
    with pytest.raises(InputError, match="it has no files that tell theirs"):
        of_split(["a.json"], "train", "in")


def test_files_that_names_promise_are_told() -> None:
    names = [f"data/train-0000{index}-of-00003.parquet" for index in range(3)]
    assert not absent([*names, "more.parquet", "part-00000-of-00001.jsonl.gz"])
    (note,) = absent([names[0], "b-00001-of-00002.arrow"])
    assert (note.kind, note.count) == ("left-out", 3)
    assert note.text.endswith("not there, such as data/train-00001-of-00003.parquet")
