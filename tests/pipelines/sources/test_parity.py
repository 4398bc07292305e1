"""What ingest writes is what TensorFlow Datasets reads and plain numpy tokenizes, sample by sample."""

from pathlib import Path

import numpy as np
import pytest

from gato_data.image_decoding import decode_images
from gato_pipelines.containers.detect import open_container
from gato_pipelines.rlds.features import Kind
from gato_schemas.dataset import read_manifest
from gato_schemas.sequence import POSITION_ACTION, POSITION_SEPARATOR
from tests.pipelines.sources.cases import CASES, Case
from tests.pipelines.sources.records import Written, read_dataset
from tests.pipelines.sources.reference import Tokens, picture, read_with_tfds, tokenize_all
from tests.rlds_inputs import ingest

IDS = [f"{case.source}-{case.task}" for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_tokens_are_those_of_the_reference(case: Case, tmp_path: Path) -> None:
    ingest(case.folder, tmp_path / "out", source=case.source, settings=case.settings)
    wanted = tokenize_all(read_with_tfds(case.folder), case.expected)
    found = read_dataset(tmp_path / "out")
    assert len(found) == len(wanted)
    for episode, reference in zip(found, wanted, strict=True):
        assert_same(episode, reference)
    task = read_manifest(tmp_path / "out").tasks[case.task]
    texts = sum(episode.modality.tolist().count(0) for episode in found)
    assert task.counts.tokens == task.counts.timesteps * case.tokens + texts
    assert (texts > 0) == bool(case.expected.texts)


def assert_same(found: Written, wanted: Tokens) -> None:
    np.testing.assert_array_equal(found.tokens, wanted.ids)
    np.testing.assert_array_equal(found.modality, wanted.modality)
    np.testing.assert_array_equal(found.loss_mask, wanted.mask)
    assert len(found.patches) == len(wanted.patches)
    if wanted.patches:
        np.testing.assert_array_equal(found.patches, np.stack(wanted.patches))
    is_action = found.position == POSITION_ACTION
    assert is_action.tolist() == [bool(m) and (o != 0) for m, o in zip(wanted.mask, wanted.modality, strict=True)]
    assert (found.position[found.modality == 4] == POSITION_SEPARATOR).all()
    assert len(found.timestep_starts) == wanted.ids.count(33024)


@pytest.mark.parametrize("path", sorted({case.path for case in CASES}))
def test_every_feature_is_read_as_tfds_reads_it(path: str) -> None:
    container = open_container(CASES[0].folder.parents[2] / path)
    leaves = container.features.steps
    shapes = {leaf.path: leaf.shape for leaf in leaves if leaf.kind == Kind.IMAGE}
    ours = [item for file in container.files("train") for item in container.episodes(file.name, leaves)]
    for item, steps in zip(ours, read_with_tfds(CASES[0].folder.parents[2] / path), strict=True):
        assert item.episode is not None
        assert item.episode.num_timesteps == len(steps)
        for leaf in leaves:
            theirs = [step[leaf.path.removeprefix("steps/")] for step in steps]
            if leaf.kind == Kind.IMAGE:
                mine = decode_images(item.episode.images[leaf.path], shapes[leaf.path])
                np.testing.assert_array_equal(mine, np.stack([picture(value) for value in theirs]))
            elif leaf.path in item.episode.texts:
                assert item.episode.texts[leaf.path] == [value.decode() for value in theirs]
            else:
                mine = item.episode.tensors[leaf.path]
                np.testing.assert_array_equal(mine, np.stack(theirs))
                assert mine.dtype == np.stack(theirs).dtype
