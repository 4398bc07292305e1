"""The formats that are known by sight, whether they are read here or not."""

from dataclasses import dataclass
from typing import Literal

Holds = Literal["episodes", "documents", "dataset", "files"]
_CONVERT = "convert it to RLDS in TFDS layout"
_UNREAD = f"which is not read yet: {_CONVERT}"
_UNREAD_ROWS = (
    f"which is not read as episodes: {_CONVERT}, or give it to `gato-data ingest hub` if it holds pictures with texts"
)
_NO_EPISODES = "which holds no episodes: give it to a source of documents, such as `gato-data ingest"


@dataclass(frozen=True, slots=True)
class Format:
    """A format.

    Attributes:
        name: what a reader is hung on.
        holds: episodes, documents, a dataset of ours, or files of which one cannot tell.
        title: what follows "looks like".
        advice: what follows where a source of control data cannot read it.
    """

    name: str
    holds: Holds
    title: str
    advice: str = _UNREAD


@dataclass(frozen=True, slots=True)
class Sight:
    """What an input looks like.

    Attributes:
        format: which format it is.
        told_by: what it was told by.
        version: of the format; empty where it has none.
    """

    format: Format
    told_by: str
    version: str = ""

    def __str__(self) -> str:
        """As it follows "looks like"."""
        title = self.format.title
        if self.version:
            title = title.replace(" dataset", f" {self.version} dataset")
        return f"{title} ({self.told_by})"


_ALL = (
    Format("rlds", "episodes", "an RLDS dataset"),
    Format("minari", "episodes", "a Minari dataset"),
    Format("minari-arrow", "episodes", "a Minari dataset in Arrow storage"),
    Format("minari-file", "episodes", "a Minari file", "which has to be called data/main_data.hdf5: rename it"),
    Format("jat", "episodes", "a dataset of JAT"),
    Format("d4rl", "episodes", "a D4RL file"),
    Format("rlu-raw", "episodes", "a raw file of RL Unplugged"),
    Format("lerobot", "episodes", "a LeRobot dataset"),
    Format("lerobot-1", "episodes", "a LeRobot dataset", "older than v2.0: convert it with LeRobot's own scripts"),
    Format("lerobot-rows", "episodes", "rows of a LeRobot dataset", "which is read whole: give its folder"),
    Format("robomimic", "episodes", "a robomimic file"),
    Format("libero", "episodes", "a LIBERO file"),
    Format("aloha", "episodes", "an ALOHA file"),
    Format("maniskill", "episodes", "a ManiSkill file"),
    Format("decision-transformer", "episodes", "trajectories of the Decision Transformer"),
    Format("rosbag", "episodes", "a recording of ROS"),
    Format("tfds-file", "files", "one file of a TFDS dataset", "which is read whole: give its folder"),
    Format("hf-disk", "files", "what Hugging Face's save_to_disk writes", _UNREAD_ROWS),
    Format("arrow", "files", "an Arrow file", _UNREAD_ROWS),
    Format("zarr", "files", "a Zarr store", f"which is not read: {_CONVERT}"),
    Format("numpy", "files", "arrays of NumPy", f"which are not read: {_CONVERT}"),
    Format("pickle", "files", "a pickle", f"which is never opened because it can run code: {_CONVERT}"),
    Format("video", "files", "a video without its actions", f"which is not read: {_CONVERT}"),
    Format("archive", "files", "a packed archive", "which is not read: unpack it and give the folder"),
    Format("lfs", "files", "a Git LFS pointer, not the file itself", "so run `git lfs pull` in its repository"),
    Format(
        "webdataset",
        "documents",
        "a tar archive",
        "which is not unpacked here: unpack it, or give it to `gato-data ingest align` if it holds pictures with texts",
    ),
    Format("pictures", "documents", "a set of pictures", f"{_NO_EPISODES} hub`"),
    Format("captions", "documents", "a set of pictures with texts", f"{_NO_EPISODES} hub`"),
    Format("pages", "documents", "a set of interleaved pages", f"{_NO_EPISODES} m3w`"),
    Format("texts", "documents", "a set of texts", f"{_NO_EPISODES} massivetext`"),
    Format(
        "gato-data",
        "dataset",
        "a dataset of gato-data",
        "which is ready already: look at it with `gato-data inspect dataset`",
    ),
)
FORMATS = {entry.name: entry for entry in _ALL}

MAGIC = (
    (0, b"\x89HDF\r\n\x1a\n", "hdf5"),
    (0, b"PAR1", "parquet"),
    (0, b"\x93NUMPY", "numpy"),
    (0, b"#ROSBAG V", "rosbag"),
    (0, b"\x89MCAP0\r\n", "rosbag"),
    (0, b"ARROW1", "arrow"),
    (0, b"\x80\x04\x95", "pickle"),
    (0, b"\x80\x05\x95", "pickle"),
    (0, b"version https://git-lfs", "lfs"),
    (0, b"\xff\xd8\xff", "pictures"),
    (0, b"\x89PNG\r\n\x1a\n", "pictures"),
    (0, b"\x1aE\xdf\xa3", "video"),
    (4, b"ftyp", "video"),
    (257, b"ustar", "webdataset"),
)
"""What files begin with: where, what, and of which format they are; HDF5 and parquet are told by
what is in them."""

SUFFIXES = {
    **dict.fromkeys((".npy", ".npz"), "numpy"),
    **dict.fromkeys((".pkl", ".pickle", ".p", ".pt", ".pth"), "pickle"),
    **dict.fromkeys((".mp4", ".mkv", ".avi", ".mov", ".webm"), "video"),
    **dict.fromkeys((".bag", ".db3", ".mcap"), "rosbag"),
    **dict.fromkeys((".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"), "pictures"),
    **dict.fromkeys((".tgz", ".zip", ".7z", ".rar"), "archive"),
    **dict.fromkeys((".jsonl", ".ndjson", ".tsv"), "texts"),
    ".arrow": "arrow",
    ".zarr": "zarr",
    ".tar": "webdataset",
}
"""What is told by the end of a name; `.pkl.gz` is a pickle, and `.tar.gz` an archive."""

ALONE = {**dict.fromkeys((".txt", ".json", ".csv", ".md"), "texts")}
"""What tells of a file that is given, and nothing of a folder: such files lie beside any data."""
