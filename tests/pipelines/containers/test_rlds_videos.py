"""Videos of episodes in RLDS, as TFDS writes its `Video`."""

from pathlib import Path

import numpy as np
import pytest

from gato_data.errors import InputError
from gato_pipelines.containers.detect import open_container
from gato_pipelines.rlds.directory import open_directory
from tests.lerobot_inputs import moving
from tests.pipelines.sources.records import read_dataset
from tests.rlds_inputs import ingest

SIZE = (32, 48)


def write(folder: Path, frames: list[int], *, inside: bool = False) -> Path:
    """Episodes of 6 timesteps and a video of so many frames, beside the steps or a clip of 2 inside them; by TFDS."""
    import tensorflow_datasets as tfds
    from etils import epath
    from tensorflow_datasets.core.registered import skip_registration

    features, video = tfds.features, tfds.features.Video(shape=(None, *SIZE, 3))
    steps = dict.fromkeys(("is_first", "is_last", "is_terminal"), np.bool_)
    observation = {"state": features.Tensor(shape=(2,), dtype=np.float32)} | ({"clip": video} if inside else {})
    steps |= {
        "observation": features.FeaturesDict(observation),
        "action": features.Tensor(shape=(2,), dtype=np.float32),
    }
    whole = {"steps": features.Dataset(steps)} | ({} if inside else {"video": video})

    with skip_registration():

        class Arm(tfds.core.GeneratorBasedBuilder):
            VERSION = tfds.core.Version("1.0.0")
            name = "arm"
            pkg_dir_path = epath.Path(folder.parent)
            __module__ = "__main__"  # TFDS looks for the file of its module

            def _info(self):
                return self.dataset_info_from_configs(features=features.FeaturesDict(whole))

            def _split_generators(self, dl_manager):
                return {"train": self._generate_examples()}

            def _generate_examples(self):
                for number, count in enumerate(frames):
                    made = [
                        {
                            "observation": {"state": np.full(2, at / 10, np.float32)}
                            | ({"clip": moving(2)} if inside else {}),
                            "action": np.full(2, at / 10, np.float32),
                            **{"is_first": at == 0, "is_last": at == 5, "is_terminal": False},
                        }
                        for at in range(6)
                    ]
                    yield number, {"steps": made} | ({} if inside else {"video": moving(count, number)})

    Arm(data_dir=folder).download_and_prepare()
    return folder / "arm" / "1.0.0"


def test_frames_are_pictures_of_timesteps_where_they_are_asked_for(tmp_path: Path) -> None:
    root = write(tmp_path / "data", [6, 6])
    settings = {"observation_keys": ("video", "state")}
    ingest(root, tmp_path / "out", source="rlds", settings=settings)
    found = read_dataset(tmp_path / "out")
    order = [int(episode.source_id or number) for number, episode in enumerate(found)]
    pictures = [one.patches.reshape(6, 2, 3, 16, 16, 3).swapaxes(2, 3).reshape(6, *SIZE, 3) for one in found]
    wanted = {moving(6, number).tobytes() for number in order}
    assert {picture.tobytes() for picture in pictures} == wanted
    ingest(root, tmp_path / "without", source="rlds")
    assert len(read_dataset(tmp_path / "without")[0].patches) == 0


def test_other_frames_than_timesteps_are_a_dead_letter(tmp_path: Path) -> None:
    root = write(tmp_path / "data", [6, 5])
    container = open_container(root)
    file = container.files("train")[0].name
    leaves = container.features.select("steps/video", "steps/action")
    errors = [str(item.error) for item in container.episodes(file, leaves) if item.error is not None]
    assert errors == ["feature video has 5 frames for 6 timesteps"]
    alone = container.features.select("steps/video")
    assert sorted(item.episode.num_timesteps for item in container.episodes(file, alone)) == [5, 6]


def test_a_video_inside_the_steps_is_refused(tmp_path: Path) -> None:
    """TFDS writes it, and cannot read it again."""
    root = write(tmp_path / "data", [6], inside=True)
    assert open_directory(root).features.select("steps/observation/clip")[0].kind == "other"
    with pytest.raises(InputError, match="names clip, which is of a type that cannot be read: leave it out"):
        ingest(root, tmp_path / "out", source="rlds", settings={"observation_keys": ("clip",)})
