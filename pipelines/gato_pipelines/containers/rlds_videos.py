"""Videos of whole episodes in RLDS, TFDS's `Video`: a picture for each timestep, PNG or JPEG, beside the steps.

TFDS takes frames out of an MP4 when it writes a dataset, and itself cannot read a video inside the
steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gato_data.errors import EpisodeError
from gato_pipelines.rlds.decode import EpisodeDecoder
from gato_pipelines.rlds.episode import RldsEpisode
from gato_pipelines.rlds.features import STEPS, Features, Kind, Leaf


def with_frames(features: Features) -> tuple[Features, dict[str, Leaf]]:
    """Features with videos of episodes as pictures of timesteps, beside the observation.

    Returns:
        the features, and what each of these pictures is in the records, by its path.
    """
    known = {leaf.path for leaf in features.leaves}
    videos = {f"{STEPS}/{leaf.path}": leaf for leaf in features.episode if leaf.kind == Kind.VIDEO}
    videos = {path: leaf for path, leaf in videos.items() if path not in known}
    pictures = [replace(leaf, path=path, kind=Kind.IMAGE, sequences=()) for path, leaf in videos.items()]
    others = [leaf for leaf in features.leaves if leaf not in videos.values()]
    return Features(tuple(sorted((*others, *pictures), key=lambda leaf: leaf.path))), videos


@dataclass(frozen=True)
class FramesDecoder:
    """Decodes records some of whose leaves are frames of a video.

    Attributes:
        ours: decodes the leaves as they are in the records.
        videos: what these are, by the path of their pictures.
        alone: whether nothing else of the timesteps is decoded.
    """

    ours: EpisodeDecoder
    videos: Mapping[str, Leaf]
    alone: bool

    def decode(self, record: bytes) -> RldsEpisode:
        """Decode one record.

        Raises:
            EpisodeError: it is not what the features say, or a video has more or fewer frames than
                there are timesteps.
        """
        episode = self.ours.decode(record)
        images = {path: episode.images[leaf.path] for path, leaf in self.videos.items()}
        steps = max(map(len, images.values()), default=0) if self.alone else episode.num_timesteps
        for path, values in images.items():
            if len(values) != steps:
                what = f"feature {path.removeprefix(STEPS + '/')} has {len(values)} frames"
                raise EpisodeError(f"{what} for {steps} timesteps", stage="read")
        return replace(episode, num_timesteps=steps, images={**episode.images, **images})


def frames_decoder(leaves: tuple[Leaf, ...], videos: Mapping[str, Leaf]) -> FramesDecoder | EpisodeDecoder:
    """The decoder of some leaves, of which those in `videos` are frames."""
    wanted = {leaf.path: videos[leaf.path] for leaf in leaves if leaf.path in videos}
    if not wanted:
        return EpisodeDecoder(leaves)
    stored = tuple(wanted.get(leaf.path, leaf) for leaf in leaves)
    return FramesDecoder(EpisodeDecoder(stored), wanted, alone=not any(leaf.in_steps for leaf in stored))
