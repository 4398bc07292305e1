"""The one encoder of every JSON answer."""

import json
import math
from dataclasses import dataclass

import msgspec

from gato_data.report.encode import as_json, as_line
from gato_schemas.sequence import Modality
from gato_schemas.statistics import Counts


class Row(msgspec.Struct, rename={"name": "row"}):
    name: str
    modality: Modality
    values: tuple[float, ...]


@dataclass
class Table:
    rows: list[Row]
    totals: Counts


TABLE = Table([Row("a", Modality.TEXT, (0.5, math.nan, math.inf))], Counts(records=1, tokens=8, loss_tokens=2))


def test_structs_and_dataclasses_are_objects_in_the_order_of_their_fields() -> None:
    found = json.loads(as_json(TABLE))
    assert found["rows"] == [{"row": "a", "modality": "text", "values": [0.5, None, None]}]
    assert list(found) == ["rows", "totals"]
    assert json.loads(as_line(TABLE)) == found


def test_counts_have_names_for_modalities_and_their_share_in_the_loss() -> None:
    found = json.loads(as_json(TABLE))["totals"]
    assert found["tokens_by_modality"] == dict.fromkeys(("text", "patch", "discrete", "continuous", "separator"), 0)
    assert found["loss_share"] == 0.25
    assert json.loads(as_json(Counts()))["loss_share"] is None


def test_no_character_of_the_data_can_steer_a_terminal() -> None:
    assert as_json({"text": "\x1b[2J\u202e\x9b"}).isascii()
    assert "\x1b" not in as_line({"text": "\x1b[2J"})
