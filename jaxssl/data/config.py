"""Which data set a run reads, and in what shape its images reach the device."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The data set of a run; plain values only, so that it survives JSON.

    Attributes:
        path: a known name (fashion-mnist, digits, photographs), tfds:NAME, an .npz file, or a
            directory of IDX files, of images, or of a prepared TFDS data set.
        image_size: height and width in pixels; other images are resized by their short side and
            cropped in the centre.
        channels: 1 for grey, 3 for RGB; images of the other kind are converted.
        train_split: split that pretraining and probes learn from; "all" is every image.
        test_split: split that evaluation measures on.
        data_dir: directory of prepared TFDS data sets for tfds:NAME; None is TFDS's own default.
        num_threads: threads that decode images; unused where the data set is in memory.
        in_memory: decode the whole split once at the start and keep it, where it is not in memory
            anyway; worth it for small images, which then cost a tenth of the time.
        num_frames: T, frames of a clip, for videos only; 1 takes frames of videos as images.
        frame_rate: frames a second within a clip, whatever the rate of the file.
        clip_rate: clips a second that begin in a video; they may overlap. None is ``frame_rate``.
    """

    path: str
    image_size: int
    channels: int
    train_split: str = "train"
    test_split: str = "test"
    data_dir: str | None = None
    num_threads: int = 8
    in_memory: bool = False
    num_frames: int = 1
    frame_rate: float = 6.0
    clip_rate: float | None = None

    def __post_init__(self) -> None:
        if self.image_size < 1:
            raise ValueError(
                f"DataConfig: image_size must be at least 1 pixel; got {self.image_size}."
            )
        if self.channels not in (1, 3):
            raise ValueError(
                f"DataConfig: channels must be 1 (grey) or 3 (RGB); got {self.channels}."
            )
        if self.num_threads < 1:
            raise ValueError(f"DataConfig: num_threads must be at least 1; got {self.num_threads}.")
        if self.num_frames < 1:
            raise ValueError(f"DataConfig: num_frames must be at least 1; got {self.num_frames}.")
        for field in ("frame_rate", "clip_rate"):
            rate = getattr(self, field)
            if rate is not None and not 0 < rate < math.inf:
                raise ValueError(
                    f"DataConfig: {field} must be finite and above 0, per second; got {rate}. "
                    "The usual value is 6."
                )
