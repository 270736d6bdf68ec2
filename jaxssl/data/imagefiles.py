"""The content of an image file as an upright PIL image, whatever else the file says.

Of what a file tells beside its pixels only the orientation is read: damage anywhere else in the
metadata neither stops nor changes anything. Whatever Pillow raises becomes one ValueError.
"""

import contextlib
import io
import re
import typing
import warnings
from collections.abc import Iterator

if typing.TYPE_CHECKING:
    from PIL import Image

ORIENTATION = 0x0112  # EXIF's number of the tag
_PILLOW = re.compile(r"PIL\.")


@contextlib.contextmanager
def opened(content: bytes) -> Iterator["Image.Image"]:
    """An image file, opened but not yet decoded.

    Args:
        content: of the file.

    Raises:
        ValueError: with a few words of why, for whatever is raised while it is open: content that
            is no image, or only part of one, or damaged.
    """
    from PIL import Image

    _hush_pillow()
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.format == "TIFF":
                # Pillow reads every tag when the pixels are there, and then turns the image.
                image.load_end = lambda: _turn_in_place(image)
            yield image
    except MemoryError:  # says nothing of the file
        raise
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        raise ValueError(_reason(error)) from error


def upright(image: "Image.Image") -> "Image.Image":
    """The image turned as its orientation says; itself where that says nothing that is known."""
    from PIL import Image

    image.load()
    turns = Image.Transpose
    turn = {
        2: turns.FLIP_LEFT_RIGHT,
        3: turns.ROTATE_180,
        4: turns.FLIP_TOP_BOTTOM,
        5: turns.TRANSPOSE,
        6: turns.ROTATE_270,
        7: turns.TRANSVERSE,
        8: turns.ROTATE_90,
    }.get(_orientation(image))
    return image if turn is None or image.format == "TIFF" else image.transpose(turn)


def _orientation(image: "Image.Image") -> int | None:
    """What EXIF or XMP says of the orientation; None where they say nothing, or cannot be read."""
    try:
        value = image.getexif().get(ORIENTATION)
    except Exception:  # whatever is wrong with it, the pixels are as they are
        return None
    return value if isinstance(value, int) else None


def _turn_in_place(image: "Image.Image") -> None:
    """What is left of ``load_end`` of Pillow's TIFF images, whose size is of the turned one."""
    from PIL import ImageOps

    if _orientation(image) is not None:
        ImageOps.exif_transpose(image, in_place=True)


def _reason(error: Exception) -> str:
    """Why an image could not be read, in a few words."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):  # its text is the address of the buffer
        return "content of no known image format"
    if isinstance(error, (OSError, SyntaxError, ValueError, Image.DecompressionBombError)):
        return str(error) or "damaged content"
    return f"damaged content ({type(error).__name__}: {error})"


def _hush_pillow() -> None:
    """Leaves out what Pillow warns of metadata, which would name no file.

    For the whole process: filters cannot be set for one thread.
    """
    known = ("ignore", None, Warning, _PILLOW, 0)
    if known not in warnings.filters:
        warnings.filterwarnings("ignore", module=_PILLOW.pattern)
