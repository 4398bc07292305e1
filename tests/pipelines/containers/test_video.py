"""Frames by their times: every codec and structure of a file, episodes anywhere in it, and what is wrong."""

import struct
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from gato_data.errors import EpisodeError, InputError
from gato_pipelines.containers.video import Camera, VideoFile
from gato_pipelines.containers.video_frames import CameraFiles, EpisodeFrames
from gato_pipelines.ingest.run import plan_only
from gato_pipelines.ingest.settings import IngestSettings
from tests.lerobot_inputs import CAMERA, FPS, columns, moving, write_v2, write_v3, write_video
from tests.pipelines.containers.test_lerobot import decoded, frames_of, items_of, reason
from tests.pipelines.sources.records import read_dataset
from tests.rlds_inputs import ingest

SIZE = (32, 48)
LARGE = (64, 96)
"""Below the size of its blocks, x265 writes beside its memory."""
CODECS = {
    "h264": ("libx264", {"g": "2"}, "yuv420p"),
    "h264-long": ("libx264", {"g": "250", "bf": "3"}, "yuv420p"),
    "h264-open": ("libx264", {"g": "12", "bf": "3", "x264-params": "open-gop=1:scenecut=0"}, "yuv420p"),
    "h264-444": ("libx264", {"g": "2"}, "yuv444p"),
    "h265": ("libx265", {"g": "20", "x265-params": "log-level=none:pools=none:frame-threads=1"}, "yuv420p"),
    "av1": ("libsvtav1", {"g": "2", "preset": "12", "svtav1-params": "lp=1"}, "yuv420p"),
}


def frames_at(path: Path, wanted: list[int], first: int = 0, stop: int | None = None) -> EpisodeFrames:
    files = CameraFiles(Camera(FPS, (*SIZE, 3)))
    return EpisodeFrames(files, path, path.name, np.array(wanted), first, stop)


@pytest.mark.parametrize("name", CODECS)
def test_runs_anywhere_in_a_file_are_what_a_plain_decoder_gives(name: str, tmp_path: Path) -> None:
    codec, options, pixels = CODECS[name]
    frames = moving(300, size=LARGE)
    path = write_video(tmp_path / "a.mp4", frames, codec=codec, options=options, pixels=pixels)
    whole = np.stack(decoded(path))
    assert len(whole) == 300
    files = CameraFiles(Camera(FPS, (*LARGE, 3)))
    # in order, on at once, far ahead, and back again
    for first, stop in ((0, 5), (5, 9), (11, 13), (290, 300), (3, 7), (0, 2), (299, 300)):
        run = EpisodeFrames(files, path, path.name, np.arange(first, stop), first, stop)
        found = np.stack([frame.copy() for frame in run])
        assert np.abs(found.astype(int) - whole[first:stop]).max() <= 1, (first, stop)
    files.close()


def test_times_that_were_added_up_are_rounded(tmp_path: Path) -> None:
    """The official converter adds durations: 2.0999999999999996 * 30 is 62.99."""
    lengths = [7] * 9
    episodes = [columns(7, number) for number in range(9)]
    begins = np.cumsum([0, *(length / FPS for length in lengths[:-1])]).tolist()
    assert any(begin * FPS != round(begin * FPS) for begin in begins)
    root = write_v3(tmp_path, episodes, frames=moving(63), begins=begins)
    whole = decoded(root / f"videos/{CAMERA}/chunk-000/file-000.mp4")
    for at, item in enumerate(items_of(root)):
        np.testing.assert_array_equal(frames_of(item), whole[7 * at : 7 * at + 7])


def test_a_file_that_begins_late_or_skips_a_time(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", moving(6), times=[0, 1, 2, 4, 5, 6])
    assert len([*frames_at(path, [0, 1, 2, 4, 5, 6])]) == 6
    with pytest.raises(EpisodeError, match=r"a\.mp4 has no frame number 3, which is that of row 3 by its time"):
        [*frames_at(path, [0, 1, 2, 3, 4, 5])]


@pytest.mark.parametrize("frames", [5, 7])
def test_other_frames_than_rows_are_a_dead_letter_with_both_numbers(frames: int, tmp_path: Path) -> None:
    root = write_v2(tmp_path, {0: columns(6, 0), 1: columns(6, 1)}, videos={0: moving(frames), 1: moving(6, 1)})
    first, second = items_of(root)
    said = f"videos/chunk-000/{CAMERA}/episode_000000.mp4 has {frames} frames of the episode, which has 6 rows"
    assert reason(first) == said
    assert len(frames_of(second)) == 6


@pytest.mark.parametrize("lost", [4, 11])
def test_one_frame_fewer_in_a_file_of_many_costs_one_episode(lost: int, tmp_path: Path) -> None:
    """As the frames of droid: times of episodes are those of the frames that there are."""
    frames = np.delete(moving(18), lost, axis=0)
    stops = [6 - (lost < 6), 12 - (lost < 12), 17]
    begins = [0.0, stops[0] / FPS, stops[1] / FPS]
    root = write_v3(
        tmp_path,
        [columns(6, number) for number in range(3)],
        frames=frames,
        begins=begins,
        ends=[stop / FPS for stop in stops],
    )
    items = items_of(root)
    bad = lost // 6
    assert "has 5 frames of the episode, which has 6 rows" in reason(items[bad])
    whole = decoded(root / f"videos/{CAMERA}/chunk-000/file-000.mp4")
    for at in {0, 1, 2} - {bad}:
        start = round(begins[at] * FPS)
        np.testing.assert_array_equal(frames_of(items[at]), whole[start : start + 6])


def test_timestamps_that_stray_are_not_believed_and_it_is_said(tmp_path: Path) -> None:
    rows = columns(6, 0)
    rows["timestamp"] = rows["timestamp"] + np.array([0, 0, 0.02, 0.13, 0.31, 0.33], np.float32)
    root = write_v2(tmp_path / "a", {0: rows}, videos={0: moving(6)})
    (item,) = items_of(root)
    assert len(frames_of(item)) == 6
    summary = ingest(root, tmp_path / "out", source="lerobot")
    assert any("timestamps stray" in note.text for note in summary.manifest.account)


def test_a_missing_file_and_one_of_another_size(tmp_path: Path) -> None:
    episodes = {number: columns(6, number) for number in range(3)}
    root = write_v2(tmp_path, episodes, videos={number: moving(6) for number in episodes})
    (root / f"videos/chunk-000/{CAMERA}/episode_000001.mp4").unlink()
    write_video(root / f"videos/chunk-000/{CAMERA}/episode_000002.mp4", moving(6, size=(48, 64)))
    whole, missing, large = items_of(root)
    assert len(frames_of(whole)) == 6
    assert reason(missing).endswith("episode_000001.mp4 is not there")
    assert "its frames are 48x64 pixels, 32x48 was expected" in reason(large)


def test_cameras_that_cannot_be_opened_are_named_before_anything_is_written(tmp_path: Path) -> None:
    episodes = {number: columns(6, number) for number in range(2)}
    root = write_v2(tmp_path / "a", episodes, videos={number: moving(6) for number in episodes})
    (root / f"videos/chunk-000/{CAMERA}/episode_000001.mp4").unlink()
    plan = plan_only("lerobot", {}, root, tmp_path / "out", IngestSettings()).plan
    texts = [note.text for note in plan.expected]
    assert any("episode_000001.mp4" in text and "--drop-keys images/top" in text for text in texts)
    ingest(root, tmp_path / "dropped", source="lerobot", settings={"drop_keys": ("images/top",)})
    assert len(read_dataset(tmp_path / "dropped")) == 2


def _is_mended(path: Path, at: int) -> bool:
    """Whether a byte can be changed so that a decoder goes on and makes up what is missing; then it is.

    Nothing else is wrong with the frames up to the one that is made up, and one thread decodes, as when the product
    does: what several mend depends on which is first.
    """
    content = path.read_bytes()
    path.write_bytes(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
    with suppress(av.FFmpegError, IndexError), av.open(str(path)) as file:
        file.streams.video[0].codec_context.thread_count = 1
        for number, frame in enumerate(file.decode(video=0)):
            if frame.time is None or round(frame.time * FPS) != number:
                break
            if frame.is_corrupt:
                return True
    path.write_bytes(content)
    return False


class TestHostileFiles:
    def test_playlists_and_others_are_not_followed(self, tmp_path: Path) -> None:
        for number, content in enumerate(
            (b"#EXTM3U\nhttp://127.0.0.1/a.ts\n", b"ffconcat version 1.0\nfile /etc/passwd", b"")
        ):
            path = tmp_path / f"{number}.mp4"
            path.write_bytes(content)
            with pytest.raises(EpisodeError, match="it is neither MP4 nor Matroska"):
                [*frames_at(path, [0])]

    def test_a_decoder_that_is_not_there(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "a.mp4", moving(4))
        content = path.read_bytes()
        assert content.count(b"avc1") >= 1
        path.write_bytes(content.replace(b"avc1", b"zzzz"))
        with pytest.raises(EpisodeError, match=r"its codec is none that PyAV can decode|cannot be decoded"):
            [*frames_at(path, [0, 1, 2, 3])]

    def test_more_frames_than_bytes(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "a.mp4", moving(4))
        content = bytearray(path.read_bytes())
        at = content.index(b"stsz") + 8
        content[at : at + 8] = struct.pack(">II", 1, 1 << 31)
        path.write_bytes(content)
        with pytest.raises(EpisodeError, match=r"it claims 2147483648 frames in \d+ bytes"):
            [*frames_at(path, [0])]

    def test_a_fragmented_file(self, tmp_path: Path) -> None:
        path = tmp_path / "a.mp4"
        with av.open(str(path), "w", options={"movflags": "frag_keyframe+empty_moov"}) as file:
            stream = file.add_stream("libx264", rate=FPS)
            stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
            for image in moving(4):
                file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            file.mux(stream.encode(None))
        with pytest.raises(EpisodeError, match="it is a fragmented MP4"):
            [*frames_at(path, [0])]

    @pytest.mark.parametrize("where", [0.3, 0.6, 0.9])
    def test_damage_costs_no_frame_that_is_not_reported(self, where: float, tmp_path: Path) -> None:
        """What is cut off or overwritten is an error, or fewer frames than rows, which is one as well."""
        path = write_video(tmp_path / "a.mp4", moving(60), options={"g": "5"})
        content = path.read_bytes()
        (tmp_path / "cut.mp4").write_bytes(content[: int(len(content) * where)])
        with pytest.raises(EpisodeError):
            [*frames_at(tmp_path / "cut.mp4", list(range(60)))]

    def test_frames_that_the_decoder_made_up_are_not_taken(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "a.mp4", moving(20), options={"g": "5"})
        assert any(_is_mended(path, at) for at in range(path.stat().st_size // 2, path.stat().st_size // 2 + 100))
        with pytest.raises(EpisodeError, match=r"a\.mp4 is damaged at \d+\.\d+ s"):
            [*frames_at(path, list(range(20)))]

    def test_an_episode_behind_damage_is_read(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "a.mp4", moving(40), options={"g": "5"})
        whole = decoded(path)
        file = VideoFile(path, "a.mp4", Camera(FPS, (*SIZE, 3)))
        for number, _ in file.between(0, 30):
            if number == 3:
                break
        found = [file.pixels(frame).copy() for _, frame in file.between(20, 25)]
        np.testing.assert_array_equal(np.stack(found), np.stack(whole[20:25]))
        file.close()


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from gato_pipelines.containers.video import import_av

    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(Exception, match=r'videos need PyAV: pip install "gato-data\[video\]"'):
        import_av()


def test_of_a_dataset_with_a_video_nothing_else_is_held(tmp_path: Path) -> None:
    """A frame is decoded when it is asked for, not before."""
    root = write_v2(tmp_path, {0: columns(6, 0)}, videos={0: moving(6)})
    (item,) = items_of(root)
    assert item.episode is not None
    frames = iter(item.episode.frames["steps/observation/images/top"])
    assert next(frames).shape == (*SIZE, 3)


def test_episodes_of_a_file_that_lacks_columns(tmp_path: Path) -> None:
    root = write_v3(tmp_path, [columns(4, 0)], frames=moving(4))
    path = root / "meta/episodes/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    pq.write_table(table.drop_columns([f"videos/{CAMERA}/from_timestamp"]), path)
    with pytest.raises(InputError, match=f"it has no column videos/{CAMERA}/from_timestamp"):
        items_of(root)
