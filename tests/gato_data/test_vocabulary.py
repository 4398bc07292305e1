import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato_data.errors import SettingError
from gato_data.vocabulary import Vocabulary
from gato_schemas.sequence import Modality

VOCABULARIES = st.builds(Vocabulary, st.integers(1024, 300_000), st.sampled_from(["paper", "separate"]))


def test_the_layout_of_the_paper():
    paper = Vocabulary()
    assert paper.id_range(Modality.TEXT) == (0, 32000)
    assert paper.id_range(Modality.DISCRETE) == (0, 1024)
    assert paper.id_range(Modality.CONTINUOUS) == (32000, 33024)
    assert paper.id_range(Modality.SEPARATOR) == (33024, 33025)
    assert paper.size == 33025
    assert (paper.token_dtype, paper.patch_filler) == ("uint16", 65535)


def test_discrete_values_with_ids_of_their_own():
    separate = Vocabulary(discrete_ids="separate")
    assert separate.id_range(Modality.DISCRETE) == (33025, 34049)
    assert separate.id_range(Modality.CONTINUOUS) == (32000, 33024)
    assert (separate.separator, separate.size) == (33024, 34049)


@given(VOCABULARIES)
def test_ranges_lie_in_the_table_and_overlap_only_as_the_paper_prints(vocabulary):
    ranges = {m: set(range(*vocabulary.id_range(m))) for m in Modality if m is not Modality.PATCH}
    assert set().union(*ranges.values()) == set(range(vocabulary.size))
    shared = 1024 if vocabulary.discrete_ids == "paper" else 0
    assert sum(map(len, ranges.values())) == vocabulary.size + shared
    if shared:
        assert ranges[Modality.DISCRETE] <= ranges[Modality.TEXT]
    assert vocabulary.patch_filler not in range(vocabulary.size)
    assert vocabulary.id_range(Modality.PATCH) == (vocabulary.patch_filler, vocabulary.patch_filler + 1)


@pytest.mark.parametrize(
    ("text_size", "size", "dtype", "filler"),
    [(64_509, 65_534, "uint16", 65535), (64_510, 65_535, "uint16", 65535), (64_511, 65_536, "int32", -1)],
)
def test_uint16_while_all_ids_and_the_filler_fit(text_size, size, dtype, filler):
    vocabulary = Vocabulary(text_size)
    assert (vocabulary.size, vocabulary.token_dtype, vocabulary.patch_filler) == (size, dtype, filler)


@given(VOCABULARIES | st.builds(Vocabulary, st.integers(0, 2000), st.just("separate"), st.none() | st.text()))
def test_a_manifest_gives_the_table_back(vocabulary):
    stored = msgspec.json.decode(msgspec.json.encode(vocabulary.info), type=type(vocabulary.info))
    assert stored == vocabulary.info
    assert [stored.id_range(m) for m in Modality] == [vocabulary.id_range(m) for m in Modality]


@pytest.mark.parametrize("change", [{"discrete_offset": 33_024}, {"continuous_size": 2048}, {"size": 100}])
def test_ranges_that_end_behind_the_table(change):
    with pytest.raises(ValueError, match="an id range of the vocabulary ends behind its "):
        msgspec.structs.replace(Vocabulary().info, **change)


def test_a_text_model_that_is_too_small_or_too_large():
    with pytest.raises(
        SettingError, match="500 pieces cannot share its ids with 1024 discrete values: give --discrete"
    ):
        Vocabulary(500)
    assert Vocabulary(500, "separate").size == 500 + 1025 + 1024
    for size in (-1, 2**24 + 1):
        with pytest.raises(SettingError, match=f"a text model of {size} pieces cannot be"):
            Vocabulary(size, "separate")
    assert Vocabulary(2**24, "separate").size < 2**31
