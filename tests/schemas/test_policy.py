import msgspec
import pytest

from gato_data.tokenize import TokenizeSettings
from gato_data.vocabulary import Vocabulary
from gato_schemas import policy
from gato_schemas.dataset import TaskInfo
from gato_schemas.episode import Field
from gato_schemas.errors import FormatError
from gato_schemas.origin import SourceInfo
from gato_schemas.policy import Demonstration, PolicyCard, PolicyDataset, decode_card, encode_card


def card() -> PolicyCard:
    field = Field("state", "continuous", (3,), low=-2.0, high=(0.5, 1.0, 1.5))
    demonstration = Demonstration(
        task="balance", agent="", episode_id="balance/0/1", episode_return=None, record=bytes(range(256))
    )
    dataset = PolicyDataset(
        name="balance", family="dm-control", source=SourceInfo(name="rlds", settings={"a": [1, None]}, inputs=["b"]),
        content_id="ab" * 32, libraries={"opencv": "4.12"}, tokenization=msgspec.to_builtins(TokenizeSettings()),
        vocabulary=Vocabulary().info, agents=["x"], demonstrations=[demonstration],
        tasks={"balance": TaskInfo(observations=[field], actions=[Field("action", "discrete", start=-1)])},
    )  # fmt: skip
    return PolicyCard(
        reading={"context_length": 64}, vocabulary=Vocabulary().info, max_observation_tokens=9, text_model=b"\x00\xff",
        datasets=[dataset], left_out=["nothing"],
    )  # fmt: skip


def test_a_card_comes_back_and_is_the_same_bytes() -> None:
    data = encode_card(card())
    assert decode_card(data, "policy.json") == card()
    assert encode_card(decode_card(data, "policy.json")) == data


def test_another_byte_is_noticed() -> None:
    data = encode_card(card())
    with pytest.raises(FormatError, match="damaged: its content does not match its checksum"):
        decode_card(data.replace(b'"dm-control"', b'"dm-kontrol"'), "policy.json")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is no policy.json of gato-data"),
        (b"[" * 5000, "is no policy.json of gato-data"),
        (b'{"version": 2}', "has policy version 2, this program reads version 1"),
        (b'{"version": 1}', "damaged"),
        (b'{"version": 1, "checksum": 1e400}', "is no policy.json"),
        (b"\xff", "is no policy.json"),
    ],
)
def test_what_is_no_card_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        decode_card(data, "policy.json")


def test_a_sealed_card_of_other_fields_is_refused() -> None:
    content = msgspec.to_builtins(card()) | {"text_model": 3}
    content["checksum"] = policy._checksum(content)
    with pytest.raises(FormatError, match="is no policy"):
        decode_card(msgspec.json.encode(content), "policy.json")


def test_too_many_bytes_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "MOST_BYTES", 100)
    with pytest.raises(FormatError, match="at most 100 are wanted"):
        decode_card(encode_card(card()), "policy.json")
