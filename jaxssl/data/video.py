"""Video files as clips of frames at a fixed rate, decoded on demand by PyAV."""

import contextlib
import dataclasses
import functools
import itertools
import os
import pathlib
import typing
from collections.abc import Iterator, Mapping

import numpy as np

from jaxssl import words
from jaxssl.data import filmprint, layout, transforms, tree
from jaxssl.data import source as source_lib

if typing.TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream
    from PIL import Image

    from jaxssl.data.config import ImageData

SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov")
MAX_CLIPS = 10_000_000  # of a film; more are eighteen days of six a second, or damage
TOLERANCE_S = 1e-3  # Matroska rounds the times of frames to milliseconds


@dataclasses.dataclass(frozen=True, eq=False)
class VideoFile:
    """Where the frames of a file are, known without decoding any.

    Attributes:
        path: the file.
        timestamps: int64 [F], of every frame in order of time, in the units of the file.
        times: float64 [F], the same in seconds since the first.
    """

    path: pathlib.Path
    timestamps: np.ndarray
    times: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class VideoSource:
    """Clips of video files; ``source[i]`` is ``{"video": uint8 [T, S, S, C]}``.

    With clips of one frame it is a source of still images, ``{"image": uint8 [S, S, C]}``.

    Attributes:
        name: the file or directory.
        files: the files of the split.
        clips: int64 [N, 1 + T], of each clip the position in ``files`` and its frames' numbers.
        image_size: S, pixels.
        channels: C, 1 or 3.
        decoded: of each file, its frames by number where they are held in memory; else None.
        account: what is to be said of how they were found.
    """

    name: str
    files: tuple[VideoFile, ...] = dataclasses.field(repr=False)
    clips: np.ndarray = dataclasses.field(repr=False)
    image_size: int
    channels: int
    decoded: tuple[Mapping[int, np.ndarray], ...] | None = dataclasses.field(
        default=None, repr=False
    )
    account: source_lib.Account = source_lib.Account()

    labelled = False
    class_names = None
    num_classes = None

    @functools.cached_property
    def fingerprint(self) -> str:
        """sha256 of the frames of every clip and of the files; see ``filmprint``."""
        return filmprint.fingerprint(self.clips, (file.path for file in self.files))

    def former_fingerprint(self) -> str:
        """The same of every byte of the files, as records of earlier versions hold it."""
        paths = (file.path for file in self.files)
        return filmprint.fingerprint(self.clips, paths, read_all=True)

    def identities(self) -> list[tuple[pathlib.Path, int]]:
        """File and first frame of each clip."""
        return [(self.files[clip[0]].path, clip[1]) for clip in self.clips.tolist()]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        position, *numbers = self.clips[index].tolist()
        if self.decoded is None:
            frames = self._decode(self.files[position], numbers)
        else:
            frames = self.decoded[position]
        if len(numbers) == 1:
            return {"image": frames[numbers[0]]}
        return {"video": np.stack([frames[number] for number in numbers])}

    def hold_in_memory(self) -> "VideoSource":
        """The same source with every frame of its clips decoded once, in order, and kept."""
        decoded = []
        for position, file in enumerate(self.files):
            numbers = np.unique(self.clips[self.clips[:, 0] == position, 1:]).tolist()
            decoded.append(self._decode(file, numbers) if numbers else {})
        return dataclasses.replace(self, decoded=tuple(decoded))

    def _decode(self, file: VideoFile, numbers: list[int]) -> dict[int, np.ndarray]:
        """Frames by number, each uint8 [S, S, C]; ``numbers`` ascend."""
        return {
            number: transforms.fit(
                _upright(frame), image_size=self.image_size, channels=self.channels
            )
            for number, frame in _frames(file, numbers)
        }


def holds_videos(place: pathlib.Path, *, wanted: bool) -> bool:
    """Whether a path is a video file, or a directory that is read as videos.

    Args:
        place: a file or a directory.
        wanted: whether images beside the videos are passed over; else any image at any depth makes
            it a directory of images.
    """
    if place.is_file():
        return place.suffix.lower() in SUFFIXES
    found = False
    for _, names in tree.Walk(place):
        if not wanted and any(map(layout.is_image, names)):
            return False  # at once: a large folder of images is not searched through
        found = found or any(map(_is_video, names))
        if wanted and found:
            return True
    return found


def open_video(place: pathlib.Path, split: str, config: "ImageData") -> VideoSource:
    """Clips of one split of a video file, or of all video files below a directory.

    A clip is ``config.num_frames`` frames at ``config.frame_rate`` a second: for each of its times,
    the frame that a player would show then. Clips begin every 1 / ``config.clip_rate`` seconds, so
    they may overlap. Of five files and more, one in five is "test" (``source.single_set_rows``); of
    fewer, the last fifth of the frames of each is, so that no frame is in both splits.

    Args:
        place: a video file, or a directory of them at any depth.
        split: "train", "test" or "all".
        config: clips, size and channels.

    Returns:
        The source; nothing is decoded yet, but every file was read through once for its index.

    Raises:
        ModuleNotFoundError: PyAV is not installed.
        ValueError: unknown split; a file that is broken, has no frames or is shorter than a clip;
            a split too short for any clip.
    """
    source_lib.chosen_split(str(place), split, source_lib.SINGLE_SET_SPLITS, has_parts=False)
    paths, notes = _paths(place)
    num_files = len(paths)
    by_file = len(paths) >= source_lib.TEST_SHARE
    if by_file:
        rows = source_lib.single_set_rows(len(paths), split, name=str(place))
        paths = [paths[row] for row in rows]
    files = tuple(_index(path) for path in paths)
    parts, num_clips = [], 0
    for position, file in enumerate(files):
        everything = _clips(file, 0, len(file.times), config)
        if not len(everything):
            raise ValueError(
                f"data: {file.path} must last {_span(config)}; got {len(file.times)} frames "
                f"in {file.times[-1]:.2f} s. Lower num_frames, raise frame_rate or remove the file."
            )
        num_clips += len(everything)
        cut = len(file.times) - max(1, len(file.times) // source_lib.TEST_SHARE)
        if split == "all" or by_file:
            chosen = everything
        elif split == "train":
            chosen = _clips(file, 0, cut, config)
        else:
            chosen = _clips(file, cut, len(file.times), config)
        parts.append(np.insert(chosen, 0, position, axis=1))
    clips = np.concatenate(parts)
    if not len(clips):
        raise ValueError(
            f'data: the split "{split}" of {place} must hold {_span(config)}; got none that '
            'long in its fifths of the frames. Lower num_frames, or ask for the split "all".'
        )
    divided = ""
    if by_file and split == "train":
        films = source_lib.divided(num_files, split, unit="films")
        divided = f"{len(clips):,} {config.unit} of {films}"
    elif split == "train":
        part = f"{len(clips):,} of {num_clips:,} {config.unit}"
        divided = f"{part}; the last fifth of each film kept for evaluation"
    account = source_lib.Account(divided=divided, notes=notes)
    return VideoSource(
        words.printable(str(place)),
        files,
        clips,
        config.image_size,
        config.channels,
        account=account,
    )


def _span(config: "ImageData") -> str:
    seconds = (config.num_frames - 1) / config.frame_rate
    return f"{seconds:.2f} s, {config.num_frames} frames at {config.frame_rate:g} a second"


def _paths(place: pathlib.Path) -> tuple[list[pathlib.Path], tuple[str, ...]]:
    """The video files at a path, in a fixed order, and a line about what was left out."""
    if place.is_file():
        return [place], ()
    walk = tree.Walk(place)
    names = [os.path.join(inside, name) for inside, names in walk for name in names]
    left_out = walk.notes()
    if images := list(filter(layout.is_image, names)):
        left_out.append(tree.counted(images, "image", "images"))
    notes = (f"left out of {place}: {'; '.join(left_out)}",) if left_out else ()
    return [place / name for name in filter(_is_video, names)], notes


def _is_video(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _clips(file: VideoFile, first: int, end: int, config: "ImageData") -> np.ndarray:
    """Frame numbers of all clips within frames first, …, end - 1; int64 [N, T]."""
    times = file.times[first:end]
    if not len(times):
        return np.empty((0, config.num_frames), np.int64)
    offsets = np.arange(config.num_frames) / config.frame_rate
    room = times[-1] - times[0] - offsets[-1] + TOLERANCE_S
    clip_rate = config.clip_rate or config.frame_rate
    if room * clip_rate > MAX_CLIPS:
        raise ValueError(
            f"data: {file.path} must hold at most {MAX_CLIPS:,} clips; got {room:g} s of "
            f"{clip_rate:g} a second. Lower clip_rate, or encode the file again: its times may be "
            "damaged."
        )
    starts = np.arange(int(np.floor(room * clip_rate)) + 1 if room >= 0 else 0) / clip_rate
    shown = times[0] + starts[:, None] + offsets[None] + TOLERANCE_S
    return first + np.searchsorted(times, shown, side="right") - 1


def _index(path: pathlib.Path) -> VideoFile:
    """Reads the packets of a file, decoding none."""
    with _opened(path) as (container, stream):
        found = [
            _timestamp(packet)
            for packet in container.demux(stream)
            if _timestamp(packet) is not None and not packet.is_discard
        ]
        seconds = float(stream.time_base)  # type: ignore[arg-type]  # of a file there is one
    if not found:
        raise ValueError(
            f"data: {path} must hold frames; got a video stream without any. Remove the file."
        )
    timestamps = np.unique(np.array(found, np.int64))
    return VideoFile(path, timestamps, (timestamps - timestamps[0]) * seconds)


def _frames(file: VideoFile, numbers: list[int]) -> Iterator[tuple[int, "av.VideoFrame"]]:
    """The frames of the given numbers, in ascending order, decoded from the keyframe before."""
    wanted = {int(file.timestamps[number]): number for number in numbers}
    earliest, latest = min(wanted), max(wanted)
    with _opened(file.path) as (container, stream):
        # A format that seeks by decoding time, which lies before the time of display, may land on a
        # keyframe that is too late: then decoding begins earlier, in the end with the file.
        for seconds in (0, 1, 10, np.inf):
            start = np.searchsorted(file.times, file.times[min(numbers)] - seconds)
            container.seek(int(file.timestamps[start]), stream=stream)
            packets = container.demux(stream)
            first = next(packets)
            if (begins := _timestamp(first)) is not None and begins <= earliest:
                break
        for packet in itertools.chain([first], packets):
            for frame in packet.decode():
                shown = _timestamp(frame)
                if shown is not None and (number := wanted.pop(shown, None)) is not None:
                    yield number, frame
            if not wanted:
                return
    raise ValueError(
        f"data: {file.path} must be readable up to frame {max(wanted.values())}, at "
        f"{file.times[max(wanted.values())]:.2f} s; got no frame there of timestamps {earliest} to "
        f"{latest}. Encode the file again or remove it."
    )


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[tuple["InputContainer", "VideoStream"]]:
    """A file and its video stream, of this caller alone; PyAV's errors become one ValueError."""
    try:
        import av
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"data: {path} is a video and needs the extra; got no module av. "
            'Install it with: pip install "jaxssl[video]".'
        ) from error
    try:
        with av.open(str(path)) as container:
            stream = container.streams.best("video")
            if stream is None:
                raise ValueError(f"{len(container.streams)} streams, of other kinds than video")
            # The loader's own threads decode; FFmpeg's would be one for each core in each of them.
            stream.codec_context.thread_count = 1
            yield container, typing.cast("VideoStream", stream)
    except Exception as error:  # a damaged file may lack anything that others have
        if isinstance(error, MemoryError) and not isinstance(error, av.FFmpegError):
            raise  # it says nothing of the file; FFmpeg's does, of a damaged size
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(
            f"data: {path} must be a readable video; got {reason}. Encode the file again or "
            "remove it."
        ) from error


def _timestamp(packet: "av.Packet | av.VideoFrame") -> int | None:
    """When a packet's frame is shown, in the units of the file; AVI may know its order only."""
    return packet.dts if packet.pts is None else packet.pts


def _upright(frame: "av.VideoFrame") -> "Image.Image":
    """A frame as a PIL image, turned as the file says (phones film sideways)."""
    image = frame.to_image()
    return image.rotate(frame.rotation, expand=True) if frame.rotation else image
