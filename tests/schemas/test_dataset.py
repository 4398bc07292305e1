import hashlib
import json
from contextlib import suppress

import msgspec
import pytest

from gato_schemas.compression import PatchEncoding
from gato_schemas.dataset import (
    FORMAT_VERSION,
    MANIFEST,
    EnvironmentInfo,
    FinalStep,
    ImageInfo,
    Manifest,
    Scores,
    ShardInfo,
    SplitInfo,
    TaskInfo,
    VocabularyInfo,
    encode_manifest,
    read_manifest,
    shard_name,
)
from gato_schemas.episode import Field
from gato_schemas.errors import FormatError
from gato_schemas.origin import SourceInfo
from gato_schemas.statistics import Counts
from tests.sealed import write_sealed


def split(*records: int) -> SplitInfo:
    shards = [
        ShardInfo(
            name=shard_name("reach", "train", n, len(records)),
            size=100 * count,
            digest=f"{n:064x}",
            totals=Counts(records=count),
        )
        for n, count in enumerate(records)
    ]
    return SplitInfo(shards=shards, totals=Counts(records=sum(records)))


PAPER = VocabularyInfo(
    text_size=32000,
    discrete_offset=0,
    discrete_size=1024,
    continuous_offset=32000,
    continuous_size=1024,
    separator=33024,
    size=33025,
    token_dtype="uint16",
    patch_filler=65535,
)
FIELDS = [
    Field("camera", "image", (64, 80, 3), content=(60, 80)),
    Field("pose/a", "continuous", (3,), low=-1.0, high=2),
]
TASK = TaskInfo(observations=FIELDS, actions=[Field("action", "discrete")], final_step=FinalStep("drop", "asked for"))
FULL = Manifest(
    name="reach",
    family="dm_control",
    source=SourceInfo(name="rlds", settings={"image_size": [64, 80]}, inputs=["reach/1.0.0"]),
    libraries={"deflate": "0.9.0"},
    vocabulary=PAPER,
    tokenization={"compand_observations": True},
    patch_encoding=PatchEncoding("raw", 9),
    max_observation_tokens=512,
    tasks={"zeta": TASK, "alpha": TASK},
    agents=["", "d4pg"],
    splits={"train": split(3, 0), "validation": split(1)},
    statistics=[],
    dead_letters=2,
    fingerprint="00ff",
)


def stored(folder, change=None):
    """A folder with the manifest, its JSON changed."""
    content = json.loads(encode_manifest(FULL))
    if change:
        change(content)
    write_sealed(folder, content)
    return folder


def test_round_trip(tmp_path):
    (tmp_path / MANIFEST).write_bytes(encode_manifest(FULL))
    assert read_manifest(tmp_path) == FULL


def test_the_json_is_sorted_and_readable():
    data = encode_manifest(FULL)
    content = json.loads(data)
    assert data.endswith(b"}\n")
    assert data.count(b"\n") > 100
    assert list(content) == sorted(content)
    assert list(content["tasks"]) == ["alpha", "zeta"]
    assert content["version"] == FORMAT_VERSION == 3
    assert encode_manifest(msgspec.structs.replace(FULL, tasks=dict(reversed(FULL.tasks.items())))) == data


PLAYED = msgspec.structs.replace(
    TASK,
    images={"camera": ImageInfo(shape=(None, 96, 1), mode="pad", scales=False, size=(64, 80), frames=4)},
    action_values={"action": 6},
    environment=EnvironmentInfo(family="atari", id="Pong", options={"sticky": 0.25}, versions={"ale_py": "0.12.1"}),
    scores=Scores(episodes=3, mean_return=-1.5, expert_return=2.0, success_rate=0.5),
)


def test_what_is_known_of_play_is_kept_and_left_out_where_nothing_is(tmp_path):
    both = msgspec.structs.replace(FULL, tasks={"zeta": PLAYED, "alpha": TASK})
    data = encode_manifest(both)
    (tmp_path / MANIFEST).write_bytes(data)
    assert read_manifest(tmp_path) == both
    names = {"images", "action_values", "environment", "scores"}
    tasks = json.loads(data)["tasks"]
    assert names <= set(tasks["zeta"])
    assert not names & set(tasks["alpha"]), "a manifest without them has the bytes that it always had"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("images", {"camera": {"shape": [64, 80, 2], "mode": "pad", "scales": False, "size": [64, 80]}}),
        ("images", {"camera": {"shape": [64, -1, 3], "mode": "pad", "scales": False, "size": [64, 80]}}),
        ("images", {"camera": {"shape": [64, 80, 3], "mode": "stretch", "scales": False, "size": [64, 80]}}),
        ("action_values", {"action": 0}),
        ("environment", {"family": "atari"}),
        ("scores", {"episodes": 3, "success_rate": 1.5}),
    ],
)
def test_what_cannot_be_known_of_play(tmp_path, name, change):
    with pytest.raises(FormatError, match="is not a manifest of gato-data"):
        read_manifest(stored(tmp_path, lambda content: content["tasks"]["zeta"].update({name: change})))


def test_damage_is_told_from_difference(tmp_path):
    """Whatever byte of it is another one, a manifest is refused, or says the same as before."""
    whole = encode_manifest(FULL)
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        (tmp_path / MANIFEST).write_bytes(damaged)
        with suppress(FormatError):
            assert read_manifest(tmp_path) == FULL, place  # white space
    (tmp_path / MANIFEST).write_bytes(whole.replace(b"walk", b"wolk").replace(b"zeta", b"beta"))
    with pytest.raises(FormatError, match=r"does not match its checksum: gato-data verify --repair .* makes it again"):
        read_manifest(tmp_path)
    (tmp_path / MANIFEST).write_bytes(whole[:-100])
    with pytest.raises(FormatError, match=r"is not a manifest .*: gato-data verify --repair"):
        read_manifest(tmp_path)


def test_the_content_id_is_that_of_the_shards():
    lines = "train " + "0" * 64 + "\ntrain " + "0" * 63 + "1\nvalidation " + "0" * 64 + "\n"
    assert FULL.content_id == hashlib.sha256(lines.encode()).hexdigest()
    assert json.loads(encode_manifest(FULL))["content_id"] == FULL.content_id
    renamed = msgspec.structs.replace(FULL, name="other", dead_letters=0)
    assert renamed.content_id == FULL.content_id
    swapped = {**FULL.splits, "train": split(0, 3)}
    swapped["train"].shards.reverse()
    assert msgspec.structs.replace(FULL, splits=swapped).content_id != FULL.content_id


def test_another_content_id_than_that_of_the_shards(tmp_path):
    stored(tmp_path, lambda content: content["splits"]["train"]["shards"].reverse())
    with pytest.raises(FormatError, match="has another content id than its shards"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "", ".", "..", "/abs", "a\0b"])
def test_a_shard_outside_the_folder_is_refused(tmp_path, name):
    def move(content):
        content["splits"]["train"]["shards"][0]["name"] = name

    with pytest.raises(FormatError, match=r"dataset\.json names a shard outside its folder"):
        read_manifest(stored(tmp_path, move))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda content: content.update(version=2),
            "has format version 2, this program reads version 3: ingest again from its source",
        ),
        (lambda content: content.pop("version"), "has format version None"),
        (lambda content: content.update(surprise=1), "is not a manifest of gato-data .*unknown field `surprise`"),
        (lambda content: content.pop("splits"), "is not a manifest of gato-data .*missing required field `splits`"),
        (lambda content: content["vocabulary"].update(token_dtype="uint32"), "is not a manifest of gato-data"),
        (lambda content: content["vocabulary"].update(size=1.5), "is not a manifest of gato-data"),
        (lambda content: content["patch_encoding"].update(name="jpeg"), "is not a manifest of gato-data"),
        (
            lambda content: content["tasks"]["zeta"]["actions"][0].update(shape=[2, -1]),
            r"is not a manifest of gato-data \(Expected `int` >= 0",
        ),
    ],
)
def test_a_manifest_that_is_none(tmp_path, change, message):
    with pytest.raises(FormatError, match=message):
        read_manifest(stored(tmp_path, change))


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"\xff":1}', b'{"version":2,"name":' + b"[" * 100_000])
def test_bytes_that_are_no_json(tmp_path, data):
    (tmp_path / MANIFEST).write_bytes(data)
    with pytest.raises(FormatError, match=r"dataset\.json (is not a manifest|has format version)"):
        read_manifest(tmp_path)


def test_a_folder_without_a_manifest(tmp_path):
    with pytest.raises(FormatError, match=r"has no dataset\.json: it is not a dataset of gato-data"):
        read_manifest(tmp_path)
    with pytest.raises(FormatError, match=r"nowhere does not exist: give the folder of a dataset"):
        read_manifest(tmp_path / "nowhere")
    (tmp_path / "dataset_copy.json").touch()
    with pytest.raises(FormatError, match=r"dataset\.json is missing: gato-data verify --repair .* from its copy"):
        read_manifest(tmp_path)
    (tmp_path / MANIFEST).mkdir()
    with pytest.raises(FormatError, match="cannot be read"):
        read_manifest(tmp_path)


def test_names_of_shards():
    assert shard_name("breakout", "train", 3, 12) == "breakout-train.tfrecord-00003-of-00012"
