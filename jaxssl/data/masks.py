"""Masks of classes as image files: one channel, whose values are the classes of its pixels."""

import functools
import os
from pathlib import Path

import numpy as np

from jaxssl import words
from jaxssl.data import imagefiles


def read(
    path: str | os.PathLike, size: int, *, what: str, like: tuple[int, int] | None = None
) -> np.ndarray:
    """A mask fitted as ``transforms.fit`` fits an image, without mixing values: uint8 [S, S].

    Args:
        path: of an image of one channel or with a palette, whose numbers then count.
        size: S, pixels.
        what: the file in the user's words, for the message.
        like: width and height of its image, which are to be those of the mask.

    Raises:
        ValueError: a file that is not there, no such image, or one of another size.
    """
    from PIL import Image

    try:
        with imagefiles.opened(Path(path).read_bytes()) as image:
            if image.mode not in ("1", "L", "P"):
                raise ValueError(f"PIL mode {image.mode}, where one channel has each value a class")
            if like not in (None, image.size):
                theirs, own = (f"{width} x {height}" for width, height in (like, image.size))
                raise ValueError(f"{own} pixels for an image of {theirs}")
            labels = image if image.mode == "P" else image.convert("L")
            short = min(labels.size)
            left, top = ((side - short) / 2 for side in labels.size)
            box = (left, top, left + short, top + short)
            return np.array(labels.resize((size, size), Image.Resampling.NEAREST, box=box))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{what}: must be a readable image; got {words.printable(str(error))}. Save it as a "
            "grey PNG, as large as its image."
        ) from error


def write(path: str | os.PathLike, mask: np.ndarray) -> None:
    """A mask as a PNG with a palette, that shows classes in colours and is read as it was.

    Args:
        path: file to write.
        mask: uint8 [H, W].
    """
    from PIL import Image

    image = Image.fromarray(mask)
    image.putpalette(_palette())
    image.save(path)


@functools.cache
def _palette() -> bytes:
    """256 colours of which neighbours differ: bits 0, 3, 6 of a number make its red from the top,
    bits 1, 4, 7 its green, bits 2 and 5 its blue.

    Source: the colours of PASCAL VOC's segmentations, VOClabelcolormap of its development kit.
    """
    numbers = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for channel in range(3):
        for place in range(3):
            bit = (numbers >> (3 * place + channel)) & 1
            colours[:, channel] |= (bit << (7 - place)).astype(np.uint8)
    return colours.tobytes()
