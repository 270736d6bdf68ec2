"""Image files of more than 8 bits a channel, with all of them.

Pillow has modes for grey of 16 and 32 bits and of floats. Of colours it keeps the upper byte; the
lower one comes from reading the file again in the other order of bytes.
"""

import sys
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxssl.data import imagefiles, valuerange

if typing.TYPE_CHECKING:
    from PIL import Image, ImageFile

BITS_PER_SAMPLE, PHOTOMETRIC, PLANES, SAMPLE_FORMAT = 258, 262, 284, 339  # TIFF's tags
WHITE_IS_ZERO, SEPARATE, UNSIGNED, SIGNED = 0, 2, 1, 2  # what they say
NO_RANGE = (
    "more than 8 bits a channel, and nobody knows which values are black and white. Set "
    "--data.value-range LOW HIGH"
)
_SWAPPED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


class Deep(NamedTuple):
    """The pixels of a file, upright.

    Attributes:
        values: numbers as the file holds them, [H, W] or [H, W, 3].
        alpha: uint8 [H, W], or None where nothing is transparent.
        is_inverted: whether the highest value is black.
    """

    values: np.ndarray
    alpha: np.ndarray | None
    is_inverted: bool


def is_deep(image: "ImageFile.ImageFile") -> bool:
    """Whether an image that is not yet loaded has other channels than uint8."""
    return (
        image.mode.startswith(("I", "F"))
        or any(";16" in _raw_mode(tile) for tile in image.tile)
        or _is_deep_pnm(image)
        or any(bits > 8 for bits in _tag(image, BITS_PER_SAMPLE))
        or SIGNED in _tag(image, SAMPLE_FORMAT)
    )


def to_eight_bits(
    image: "ImageFile.ImageFile", content: bytes, value_range: valuerange.ValueRange | None
) -> "Image.Image":
    """A deep image in Pillow's mode L or RGB, with alpha where there is some; upright.

    Args:
        image: opened and not loaded.
        content: of its file.
        value_range: what is black and what is white.

    Raises:
        ValueError: no range, or a layout whose lower bytes cannot be had.
    """
    from PIL import Image

    if value_range is None:
        raise ValueError(NO_RANGE)
    values, alpha, is_inverted = read(image, content)
    pixels = valuerange.scaled(values, value_range)
    made = Image.fromarray(255 - pixels if is_inverted else pixels)
    if alpha is not None:
        made.putalpha(Image.fromarray(alpha))
    return made


def read(image: "ImageFile.ImageFile", content: bytes) -> Deep:
    """The pixels of a deep image; see ``to_eight_bits``."""
    is_inverted = WHITE_IS_ZERO in _tag(image, PHOTOMETRIC)
    alpha: np.ndarray | None
    if {_raw_mode(tile) for tile in image.tile} == {"LA;16B"}:
        # As if the four bytes of a pixel were four channels.
        _retile(image, lambda _: "RGBA")
        four = _pixels(image)
        values, alpha = _joined(four[..., 0], four[..., 1]), four[..., 2]
    elif image.mode in ("RGB", "RGBA"):
        values, alpha = _read_colours(image, content)
    elif image.mode.startswith(("I", "F", "L")):
        values, alpha = _read_grey(image), None
    else:
        raise _unread(image)
    hidden = image.info.get("transparency")
    if hidden is not None:
        is_seen = values != np.array(hidden)
        alpha = 255 * (is_seen.any(-1) if values.ndim == 3 else is_seen).astype(np.uint8)
    if values.dtype.kind == "f" and not np.isfinite(values).any():
        raise ValueError("no pixel is a finite number")
    return Deep(values, alpha, is_inverted)


def value_range_of(count: int, content: Callable[[int], bytes]) -> valuerange.ValueRange | None:
    """The range of files, measured on some of them; None where all of those have 8 bits.

    Args:
        count: number of files.
        content: of one of them; those that raise ValueError or OSError are left out.
    """

    def values(row: int) -> np.ndarray | None:
        try:
            encoded = content(row)
            with imagefiles.opened(encoded) as image:
                return read(image, encoded).values if is_deep(image) else None
        except (OSError, ValueError):
            return None

    found = [each for each in map(values, valuerange.spread(count)) if each is not None]
    return valuerange.measured(found) if found else None


def _read_grey(image: "ImageFile.ImageFile") -> np.ndarray:
    """[H, W] as the file says, where Pillow's mode says less."""
    is_unsigned = _tag(image, SAMPLE_FORMAT) == (UNSIGNED,)
    if _is_deep_pnm(image) and image.tile[0].codec_name == "ppm":  # which would be stretched
        _retile(image, lambda _: "I;16B")
    pixels = _pixels(image)
    if image.mode == "L":  # signed: Pillow takes the bytes as they are
        return pixels.view(np.int8)
    return pixels.view(np.uint32) if image.mode == "I" and is_unsigned else pixels


def _read_colours(
    image: "ImageFile.ImageFile", content: bytes
) -> tuple[np.ndarray, np.ndarray | None]:
    """uint16 [H, W, 3] and the upper byte of alpha."""
    if _is_deep_pnm(image) and image.tile[0].codec_name == "ppm":
        _retile(image, lambda _: "RGB;16B")
    raw_modes = [_raw_mode(tile) for tile in image.tile]
    is_known = all(each[:-1] in ("RGB;16", "RGBA;16") for each in raw_modes)
    if not is_known or SEPARATE in _tag(image, PLANES):
        raise _unread(image)
    upper = _pixels(image)
    with imagefiles.opened(content) as again:
        _retile(again, lambda tile: raw_modes[0][:-1] + _SWAPPED[raw_modes[0][-1]])
        lower = _pixels(again)
    return _joined(upper[..., :3], lower[..., :3]), upper[..., 3] if upper.shape[-1] == 4 else None


def _pixels(image: "ImageFile.ImageFile") -> np.ndarray:
    return np.asarray(imagefiles.upright(image))


def _joined(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    return upper.astype(np.uint16) << 8 | lower


def _raw_mode(tile: Any) -> str:
    """How Pillow unpacks the pixels of a part of the file, such as RGB;16B."""
    given = tile.args if isinstance(tile.args, str) else next(iter(tile.args or ()), "")
    return given if isinstance(given, str) else ""


def _retile(image: "ImageFile.ImageFile", raw_mode: Callable[[tuple], str]) -> None:
    """Has an image unpacked in another way, before it is loaded."""
    tiles = []
    tile: Any  # its args are of any form
    for tile in image.tile:
        is_pnm = tile.codec_name == "ppm"
        mode = raw_mode(tile)
        args = mode if is_pnm or isinstance(tile.args, str) else (mode, *tile.args[1:])
        tiles.append(tile._replace(codec_name="raw" if is_pnm else tile.codec_name, args=args))
    image.tile = tiles


def _is_deep_pnm(image: "ImageFile.ImageFile") -> bool:
    """Whether a PGM or PPM counts beyond 255."""
    tiles: Any = image.tile  # whose args are of any form
    return any(tile.codec_name in ("ppm", "ppm_plain") and tile.args[1] > 255 for tile in tiles)


def _tag(image: "ImageFile.ImageFile", number: int) -> tuple:
    """What a TIFF says under a number; () where it says nothing, or is none."""
    found = getattr(image, "tag_v2", {}).get(number, ())
    return found if isinstance(found, tuple) else (found,)


def _unread(image: "ImageFile.ImageFile") -> ValueError:
    return ValueError(
        f"more than 8 bits a channel in {image.format}, mode {image.mode}, are not read in this "
        "layout. Save it as grey or RGB of 16 bits with interleaved channels"
    )
