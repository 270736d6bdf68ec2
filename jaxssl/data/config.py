"""Which data set a run reads, and in what shape its examples reach the device."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar, cast

from jaxssl import checks, jsonable, named
from jaxssl.data import bands, imagefiles, known, opening, valuerange
from jaxssl.data import source as source_lib

if TYPE_CHECKING:  # both import JAX, which reading data does without
    from jaxssl.inputs import Input
    from jaxssl.types import DataConfig

D = TypeVar("D", bound="DataConfig")
FILM_FIELDS = ("num_frames", "frame_rate", "clip_rate")


@dataclasses.dataclass(frozen=True)
class ImageData:
    """A data set of images; plain values only, so that it survives JSON.

    Attributes:
        path: a known name (fashion-mnist, digits, photographs), tfds:NAME, an .npz file, or a
            directory of IDX files, of images, or of a prepared TFDS data set. Of films, six frames
            a second are the images. Empty in a recipe for images of the user's own, who names them.
        image_size: height and width in pixels; other images are resized by their short side and
            cropped in the centre.
        channels: 1 for grey, 3 for RGB; images of the other kind are converted. Up to 32 of images
            that have so many: arrays, .npy files, TIFFs of a page for each.
        train_split: split that pretraining and probes learn from; "all" is every image.
        test_split: split that evaluation measures on.
        data_dir: directory of prepared TFDS data sets for tfds:NAME; None is TFDS's own default.
        num_threads: threads that decode images; unused where the data set is in memory.
        num_workers: processes that decode for training in place of the threads, for machines with
            many cores: of one process threads read about 3,000 photographs a second at most.
        in_memory: decode the whole split once at the start and keep it, where it is not in memory
            anyway; worth it for small images, which then cost a tenth of the time.
        value_range: LOW HIGH, the values that are black and white in images of more than 8 bits a
            channel, and in arrays of other numbers than uint8. None measures it once, on the
            training split: from its 0.1 to its 99.9 percentile.
        max_pixels: of one image file; larger ones are refused.
        max_unreadable: share of the images of a split that may be unreadable; the next ones stand
            in for them.
        crops: who makes the random crops that views begin with. The host cuts them out of whole
            pictures as it decodes them, the device out of images of ``image_size``. None is the
            host where it can: files decoded on demand, and views that begin with a crop.
    """

    path: str
    image_size: int
    channels: int
    train_split: str = "train"
    test_split: str = "test"
    data_dir: str | None = None
    num_threads: int = 8
    in_memory: bool = False
    value_range: tuple[float, float] | None = None
    max_pixels: int = imagefiles.MAX_PIXELS
    max_unreadable: float = 0.01
    crops: Literal["host", "device"] | None = jsonable.added(None, before="device")
    num_workers: int = 0

    # How films are read; fields of ``ClipData``, and without an annotation of no other.
    num_frames = 1
    frame_rate = 6.0
    clip_rate = cast(float | None, None)
    prefers_films: ClassVar[bool] = False  # where images lie beside them

    def __post_init__(self) -> None:
        checks.at_least(self, 1, "image_size", "num_threads", "max_pixels")
        checks.at_least(self, 0, "num_workers")
        checks.in_range(self, 1, bands.MAX_CHANNELS, "channels", fix="1 is grey, 3 is RGB.")
        checks.choice(self, (None, "host", "device"), "crops")
        checks.in_range(self, 0, 1, "max_unreadable", fix="It is a share: 0.01 is 1 %.")
        if self.value_range is not None:
            valuerange.check(self.value_range, f"{type(self).__name__}: value_range")

    def unused(self) -> dict[str, str]:
        """What the path makes needless."""
        needless = {}
        if not self.path.startswith("tfds:"):
            needless["data_dir"] = "it takes a data.path tfds:NAME"
        if self.in_memory:
            needless["num_workers"] = "data.in-memory decodes all images at the start"
        if self.path in known.NAMES:
            needless["value_range"] = f"the images of {self.path} have 8 bits"
            needless["num_workers"] = f"the images of {self.path} are in memory"
            needless["max_pixels"] = f"the images of {self.path} are small"
            needless["max_unreadable"] = f"all images of {self.path} are read at once"
        return needless

    @property
    def unit(self) -> str:
        """What an example is called, in the plural."""
        return "images" if self.num_frames == 1 else "clips"

    def open(self, split: str) -> source_lib.Source:
        """Opens one split; see ``open_source``."""
        self.check_path()
        return opening.open_source(self, split)

    def check_path(self) -> None:
        """Raises a ValueError where nobody has said which images are meant."""
        if not self.path:
            raise ValueError(
                "data.path: must name images, such as a folder of photos; got nothing. Set "
                "--data.path PHOTOS."
            )

    def matching(self, inputs: Sequence["Input"]) -> Self:
        """The same data in the shape that an encoder is fed.

        Args:
            inputs: of the encoder; one of them is named "image", of shape (S, S, C).

        Returns:
            A copy with that size and number of channels; of films, whatever clips they were read
            as, single frames.

        Raises:
            ValueError: for an encoder that is fed no square images.
        """
        shapes = [tuple(each.shape) for each in inputs if each.name == "image"]
        if len(shapes) != 1 or len(shapes[0]) != 3 or shapes[0][0] != shapes[0][1]:
            given = ", ".join(f"{each.name} {list(each.shape)}" for each in inputs)
            raise ValueError(
                f'{type(self).__name__}: the encoder must be fed an "image" [S, S, C]; got '
                f"{given or 'nothing'}. Name data of its own kind."
            )
        ((size, _, channels),) = shapes
        return dataclasses.replace(self, image_size=size, channels=channels)


@dataclasses.dataclass(frozen=True)
class ClipData(ImageData):
    """A data set of films, read as clips; its first fields are those of ``ImageData``.

    Attributes:
        path: a film, or a directory of them; with one frame a clip, whatever ``ImageData`` reads.
        image_size: height and width of the frames in pixels; others are resized by their short
            side and cropped in the centre.
        channels: 1 for grey, 3 for RGB; frames of the other kind are converted.
        train_split: split that pretraining and probes learn from; "all" is every clip.
        test_split: split that evaluation measures on.
        data_dir: directory of prepared TFDS data sets for tfds:NAME; None is TFDS's own default.
        num_threads: threads that decode; unused where the data set is in memory.
        num_workers: processes that decode for training in place of the threads.
        in_memory: decode each frame once at the start and keep it.
        value_range: LOW HIGH, the values that are black and white in still images of more than 8
            bits a channel; None measures it.
        max_pixels: of one image file; larger ones are refused.
        max_unreadable: share of still images that may be unreadable; the next ones stand in.
        crops: of still images, see ``ImageData``; of films the device makes them.
        num_frames: T, frames of a clip; 1 takes frames as images.
        frame_rate: frames a second within a clip, whatever the rate of the file.
        clip_rate: clips a second that begin in a film; they may overlap. None is ``frame_rate``.
    """

    num_frames: int = 1
    frame_rate: float = 6.0
    clip_rate: float | None = None
    prefers_films: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.at_least(self, 1, "num_frames")
        fix = "They are per second; the usual value is 6."
        checks.above(self, 0, "frame_rate", "clip_rate", fix=fix)

    def matching(self, inputs: Sequence["Input"]) -> Self:
        """The same films as single frames; see ``ImageData.matching``."""
        return dataclasses.replace(super().matching(inputs), num_frames=1)


def from_json(entry: Mapping[str, Any]) -> "DataConfig":
    """The config that ``named.to_json`` described; also of records from before kinds were named.

    Args:
        entry: of any data set that can be imported.

    Raises:
        ValueError: for what is no config of a data set, or a field that it does not have.
    """
    if "fields" not in entry:
        return from_old_fields(entry)
    return named.from_json(entry, room="jaxssl.data", does="open")


def from_old_fields(fields: Mapping[str, Any]) -> ImageData | ClipData:
    """The data of a record from before its kind was recorded, when all were images or clips.

    Args:
        fields: as JSON values, whatever fields there were.

    Returns:
        ``ClipData`` where films were read in another way than ``ImageData`` reads them.

    Raises:
        ValueError: for a field that there never was.
    """
    as_images = all(
        fields.get(name, getattr(ImageData, name)) == getattr(ImageData, name)
        for name in FILM_FIELDS
    )
    if not as_images:
        return jsonable.from_json(ClipData, fields)
    kept = {name: value for name, value in fields.items() if name not in FILM_FIELDS}
    return jsonable.from_json(ImageData, kept)


def elsewhere(config: D, path: str | None) -> D:
    """A config whose data set lies at another path; itself where none is given.

    Raises:
        ValueError: a path for a config that has none.
    """
    if path is None:
        return config
    if not hasattr(config, "path"):
        raise ValueError(
            f"--data-path: must be left out for {type(config).__name__}, which has no path; got "
            f"{path}."
        )
    return dataclasses.replace(config, path=path)
