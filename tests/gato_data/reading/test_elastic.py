"""One stream, whatever the number of ranks and threads, and wherever it was interrupted."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path

import msgspec
import numpy as np
import pytest

from gato_data.errors import MixtureError
from gato_data.mixing.make import add_stage
from gato_data.reading.batch import Batch
from gato_data.reading.plan import check_identity
from gato_data.reading.reader import MixtureReader, ReadSettings, open_mixture
from gato_data.reading.sampler import rank_samples
from gato_schemas.mixture import encode_mixture, read_mixture

STEPS, BATCH_SIZE = 14, 10
SETTINGS = {"context_length": 72}
Mix = Callable[..., Path]
ROW_COLUMNS = ("tokens", "loss_mask", "modality", "position")


def row_digests(batch: Batch) -> list[str]:
    """One hash for each window, over everything in it; they must not depend on the batch it came in."""
    width = batch.tokens.shape[1]
    result = []
    for row in range(len(batch.sample)):
        digest = hashlib.blake2b(digest_size=8)
        for name in ROW_COLUMNS:
            digest.update(getattr(batch, name)[row].tobytes())
        here = batch.patch_slot // width == row
        pieces = batch.piece_slot[batch.piece_slot // width == row] % width
        for array in (batch.patches[here], batch.patch_position[here], batch.patch_slot[here] % width, pieces):
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(np.array([batch.sample[row], batch.dataset[row], batch.length[row]]).tobytes())
        result.append(digest.hexdigest())
    return result


def digests(reader: MixtureReader, ranges: Iterable[range]) -> list[str]:
    return [digest for batch in reader.stream(ranges) for digest in row_digests(batch)]


@pytest.fixture(scope="module")
def mixture(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All kinds of datasets, and other weights from step 9 on."""
    from gato_data.mixing.make import plan_mixture

    folder = tmp_path_factory.mktemp("elastic")
    kinds = ("pong", "raw", "walker", "told", "captions", "pages")
    path = folder / "mixture.json"
    mixture = plan_mixture([library / kind for kind in kinds], "uniform", folder=folder)
    path.write_bytes(encode_mixture(mixture))
    weights = dict(zip(kinds, (5, 0, 1, 2, 0.5, 1), strict=True))
    path.write_bytes(encode_mixture(add_stage(mixture, path, 9 * BATCH_SIZE, [], weights)))
    return path


@pytest.fixture(scope="module")
def stream(mixture: Path) -> list[str]:
    """The stream as one process reads it in one go, batch by batch."""
    with open_mixture(mixture, settings=ReadSettings(**SETTINGS)) as reader:
        whole = row_digests(reader.batch(range(STEPS * BATCH_SIZE)))
    assert len(set(whole)) == STEPS * BATCH_SIZE
    return whole


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("world_size", [1, 2, 3, 7, 8, 12])
def test_any_number_of_ranks_and_threads(mixture: Path, stream: list[str], world_size: int, threads: int) -> None:
    found = [""] * len(stream)
    settings = ReadSettings(threads=threads, max_open_files=3, **SETTINGS)
    with open_mixture(mixture, settings=settings) as reader:
        for rank in range(world_size):
            ranges = [rank_samples(step, BATCH_SIZE, rank, world_size) for step in range(STEPS)]
            for sample, digest in zip([n for r in ranges for n in r], digests(reader, ranges), strict=True):
                assert not found[sample]
                found[sample] = digest
    assert found == stream


@pytest.mark.parametrize("interruption", [1, 5, 9, 10, 13])
@pytest.mark.parametrize(("before", "after"), [(2, 3), (7, 1), (12, 8)])
def test_resuming_on_other_ranks(mixture: Path, stream: list[str], interruption: int, before: int, after: int) -> None:
    found = [""] * len(stream)
    identity: dict[str, str] = {}
    for world_size, steps in ((before, range(interruption)), (after, range(interruption, STEPS))):
        with open_mixture(mixture, settings=ReadSettings(**SETTINGS)) as reader:
            if identity:
                check_identity(identity, reader.planner.identity(interruption * BATCH_SIZE))
            for rank in range(world_size):
                ranges = [rank_samples(step, BATCH_SIZE, rank, world_size) for step in steps]
                for sample, digest in zip([n for r in ranges for n in r], digests(reader, ranges), strict=True):
                    found[sample] = digest
            identity = reader.planner.identity(interruption * BATCH_SIZE)
    assert found == stream


def test_batch_sizes_only_group_the_stream(mixture: Path, stream: list[str]) -> None:
    with open_mixture(mixture, settings=ReadSettings(**SETTINGS)) as reader:
        ramp = [range(0, 2), range(2, 6), range(6, 33), range(33, 140)]
        assert digests(reader, ramp) == stream


def test_a_stage_added_later_changes_nothing_before(mixture: Path, stream: list[str], library: Path) -> None:
    grown = mixture.with_name("grown.json")
    weights = {"pong": 1, "raw": 1, "walker": 1, "told": 1, "captions": 1, "pages": 1}
    stage = add_stage(read_mixture(mixture), mixture, 120, [], weights)
    grown.write_bytes(encode_mixture(stage))
    with open_mixture(mixture, settings=ReadSettings(**SETTINGS)) as reader:
        known = reader.planner.identity(120)
    with open_mixture(grown, settings=ReadSettings(**SETTINGS)) as reader:
        check_identity(known, reader.planner.identity(120))
        found = row_digests(reader.batch(range(140)))
    assert found[:120] == stream[:120]
    assert found[120:] != stream[120:]


def test_a_dataset_added_later_changes_nothing_before(library: Path, mix: Mix) -> None:
    path = mix(library / "pong", library / "walker", weights="pong=1,walker=2")
    with open_mixture(path, settings=ReadSettings(**SETTINGS)) as reader:
        before, known = row_digests(reader.batch(range(90))), reader.planner.identity(60)
    added = add_stage(read_mixture(path), path, 60, [library / "pages"], {"pong": 1, "walker": 1, "pages": 3})
    path.write_bytes(encode_mixture(added))
    with open_mixture(path, settings=ReadSettings(**SETTINGS)) as reader:
        check_identity(known, reader.planner.identity(60))
        after = reader.batch(range(90))
    assert row_digests(after)[:60] == before[:60]
    assert set(after.dataset[:60].tolist()) == {0, 1}
    assert 16 <= (after.dataset[60:] == 2).sum() <= 20


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 4}, r"seed \(0 became 4\)"),
        ({"context_length": 80}, r"context length \(72 became 80\)"),
        ({"prompt_share": 0.5}, r"prompt share \(0.25 became 0.5\)"),
        ({"window": "token"}, "window"),
    ],
)
def test_another_stream_is_noticed(mixture: Path, changes: dict[str, object], message: str) -> None:
    with open_mixture(mixture, settings=ReadSettings(**SETTINGS)) as reader:
        known, fingerprint = reader.planner.identity(50), reader.fingerprint
    with open_mixture(mixture, settings=ReadSettings(**{**SETTINGS, **changes})) as reader:
        assert reader.fingerprint != fingerprint
        with pytest.raises(MixtureError, match=f"not the stream that the run began with: {message}"):
            check_identity(known, reader.planner.identity(50))


def test_settings_that_only_say_how_to_read_are_no_other_stream(mixture: Path) -> None:
    with open_mixture(mixture, settings=ReadSettings(**SETTINGS)) as reader:
        known = reader.planner.identity()
    other = ReadSettings(threads=7, memory=2**28, verify="full", max_open_files=1, map_files=False, **SETTINGS)
    with open_mixture(mixture, settings=other) as reader:
        check_identity(known, reader.planner.identity())


def test_other_weights_are_noticed(library: Path, mix: Mix) -> None:
    path = mix(library / "pong", library / "walker", weights="pong=1,walker=2")
    with open_mixture(path, settings=ReadSettings(**SETTINGS)) as reader:
        known = reader.planner.identity(10)
    mixture = read_mixture(path)
    stage = msgspec.structs.replace(mixture.stages[0], weights=[0.5, 0.5])
    path.write_bytes(encode_mixture(msgspec.structs.replace(mixture, stages=[stage])))
    with open_mixture(path, settings=ReadSettings(**SETTINGS)) as reader:
        now = reader.planner.identity(10)
    with pytest.raises(MixtureError, match=r"weights \("):
        check_identity(known, now)


def test_every_column_of_a_batch_is_compared_here() -> None:
    patches = {"distinct_patches", "num_distinct", "patch_index", "patch_position", "patch_slot"}  # Batch.patches
    others = {"supervised_slot", "length", "dataset", "sample", "piece_slot", "segment"}
    assert {column.name for column in fields(Batch)} == {*ROW_COLUMNS, *patches, *others}
