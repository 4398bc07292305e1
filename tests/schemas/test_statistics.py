import msgspec
import pytest

from gato_schemas.sequence import Modality
from gato_schemas.statistics import Counts, FieldStatistics

ROW = FieldStatistics(
    task="reach",
    field="pose",
    role="observation",
    modality="continuous",
    count=3,
    nan=1,
    low=[-1.7976931348623157e308],
    high=[0.1],
    mean=[1 / 3],
    m2=[5e-324],
    saturated=[2],
    bins="1f",
)


def test_counts_begin_at_nothing_for_every_modality():
    assert Counts().tokens_by_modality == (0,) * len(Modality)


def test_floats_survive_to_the_bit():
    assert msgspec.json.decode(msgspec.json.encode(ROW), type=FieldStatistics) == ROW


@pytest.mark.parametrize("bins", ["", "0x1f", "1F", "g", "-1", "f" * 257])
def test_a_bitmap_that_is_no_hexadecimal(bins):
    data = msgspec.json.encode({**msgspec.to_builtins(ROW), "bins": bins})
    with pytest.raises(msgspec.ValidationError, match="regex"):
        msgspec.json.decode(data, type=FieldStatistics)


@pytest.mark.parametrize("counts", [[], [1, 2, 3, 4], [1, 2, 3, 4, 5, 6]])
def test_counts_of_another_number_of_modalities(counts):
    with pytest.raises(msgspec.ValidationError, match="length"):
        msgspec.json.decode(msgspec.json.encode({"tokens_by_modality": counts}), type=Counts)
