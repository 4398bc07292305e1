"""What every kind of input becomes, token for token, and the fingerprint of its settings: neither may change unmeant.

`python -m tests.pipelines.test_golden` writes them anew, after a change that is meant to change tokens. Versions of
libraries are part of a fingerprint and no part of these.
"""

import hashlib
import json
import shlex
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import pytest

from gato_cli.main import cli
from gato_data.errors import SettingError
from gato_data.shards.chunks import join
from gato_pipelines.ingest import fingerprint
from gato_schemas.dataset import read_manifest
from gato_schemas.record import Record, decode_record
from gato_schemas.tfrecord import read_records
from tests.pipelines.live import compare, observer_of
from tests.schemas.sequences import COLUMNS

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "data" / "golden.json"

# Of each source and container the command that docs/sources.md and docs/vision-language.md show, without its --out.
COMMANDS = {
    "rlds-atari": "atari tests/data/rlds/rlu_atari",
    "raw-atari": "atari tests/data/rlu_raw/Breakout --family atari-extended",
    "jat-atari": "atari tests/data/jat/atari-breakout",
    "dm-lab": "dm-lab tests/data/rlds/dmlab_standin",
    "dm-control": "dm-control tests/data/rlds/rlu_control_suite/cartpole_swingup "
    "tests/data/rlds/rlu_control_suite/walker_walk --min-return-fraction 0.8",
    "dm-control-pixels": "dm-control-pixels tests/data/rlds/control_suite_pixels/cartpole_swingup",
    "babyai": "babyai tests/data/rlds/babyai --require-success success --holdout 0.3",
    "jat-babyai": "babyai tests/data/jat/babyai-go-to-local",
    "meta-world": "meta-world tests/data/rlds/metaworld --require-success success",
    "sokoban": "sokoban tests/data/rlds/sokoban --require-success success",
    "procgen": "procgen tests/data/rlds/procgen",
    "rgb-stacking": "rgb-stacking tests/data/rlds/rgb_stacking_sim --require-success success",
    "rgb-stacking-real": "rgb-stacking tests/data/rlds/oxe_panda_stack --family rgb-stacking-real",
    "modular-rl": "modular-rl tests/data/rlds/modular_rl/hopper_4_full tests/data/rlds/modular_rl/walker2d_7_full",
    "minari": "modular-rl tests/data/minari/mujoco/hopper/sample-v0",
    "minari-arrow": "rlds tests/data/minari/cartpole/random-v0",
    "robomimic": "robomimic tests/data/robomimic/lift --drop-keys object",
    "libero": "libero tests/data/libero/libero_spatial",
    "aloha": "aloha tests/data/aloha/real_compressed --action-range minmax --image-size 64x80",
    "maniskill": "maniskill tests/data/maniskill/PickCube-v1 --require-success success",
    "manipulation-playground": "manipulation-playground tests/data/rlds/oxe_panda_stack",
    "playroom": "playroom tests/data/rlds/oxe_panda_stack",
    "rlds": "rlds tests/data/rlds/oxe_panda_stack --action-range quantile --discrete-ids separate",
    "rlds-pad": "rlds tests/data/rlds/procgen --image-size 80x96 --image-fit pad --patch-encoding raw",
    "lerobot": "lerobot tests/data/lerobot/pusht-v30 --require-success success",
    "text-json": "massivetext tests/data/documents/text/paragraphs.jsonl",
    "text-gz": "massivetext tests/data/documents/text/paragraphs.jsonl.gz",
    "text-parquet": "massivetext tests/data/documents/text/paragraphs.parquet --text-key page.body",
    "text-txt": r"massivetext tests/data/documents/text/paragraphs.txt --separator '\n<|end|>\n'",
    "coco-captions": "coco-captions tests/data/documents/coco",
    "conceptual-captions": "conceptual-captions tests/data/documents/conceptual-captions --images images --max-bad 1",
    "align": "align tests/data/documents/webdataset",
    "ltip": "ltip tests/data/documents/webdataset/00000.tar --pairs-per-episode 3 --image-size 224x224",
    "mmc4": "m3w tests/data/documents/mmc4 --images tests/data/photos",
    "obelics": "m3w tests/data/documents/obelics",
    "vqav2": "vqav2 tests/data/documents/vqav2 --images tests/data/documents/coco",
    "okvqa": "okvqa tests/data/documents/okvqa --images tests/data/documents/coco --loss-on answers",
    "hub-captions": "hub tests/data/documents/hub/hf_caption",
    "hub-conversations": "hub tests/data/documents/hub/hf_conversations --loss-on all",
    "llava": "hub tests/data/documents/hub/llava/llava_mix_sample.json --images tests/data/documents/hub/llava/images",
    "interleaved": "m3w tests/data/documents/hub/energon_interleaved",
}


def made(command: str, out: Path) -> None:
    """Run a command, the versions of libraries left out of the fingerprint."""
    arguments = ["ingest", *shlex.split(command), "--out", str(out), "--workers", "1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fingerprint, "libraries_of", lambda source, **_: {})
        cli.main(arguments, standalone_mode=False)


def golden(out: Path) -> dict[str, str]:
    """The hash of everything in the episodes of a dataset, whatever their chunks, and its fingerprint."""
    manifest, found = read_manifest(out), hashlib.sha256()
    for split in sorted(manifest.splits):
        for shard in manifest.splits[split].shards:
            records = (decode_record(raw.data, manifest.patch_encoding.name) for raw in read_records(out / shard.name))
            for _, chunks in groupby(records, key=lambda record: record.episode_id):
                for line in episode_lines(list(chunks)):
                    found.update(line)
    return {"tokens": found.hexdigest(), "fingerprint": manifest.fingerprint}


def episode_lines(chunks: list[Record]) -> Iterator[bytes]:
    """What is hashed of an episode; starts and first patches count from its beginning."""
    one, sequence = chunks[0], join([chunk.sequence for chunk in chunks])
    names = (one.episode_id, one.source_episode_id, one.task, one.agent)
    yield repr((names, one.episode_return, one.is_terminal)).encode()
    for column in COLUMNS:
        values = np.ascontiguousarray(getattr(sequence, column))
        yield repr((column, values.dtype.str, values.shape)).encode()
        yield values.tobytes()


@pytest.fixture(scope="module", params=COMMANDS)
def dataset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The name of a command, and what it made."""
    out = tmp_path_factory.mktemp(request.param) / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        made(COMMANDS[request.param], out)
    return request.param, out


def test_every_kind_of_input_gives_the_tokens_that_it_always_gave(dataset: tuple[str, Path]) -> None:
    name, out = dataset
    assert golden(out) == json.loads(GOLDEN.read_text())[name]


def test_live_observations_of_every_kind_become_the_tokens_that_ingest_wrote(dataset: tuple[str, Path]) -> None:
    name, out = dataset
    manifest = read_manifest(out)
    if manifest.totals.timesteps:
        words = shlex.split(COMMANDS[name])
        assert compare(out, [ROOT / word for word in words if word.startswith("tests/data/")]) > 1
        return
    (task,) = manifest.tasks
    with pytest.raises(SettingError, match="there is nothing to observe or nothing to do of task"):
        observer_of(out, manifest, task)


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        found = {}
        for name, command in COMMANDS.items():
            try:
                made(command, Path(folder, name))
                found[name] = golden(Path(folder, name))
            except click.ClickException as error:
                sys.exit(f"{name}: {error.format_message()}")
    GOLDEN.write_text(json.dumps(found, indent=2) + "\n")
