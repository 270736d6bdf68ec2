"""Random crops of whole images, made on the host while they are decoded.

What is drawn follows from (seed, step, position in the global batch) alone, as the keys of the
device do, so that neither processes nor a resume change a crop. As of the order of examples, the
raw stream of Philox is used, which NumPy keeps between versions.
"""

import functools
import math
import typing
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxssl import cropping
from jaxssl.data import bands, deep, imagefiles, transforms, valuerange

if typing.TYPE_CHECKING:
    from PIL import Image

_STREAM = 1  # last word of the counter; that of the order of examples is 0
_TO_UNIT = 2.0**-53
# A JPEG is decoded at 1/2, 1/4 or 1/8 of its size as long as every box keeps this many times the
# pixels of its view, a side: the decoder's plain averages must not be seen behind the filter's.
_RESERVE = 2
_REDUCTIONS = (8, 4, 2)


class Cut(NamedTuple):
    """What is to be cut out of one image.

    Attributes:
        asked: the crops.
        draws: float64 [V, NUM_DRAWS], uniform in [0, 1), V the number of all views.
    """

    asked: tuple[cropping.Crop, ...]
    draws: np.ndarray

    def decode(
        self, encoded: bytes, *, channels: int, value_range: valuerange.ValueRange | None = None
    ) -> cropping.Crops:
        """The crops of an image file, turned upright; see ``transforms.decode``.

        Args:
            encoded: content of an image file.
            channels: C; of others than 1 and 3, and of NumPy's arrays, see ``bands``.
            value_range: what is black and what is white, where there are more than 8 bits a
                channel.

        Raises:
            ValueError: as ``transforms.decode``.
        """
        if bands.is_array(encoded) or channels not in bands.COLOURS:
            return self.of_array(
                bands.in_eight_bits(bands.read(encoded), value_range), channels=channels
            )
        with imagefiles.opened(encoded) as image:
            if deep.is_deep(image):
                shallow = deep.to_eight_bits(image, encoded, value_range)
                return self.of_image(shallow, channels=channels)
            if image.format not in imagefiles.REDUCIBLE:
                return self.of_image(imagefiles.upright(image), channels=channels)
            boxes = self.boxes(*imagefiles.upright_size(image))
            reduction = self.reduction(boxes)
            width, height = image.size
            image.draft(None, (width // reduction, height // reduction))
            upright = transforms.to_mode(imagefiles.upright(image), "L" if channels == 1 else "RGB")
            return self._made(functools.partial(resized, upright), boxes / reduction, channels)

    def of_image(self, image: "Image.Image", *, channels: int) -> cropping.Crops:
        """The crops of a PIL image of 8 bits a channel."""
        image = transforms.to_mode(image, "L" if channels == 1 else "RGB")
        return self._made(functools.partial(resized, image), self.boxes(*image.size), channels)

    def of_array(self, image: np.ndarray, *, channels: int) -> cropping.Crops:
        """The crops of a uint8 array [H, W, C'], C' being C where not both are 1 or 3."""
        height, width, found = image.shape
        bands.check(found, channels)
        if channels in bands.COLOURS:
            return self.of_image(transforms.picture(image), channels=channels)

        def cut(box: Sequence[float], **asked: Any) -> np.ndarray:
            return bands.by_band(image, lambda band: resized(band, box, **asked))

        return self._made(cut, self.boxes(width, height), channels)

    def boxes(self, width: int, height: int) -> np.ndarray:
        """Of an image of this size, pixels: float64 [V, 4], top, left, height and width."""
        return np.stack(
            [
                cropping.box(draws, height, width, scale=crop.scale, ratio=crop.ratio)
                for crop, draws in zip(self._each(), self.draws, strict=True)
            ]
        )

    def reduction(self, boxes: np.ndarray) -> int:
        """By how much an image may be decoded smaller: 1, 2, 4 or 8."""
        spare = min(
            min(box[2:]) / (_RESERVE * crop.size)
            for crop, box in zip(self._each(), boxes, strict=True)
        )
        return next((each for each in _REDUCTIONS if each <= spare), 1)

    def _made(
        self, cut: Callable[..., np.ndarray], boxes: np.ndarray, channels: int
    ) -> cropping.Crops:
        """The crops by what makes a box a square of the size and interpolation asked for."""
        made, left = [], iter(boxes)
        for crop in self.asked:
            views = [
                cut(next(left), size=crop.size, interpolation=crop.interpolation)
                for _ in range(crop.count)
            ]
            made.append(np.stack(views).reshape(crop.count, crop.size, crop.size, channels))
        return cropping.Crops(tuple(made))

    def _each(self) -> list[cropping.Crop]:
        """The crop of each view."""
        return [crop for crop in self.asked for _ in range(crop.count)]


def draw(asked: Sequence[cropping.Crop], *, seed: int, step: int, position: int) -> Cut:
    """What is to be cut out of one example.

    Args:
        asked: the crops.
        seed: the run's, in [0, 2^64).
        step: optimizer steps completed.
        position: of the example in the global batch.
    """
    num_views = sum(crop.count for crop in asked)
    philox = np.random.Philox(
        key=np.array([seed, step], np.uint64),
        counter=np.array([0, 0, position, _STREAM], np.uint64),
    )
    raw = philox.random_raw(num_views * cropping.NUM_DRAWS).reshape(num_views, -1)
    return Cut(tuple(asked), (raw >> np.uint64(11)) * _TO_UNIT)


def resized(
    image: "Image.Image", box: Sequence[float], *, size: int, interpolation: str
) -> np.ndarray:
    """A box of an image as a square, antialiased; nothing outside the box counts.

    Args:
        image: PIL image of mode L or RGB.
        box: top, left, height and width, pixels; fractions where the image was decoded smaller.
        size: S, side of the square, pixels.
        interpolation: "linear" or "cubic".

    Returns:
        uint8 [S, S] or [S, S, 3].
    """
    from PIL import Image

    filters = {"linear": Image.Resampling.BILINEAR, "cubic": Image.Resampling.BICUBIC}
    top, left, height, width = box
    right, bottom = left + width, top + height
    first_column, first_row = math.floor(left), math.floor(top)
    # Cut out first, since Pillow's filters would reach beyond a box of the whole image.
    part = image.crop((first_column, first_row, math.ceil(right), math.ceil(bottom)))
    inside = (left - first_column, top - first_row, right - first_column, bottom - first_row)
    return np.asarray(part.resize((size, size), filters[interpolation], box=inside))
