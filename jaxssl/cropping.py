"""Random-resized crops wherever they are made: the box, what views ask for, what a batch holds.

The device cuts a crop out of an image of one size; the host cuts it out of the whole picture as it
was taken, and sends the crop alone. The box is one function for both. JAX is not used here.
"""

import math
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

if TYPE_CHECKING:  # it imports JAX
    from jaxssl.types import Array, Batch

A = TypeVar("A", "Array", np.ndarray)
NUM_TRIES = 10  # candidates of a random-resized crop, as in torchvision
NUM_DRAWS = 2 * NUM_TRIES + 2  # area and aspect of each, then one place


class Crop(NamedTuple):
    """A random crop that views begin with, as its maker must know it.

    Attributes:
        size: side of the view, pixels.
        scale: lowest and highest fraction of the image's area, in (0, 1].
        ratio: lowest and highest width / height of the box.
        interpolation: "linear" or "cubic", antialiased.
        count: views of an image that begin so, each with a crop of its own.
    """

    size: int
    scale: tuple[float, float]
    ratio: tuple[float, float]
    interpolation: str
    count: int = 1  # type: ignore[assignment]  # a tuple's method of that name is not used

    @property
    def varies(self) -> bool:
        """Whether its area is drawn; else a fixed part of the image is cut out."""
        return self.scale[0] < self.scale[1]


class Crops(NamedTuple):
    """What an example, or a batch, holds as its "image" where the host has cut its views.

    Attributes:
        groups: for each ``Crop`` that was asked for, uint8 [V, S, S, C], V its ``count``; of a
            batch [B, V, S, S, C].
    """

    groups: tuple[Any, ...]

    def at(self, number: int) -> "Crops":
        """Of an example's crops the one of view ``number``, as a view takes it."""
        for group in self.groups:
            if number < len(group):
                return Crops((group[number : number + 1],))
            number -= len(group)
        raise ValueError(f"Crops: a view must have a crop of its own; got {number} too few.")

    def split(self, count: int) -> tuple["Crops", "Crops"]:
        """The first ``count`` groups, and the others."""
        return Crops(self.groups[:count]), Crops(self.groups[count:])

    def apart(self) -> "Crops":
        """An example's crops each as a view takes it, to be mapped over: [V, 1, S, S, C]."""
        return Crops(tuple(group[:, None] for group in self.groups))

    def only(self) -> "Array":
        """Of an example the one crop that a view takes, [S, S, C].

        Raises:
            ValueError: there are more.
        """
        if (count := sum(map(len, self.groups))) != 1:
            raise ValueError(
                f"Crops: a view must be given one crop, its own; got {count}. Let the device make "
                "the crops of such a method: --data.crops device."
            )
        return self.groups[0][0]


def stack(examples: Sequence[Crops]) -> Crops:
    """The crops of a batch from those of its examples."""
    return Crops(tuple(np.stack(group) for group in zip(*(each.groups for each in examples))))


def first_view(batch: "Batch") -> "Batch":
    """A batch with the crop of the first view as its "image", where the host has cut its views.

    For what looks at the images of training themselves, without a view of them.
    """
    image = batch.get("image")
    return {**batch, "image": image.groups[0][:, 0]} if isinstance(image, Crops) else batch


def of_method(method: object) -> tuple[Crop, ...]:
    """The crops that all views of a method begin with; none where they do not begin so.

    Args:
        method: a method's config; see ``types.MethodConfig``.
    """
    augment: Any = getattr(method, "augment", None)
    if getattr(method, "WHOLE_IMAGE", False) or not hasattr(augment, "host_crops"):
        return ()
    return augment.host_crops()


def box(
    draws: A,
    height: int,
    width: int,
    *,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    xp: ModuleType = np,
) -> A:
    """The box of a random-resized crop from uniform numbers.

    Ten candidates: area = H·W·U(scale), aspect = exp(U(log ratio)), box of whole pixels
    round(sqrt(area / aspect)) × round(sqrt(area · aspect)). The first that fits the image is
    placed uniformly; if none fits, the largest centred box whose aspect lies in ``ratio`` is
    taken. This is the distribution of torchvision's RandomResizedCrop (not its random stream).

    Args:
        draws: [NUM_DRAWS] floating, uniform in [0, 1).
        height: H of the image, pixels.
        width: W of the image, pixels.
        scale: lowest and highest fraction of the image's area, in (0, 1].
        ratio: lowest and highest width / height of the box.
        xp: ``numpy``, or ``jax.numpy`` where the draws are of JAX.

    Returns:
        [4] of whole numbers, of the draws' type: top, left, height, width, pixels.

    Source: Szegedy et al., Going Deeper with Convolutions, 2014, arXiv:1409.4842, section 6.
    """
    area_draws, ratio_draws, (top_draw, left_draw) = xp.split(draws, [NUM_TRIES, 2 * NUM_TRIES])
    area = height * width * (scale[0] + (scale[1] - scale[0]) * area_draws)
    narrowest, widest = map(math.log, ratio)
    aspect = xp.exp(narrowest + (widest - narrowest) * ratio_draws)
    heights = xp.round(xp.sqrt(area / aspect))
    widths = xp.round(xp.sqrt(area * aspect))
    fits = (heights > 0) & (heights <= height) & (widths > 0) & (widths <= width)
    first = fits & (xp.cumsum(fits) == 1)

    fallback_height, fallback_width = _fallback(height, width, ratio)
    crop_height = xp.where(
        fits.any(), xp.sum(xp.where(first, heights, 0.0)), float(fallback_height)
    )
    crop_width = xp.where(fits.any(), xp.sum(xp.where(first, widths, 0.0)), float(fallback_width))

    top = xp.floor(top_draw * (height - crop_height + 1))
    left = xp.floor(left_draw * (width - crop_width + 1))
    top = xp.where(fits.any(), top, float((height - fallback_height) // 2))
    left = xp.where(fits.any(), left, float((width - fallback_width) // 2))
    return xp.stack([top, left, crop_height, crop_width])


def _fallback(height: int, width: int, ratio: tuple[float, float]) -> tuple[int, int]:
    if width < height * ratio[0]:
        return round(width / ratio[0]), width
    if width > height * ratio[1]:
        return height, round(height * ratio[1])
    return height, width
