"""Images of any size, mode and encoding to uint8 ``[S, S, C]``, on the host.

Everything here is deterministic: what is random is made on the device, or in ``crops``.
"""

import functools
import typing

import numpy as np

from jaxssl.data import bands, deep, imagefiles, valuerange

if typing.TYPE_CHECKING:
    from PIL import Image

BACKGROUND = "white"  # what shows through where an image is transparent


def fit(image: "Image.Image", *, image_size: int, channels: int) -> np.ndarray:
    """Converts, resizes by the short side (bicubic, antialiased) and crops the centre.

    Grey of RGB is PIL's ITU-R 601-2 luma; RGB of grey repeats it. What is transparent shows
    ``BACKGROUND``.

    Args:
        image: any PIL image of 8 bits a channel.
        image_size: S, pixels.
        channels: C, 1 or 3.

    Returns:
        uint8 [S, S, C].

    Raises:
        ValueError: for a mode whose range of values is unknown.
    """
    from PIL import Image

    image = to_mode(image, "L" if channels == 1 else "RGB")
    width, height = image.size
    if (width, height) != (image_size, image_size):
        short = min(width, height)
        left, top = (width - short) / 2, (height - short) / 2
        # Cropping the centre square first and resizing it gives the same pixels for less work.
        image = image.resize(
            (image_size, image_size),
            Image.Resampling.BICUBIC,
            box=(left, top, left + short, top + short),
        )
    return np.array(image, np.uint8).reshape(image_size, image_size, channels)


def to_mode(image: "Image.Image", mode: str) -> "Image.Image":
    """A PIL image in mode "L" or "RGB", on ``BACKGROUND`` where it is transparent.

    Raises:
        ValueError: for a mode whose range of values is unknown.
    """
    from PIL import Image

    if image.mode.startswith(("I", "F")):  # PIL would clip at 255
        raise ValueError(
            f"an image must have 8 bits a channel; got PIL mode {image.mode}. Say by data.scaled "
            "which values are black and white."
        )
    if image.has_transparency_data:
        # Colours below alpha 0 are whatever the program that wrote the file left there.
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, BACKGROUND), image)
    if image.mode == mode:
        return image
    return image.convert(mode)


def decode(
    encoded: bytes,
    *,
    image_size: int,
    channels: int,
    value_range: valuerange.ValueRange | None = None,
) -> np.ndarray:
    """Decodes PNG, JPEG or any other format of PIL's, turned upright, then ``fit``.

    Of other channels than 1 or 3, and NumPy's arrays: see ``bands``.

    Args:
        encoded: content of an image file.
        image_size: S, pixels.
        channels: C.
        value_range: what is black and what is white, where there are more than 8 bits a channel.

    Returns:
        uint8 [S, S, C].

    Raises:
        ValueError: where the bytes are not an image, or only part of one, or of more than 8 bits
            without a range.
    """
    if bands.is_array(encoded) or channels not in bands.COLOURS:
        values = bands.in_eight_bits(bands.read(encoded), value_range)
        return fit_array(values[None], image_size=image_size, channels=channels)[0]
    with imagefiles.opened(encoded) as image:
        if deep.is_deep(image):
            shallow = deep.to_eight_bits(image, encoded, value_range)
            return fit(shallow, image_size=image_size, channels=channels)
        # A JPEG far larger than asked is decoded at 1/2, 1/4 or 1/8 of its size.
        image.draft(None, (2 * image_size, 2 * image_size))
        return fit(imagefiles.upright(image), image_size=image_size, channels=channels)


def fit_array(images: np.ndarray, *, image_size: int, channels: int) -> np.ndarray:
    """``fit`` of every image of a uint8 [N, H, W, C] array; the array itself where it fits already.

    Raises:
        ValueError: other channels than asked for, where not both are grey or RGB.

    Returns:
        uint8 [N, S, S, C].
    """
    bands.check(images.shape[-1], channels)
    if images.shape[1:] == (image_size, image_size, channels):
        return images
    if images.shape[1:3] == (image_size, image_size) and channels == 3:
        return np.repeat(images, 3, axis=-1)
    fitted = np.empty((len(images), image_size, image_size, channels), np.uint8)
    for row, image in enumerate(images):
        if channels in bands.COLOURS:
            fitted[row] = fit(picture(image), image_size=image_size, channels=channels)
        else:
            fitted[row] = bands.by_band(
                image, functools.partial(fit, image_size=image_size, channels=1)
            )
    return fitted


def picture(image: np.ndarray) -> "Image.Image":
    """A uint8 array [H, W, C] as a PIL image, grey where C is 1."""
    from PIL import Image

    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
