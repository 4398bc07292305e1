"""Cards that say something else under checksums that fit: played, or refused by an error of ours."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gato_data.errors import GatoError
from gato_data.tokenizers.text import TextTokenizer
from gato_schemas.policy import POLICY, PolicyCard, _checksum, decode_card, encode_card
from gato_trainer.acting import Policy, load_policy
from gato_trainer.model.transformer import Gato
from tests.fuzz.mutate_json import mutate
from tests.trainer.acting.conftest import observations

SEEDS = int(os.environ.get("GATO_FUZZ", "30"))


def resealed(data: bytes) -> bytes:
    """The same with a checksum that fits, where it is JSON at all."""
    try:
        content: Any = msgspec.json.decode(data)
        content.pop("checksum", None)
        return msgspec.json.encode({**content, "checksum": _checksum(content)})
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, AttributeError, TypeError, OverflowError):
        return data


def play(model: Gato, card: PolicyCard) -> None:
    card = msgspec.structs.replace(card, text_model=TextTokenizer.default().model_bytes)
    policy = Policy(model, card, source=Path(), step=0)
    for task in policy.tasks:
        policy.reset(task=task.name, environments=2)
        for seen in observations("told" if task.dataset == "told" else "walker", 3):
            policy.act([seen, None])
            policy.act([seen, seen])


@pytest.fixture(scope="module")
def small_card(played: Path) -> tuple[Gato, bytes]:
    """The model of the run, and its card without the text model, which would be most of what is mutated."""
    card = decode_card((played / POLICY).read_bytes(), POLICY)
    told = [msgspec.structs.replace(d, demonstrations=d.demonstrations[:1]) for d in card.datasets]
    return load_policy(played)._model, encode_card(msgspec.structs.replace(card, text_model=None, datasets=told))


def test_a_card_that_says_something_else_is_played_or_refused(small_card: tuple[Gato, bytes]) -> None:
    model, data = small_card
    played = 0
    for seed in range(SEEDS):
        with contextlib.suppress(GatoError):
            play(model, decode_card(resealed(mutate(data, seed)), POLICY))
            played += 1
    assert 0 < played < SEEDS


@pytest.mark.parametrize(
    ("name", "value"),
    [("context_length", 2**40), ("context_length", "many"), ("prompt_tokens", -5), ("prompt_share", [])],
)
def test_a_card_that_claims_much_is_refused(small_card: tuple[Gato, bytes], name: str, value: object) -> None:
    model, data = small_card
    content = json.loads(data)
    content["reading"][name] = value
    card = decode_card(resealed(json.dumps(content).encode()), POLICY)
    with pytest.raises(GatoError, match=r"the reading of the policy.json|says a context|prompt"):
        play(model, card)
