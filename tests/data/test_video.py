import contextlib
import fractions
import os
import shutil
import sys

import av
import numpy as np
import pytest
from pictures import write_pictures
from PIL import Image

from jaxssl import data
from jaxssl.data import transforms, video

RATE = 25
NUM_FRAMES = 50
X264 = {"crf": "2", "bf": "3", "b-adapt": "0"}
WRITERS = {
    ".mp4": ("libx264", X264 | {"x264-params": "keyint=7:min-keyint=7:scenecut=0:open-gop=1"}),
    ".mov": ("libx264", X264 | {"g": "50"}),
    ".mkv": ("ffv1", {}),
    ".webm": ("libvpx-vp9", {"crf": "4", "b": "0", "g": "9", "deadline": "realtime"}),
    ".avi": ("libx264", X264 | {"g": "11"}),
}


def level(number):
    """The grey that marks a frame, far enough from its neighbours' for any codec."""
    return 20 + 4 * number


def write_video(path, *, count=NUM_FRAMES, timestamps=None, size=(32, 32), first=0):
    """Frames whose grey level is their number; ``timestamps`` in units of 1 / 1000 s."""
    codec, options = WRITERS[path.suffix]
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        if timestamps is not None:
            stream.codec_context.time_base = fractions.Fraction(1, 1000)
        for number in range(count):
            picture = np.full((size[1], size[0], 3), level(first + number), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if timestamps is not None:
                frame.pts, frame.time_base = timestamps[number], fractions.Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.start_encoding()
        container.mux(stream.encode())
    return path


def open_video(path, split="all", **fields):
    return data.ClipData(str(path), 8, 3, **fields).open(split)


def numbers(clip):
    """The number of every frame of a clip [T, S, S, C], read from its grey."""
    levels = clip.reshape(len(clip), -1).mean(axis=1)
    found = np.round((levels - level(0)) / 4).astype(int)
    np.testing.assert_allclose(levels, level(found), atol=1.6)
    return found.tolist()


def shown(times, first, end, num_frames, frame_rate, clip_rate):
    """Frames on a player's screen at the times of every clip of frames first … end - 1."""
    clips = []
    while True:
        start = times[first] + len(clips) / clip_rate
        moments = [start + frame / frame_rate + 1e-3 for frame in range(num_frames)]
        if moments[-1] > times[end - 1] + 2e-3:
            return clips
        clips.append([sum(time <= moment for time in times) - 1 for moment in moments])


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    directory = tmp_path_factory.mktemp("films")
    return {suffix: write_video(directory / f"film{suffix}") for suffix in WRITERS}


@pytest.mark.parametrize("suffix", WRITERS)
def test_every_frame_is_the_one_of_its_time_in_any_order(films, suffix):
    fields = {"num_frames": 4, "frame_rate": 6.0, "clip_rate": 12.5}
    source = open_video(films[suffix], **fields)
    times = [number / RATE for number in range(NUM_FRAMES)]
    expected = shown(times, 0, NUM_FRAMES, **fields)
    assert len(source) == len(expected) == 19
    assert len(set(map(tuple, expected))) == len(expected)
    for index in np.random.default_rng(0).permutation(len(source)).tolist():
        clip = source[index]["video"]
        assert clip.shape == (4, 8, 8, 3) and clip.dtype == np.uint8
        assert numbers(clip) == expected[index]


def test_times_count_where_the_rate_varies(tmp_path):
    timestamps = np.cumsum(np.random.default_rng(1).integers(20, 200, 30))
    path = write_video(tmp_path / "film.mkv", count=30, timestamps=timestamps.tolist())
    source = open_video(path, num_frames=3, frame_rate=4.0, clip_rate=2.0)
    times = ((timestamps - timestamps[0]) / 1000).tolist()
    expected = shown(times, 0, 30, 3, 4.0, 2.0)
    assert [numbers(source[index]["video"]) for index in range(len(source))] == expected


def test_rounded_times_skip_and_repeat_nothing(tmp_path):
    timestamps = [round(1000 * number / 30) for number in range(30)]
    path = write_video(tmp_path / "film.mkv", count=30, timestamps=timestamps)
    source = open_video(path, num_frames=30, frame_rate=30.0)
    assert numbers(source[0]["video"]) == list(range(30))


def test_a_rate_above_the_files_repeats_frames(films):
    source = open_video(films[".mkv"], num_frames=5, frame_rate=50.0, clip_rate=25.0)
    assert numbers(source[3]["video"]) == [3, 3, 4, 4, 5]


def test_frames_are_fitted_as_images_are(tmp_path):
    path = write_video(tmp_path / "wide.mkv", count=3, size=(64, 32))
    with av.open(str(path)) as container:
        frames = [frame.to_image() for frame in container.decode(video=0)]
    for channels in (1, 3):
        config = data.ClipData(str(path), 8, channels, num_frames=3, frame_rate=RATE)
        clip = config.open("all")[0]["video"]
        for made, frame in zip(clip, frames, strict=True):
            expected = transforms.fit(frame, image_size=8, channels=channels)
            np.testing.assert_array_equal(made, expected)


def test_frames_are_turned_upright():
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)

    class Frame:
        rotation = 90

        def to_image(self):
            return Image.fromarray(picture)

    np.testing.assert_array_equal(np.asarray(video._upright(Frame())), np.rot90(picture))


def test_single_frames_are_images(films):
    source = open_video(films[".mp4"], frame_rate=float(RATE))
    assert len(source) == NUM_FRAMES and set(source[0]) == {"image"}
    assert numbers(np.stack([source[row]["image"] for row in range(50)])) == list(range(50))
    assert not source.labelled and source.class_names is None and source.num_classes is None


def test_images_of_a_film_are_its_frames_at_six_a_second(films):
    source = data.ImageData(str(films[".mp4"]), 8, 3).open("all")
    assert len(source) == 12 and source.fingerprint == open_video(films[".mp4"]).fingerprint
    assert numbers(np.stack([source[row]["image"] for row in range(3)])) == [0, 4, 8]


def test_a_sample_of_clips_has_videos(films):
    source = open_video(films[".mkv"], num_frames=3)
    part = data.sample(source, 2)
    assert set(part.columns) == {"video"} and part.columns["video"].shape == (2, 3, 8, 8, 3)
    for clip, row in zip(part.columns["video"], (0, len(source) - 1)):
        np.testing.assert_array_equal(clip, source[row]["video"])


def test_splits_of_one_file_share_no_frame(films):
    fields = {"num_frames": 4, "frame_rate": 12.5, "clip_rate": 25.0}
    train, test = (open_video(films[".mp4"], split, **fields) for split in ("train", "test"))
    assert train.clips[:, 1:].min() == 0 and train.clips[:, 1:].max() == 39
    assert test.clips[:, 1:].min() == 40 and test.clips[:, 1:].max() == 49
    assert set(train.clips[:, 1:].ravel()).isdisjoint(test.clips[:, 1:].ravel())
    assert train.fingerprint != test.fingerprint


def test_five_files_are_split_by_file_at_any_depth(tmp_path):
    for number in range(5):
        write_video(tmp_path / f"{number % 2}" / f"{number}.mkv", count=8, first=8 * number)
    train, test = (open_video(tmp_path, split, num_frames=2) for split in ("train", "test"))
    assert (len(train.files), len(test.files)) == (4, 1)
    assert {file.path for file in train.files}.isdisjoint(file.path for file in test.files)
    every = open_video(tmp_path, num_frames=2)
    assert [file.path.name for file in every.files] == [
        f"{number}.mkv" for number in (0, 2, 4, 1, 3)
    ]
    assert [numbers(every[row]["video"]) for row in (1, 4)] == [[16, 20], [24, 28]]


def test_in_memory_decodes_once_and_keeps_all(films, tmp_path):
    path = shutil.copy(films[".mp4"], tmp_path / "copy.mp4")
    source = open_video(path, num_frames=4)
    clips = [source[row]["video"] for row in range(len(source))]
    held = open_video(path, num_frames=4, in_memory=True)
    assert held.fingerprint == source.fingerprint
    path.unlink()
    for row, clip in enumerate(clips):
        np.testing.assert_array_equal(held[row]["video"], clip)


def test_fingerprint_is_of_content_and_clips_whatever_the_size(films, tmp_path):
    fingerprint = open_video(films[".mkv"]).fingerprint
    copy = write_video(tmp_path / "other.mkv", first=1)
    same = data.ImageData(str(films[".mkv"]), 16, 1).open("all")
    assert same.fingerprint == fingerprint
    assert open_video(copy).fingerprint != fingerprint
    assert open_video(films[".mkv"], frame_rate=5.0).fingerprint != fingerprint


def test_threads_of_the_loader_do_not_disturb_each_other(films):
    source = open_video(films[".mp4"], num_frames=3, clip_rate=25.0)
    with data.Loader(source, batch_size=8, seed=0, num_threads=6) as loader:
        for step in (0, 1, 7):
            batch = loader.batch(step)
            assert set(batch) == {"video", "index"} and batch["video"].shape == (8, 3, 8, 8, 3)
            expected = [source.clips[row, 1:].tolist() for row in loader.rows(step)]
            assert [numbers(clip) for clip in batch["video"]] == expected


def test_processes_share_a_batch_of_clips(films):
    source = open_video(films[".mkv"], num_frames=2, in_memory=True)
    whole = data.Loader(source, batch_size=4, seed=1).batch(3)["video"]
    parts = [
        data.Loader(source, batch_size=4, seed=1, process=(index, 2)).batch(3) for index in range(2)
    ]
    np.testing.assert_array_equal(np.concatenate([part["video"] for part in parts]), whole)


def test_evaluation_walks_clips_in_order(films):
    source = open_video(films[".mkv"], num_frames=2)
    walked = np.concatenate([batch["video"] for batch in data.batches(source, 5)])
    assert [numbers(clip) for clip in walked] == source.clips[:, 1:].tolist()


def test_images_beside_videos_do_not_hide_them(films, tmp_path):
    write_pictures(tmp_path / "a", 2)
    shutil.copy(films[".mkv"], tmp_path / "film.mkv")
    (tmp_path / ".hidden.mp4").write_bytes(b"")
    for num_frames in (4, 1):
        source = open_video(tmp_path, num_frames=num_frames)
        assert len(source.files) == 1
        assert source.account.notes == (f"left out of {tmp_path}: 2 images such as a/00.png",)
    assert set(open_video(tmp_path / "a")[0]) == {"image"}


def test_names_of_films_need_not_be_utf8(films, tmp_path):
    path = tmp_path / os.fsdecode(b"\xe9t\xe9.mkv")
    shutil.copy(films[".mkv"], path)
    source, plain = (open_video(each, num_frames=4) for each in (path, films[".mkv"]))
    assert source.fingerprint == plain.fingerprint and source.name.endswith(r"\xe9t\xe9.mkv")
    np.testing.assert_array_equal(source[3]["video"], plain[3]["video"])


@pytest.mark.parametrize("name", ["A_film.mkv", "z_film.mkv", "00.mov"])
def test_as_images_photos_win_over_a_film(films, tmp_path, name):
    write_pictures(tmp_path / "roll", 4)
    shutil.copy(films[".mkv"], tmp_path / "roll" / name)
    source = data.ImageData(str(tmp_path / "roll"), 8, 3).open("all")
    assert len(source) == 4
    kind = name.partition(".")[2]
    note = f"left out of {tmp_path / 'roll'}: 1 other file (1 .{kind})"
    assert source.account.notes == (note,)


def test_films_in_linked_folders_are_read_once(films, tmp_path):
    (tmp_path / "set" / "deep").mkdir(parents=True)
    shutil.copy(films[".mkv"], tmp_path / "set" / "deep" / "film.mkv")
    for name in ("a", "deep/b"):
        (tmp_path / "set" / name).symlink_to(tmp_path / "set")
    (tmp_path / "set" / "gone.mp4").symlink_to(tmp_path / "nowhere")
    source = open_video(tmp_path / "set")
    assert len(source.files) == 1
    (note,) = source.account.notes
    assert "1 broken link, gone.mp4; 2 links to folders that are read anyway such as a" in note


def test_what_is_kept_for_evaluation_is_said(films, tmp_path):
    train, whole = (open_video(films[".mkv"], split) for split in ("train", "all"))
    part = f"{len(train)} of {len(whole)} images; the last fifth of each film kept for evaluation"
    assert train.account.divided == part and whole.account.divided == ""
    for number in range(10):
        shutil.copy(films[".mkv"], tmp_path / f"{number}.mkv")
    train = open_video(tmp_path, "train", num_frames=2)
    part = f"{len(train)} clips of 8 of 10 films; 2 kept for evaluation"
    assert train.account.divided == part
    assert data.account_of(train.hold_in_memory()).divided == part


def broken(path):
    path.write_bytes(b"not a video at all" * 100)


def sound(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def short(path):
    write_video(path, count=5)


@pytest.mark.parametrize(
    ("make", "split", "message"),
    [
        (broken, "all", r"film\.mkv must be a readable video; got .+\. Encode the file again"),
        (sound, "all", r"film\.mkv must be a readable video; got 1 streams, of other kinds"),
        (
            short,
            "all",
            r"film\.mkv must last 0\.50 s, 4 frames at 6 a second; got 5 frames in 0.16",
        ),
        (write_video, "trian", r'one of train, test, all; got "trian"\. Did you mean "train"'),
        (
            lambda path: write_video(path, count=20),
            "test",
            r'the split "test" of .* must hold 0\.50 s, 4 frames .* ask for the split "all"',
        ),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(tmp_path, make, split, message):
    make(tmp_path / "film.mkv")
    with pytest.raises(ValueError, match=message) as raised:
        open_video(tmp_path / "film.mkv", split, num_frames=4)
    assert "\n" not in str(raised.value)


def test_a_file_that_ends_early_is_named_when_it_is_read(films, tmp_path):
    content = films[".mkv"].read_bytes()
    path = tmp_path / "cut.mkv"
    path.write_bytes(content)
    source = open_video(path, num_frames=4)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(
        ValueError, match=r"cut\.mkv must be readable up to frame \d+, at \d\.\d+ s"
    ):
        source[len(source) - 1]


def test_without_pyav_the_extra_is_named(films, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ModuleNotFoundError, match=r'film\.mp4 .* pip install "jaxssl\[video\]"'):
        open_video(films[".mp4"])


def test_clips_of_still_images_are_refused(tmp_path):
    write_pictures(tmp_path / "pictures", 2)
    with pytest.raises(
        ValueError, match=r"num_frames must be 1 for .* still images; got 4, and no"
    ):
        open_video(tmp_path / "pictures", num_frames=4)


def test_a_seek_that_lands_too_late_begins_at_the_start(films, monkeypatch):
    source = open_video(films[".mp4"], num_frames=2, frame_rate=float(RATE))
    found = video._opened

    class Late:
        """A container that cannot seek to anything but its beginning and frame 45."""

        def __init__(self, container):
            self._container = container
            self.demux = container.demux

        def seek(self, timestamp, *, stream):
            late = int(source.files[0].timestamps[45])
            self._container.seek(late if timestamp else 0, stream=stream)

    @contextlib.contextmanager
    def opened(path):
        with found(path) as (container, stream):
            yield Late(container), stream

    monkeypatch.setattr(video, "_opened", opened)
    assert numbers(source[10]["video"]) == [10, 11]


def test_a_film_without_frames_is_named(tmp_path):
    path = write_video(tmp_path / "film.avi", count=0)
    with pytest.raises(ValueError, match=r"film\.avi must hold frames; got a video stream without"):
        open_video(path)
