"""The content of an image file as an upright PIL image, whatever else the file says.

Of what a file tells beside its pixels only the orientation is read: damage anywhere else in the
metadata neither stops nor changes anything. Whatever Pillow raises becomes one ValueError. Of a
file of several pages or frames the first is the image.
"""

import contextlib
import io
import logging
import re
import struct
import typing
import warnings
from collections.abc import Iterator

if typing.TYPE_CHECKING:
    from PIL import Image, ImageFile

ORIENTATION = 0x0112  # EXIF's number of the tag
MAX_PIXELS = 178_956_970  # of one image; where Pillow stops too
REDUCIBLE = ("JPEG", "MPO")  # Pillow's names of what may be decoded smaller
CHANNELS, BITS = 277, 258  # TIFF's numbers of the tags
_PILLOW = re.compile(r"PIL\.")
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
_PNG_XMP = b"iTXtXML:com.adobe.xmp\0\0"  # which may hold the orientation; not compressed
_UNREAD = {  # what begins like this, from the fifth byte on, and Pillow may not know
    b"ftypheic": "HEIC",
    b"ftypheix": "HEIC",
    b"ftypmif1": "HEIF",
    b"ftypavif": "AVIF",
    b"JXL \r\n": "JPEG XL",
}


@contextlib.contextmanager
def opened(content: bytes) -> Iterator["ImageFile.ImageFile"]:
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
        with Image.open(io.BytesIO(_without_texts(content))) as image:
            if image.format == "TIFF":
                # Pillow reads every tag when the pixels are there, and then turns the image.
                image.load_end = lambda: _turn_in_place(image)  # type: ignore[method-assign]
            yield image
    except MemoryError:  # says nothing of the file
        raise
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        raise ValueError(_reason(error, content)) from error


def allow_pixels(count: int) -> None:
    """Raises the number of pixels above which an image is refused, for the whole process.

    Args:
        count: of pixels; where more are allowed already, nothing changes.
    """
    from PIL import Image

    # Pillow warns at this many and refuses twice as many.
    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, -(-count // 2))


def allowed_pixels() -> int | None:
    """What ``allow_pixels`` came to, for another process; None: any number."""
    from PIL import Image

    return None if Image.MAX_IMAGE_PIXELS is None else 2 * Image.MAX_IMAGE_PIXELS


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
    }.get(_orientation(image) or 1)
    return image if turn is None or image.format == "TIFF" else image.transpose(turn)


def upright_size(image: "Image.Image") -> tuple[int, int]:
    """Width and height of what ``upright`` makes of a ``REDUCIBLE`` image not yet decoded."""
    width, height = image.size
    return (height, width) if _orientation(image) in (5, 6, 7, 8) else (width, height)


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


def _without_texts(content: bytes) -> bytes:
    """A PNG without texts and colour profile, of which Pillow refuses those that are long."""
    if not content.startswith(_PNG) or not any(kind in content for kind in _PNG_TEXTS):
        return content
    kept, place = [_PNG], len(_PNG)
    while place + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        end = place + 12 + length
        is_xmp = content.startswith(_PNG_XMP, place + 4)
        if kind not in _PNG_TEXTS or is_xmp:
            kept.append(content[place:end])
        place = end
    return b"".join(kept)


def _reason(error: Exception, content: bytes) -> str:
    """Why an image could not be read, in a few words."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):  # its text is the address of the buffer
        return _unidentified(content)
    if isinstance(error, Image.DecompressionBombError):
        found, limit = (int(number) for number in re.findall(r"\d+", str(error))[:2])
        return (
            f"{found:,} pixels, and images of more than {limit:,} are refused, since memory may "
            "not hold them; raise --data.max-pixels"
        )
    if isinstance(error, (OSError, SyntaxError, ValueError)):
        return str(error) or "damaged content"
    return f"damaged content ({type(error).__name__}: {error})"


def _unidentified(content: bytes) -> str:
    """What a file is that Pillow does not know."""
    from PIL import TiffImagePlugin

    for magic, name in _UNREAD.items():
        if content.startswith(magic, 4):
            return f"{name}, which Pillow does not read here; convert it to JPEG or PNG"
    if content[:4] not in (b"II*\0", b"MM\0*"):
        return "content of no known image format"
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(content[:8])
        file = io.BytesIO(content)
        file.seek(tags.next)
        tags.load(file)
        channels, bits = tags.get(CHANNELS, 1), tags[BITS]
    except Exception:  # a damaged file makes Pillow raise nearly anything
        return "a damaged TIFF"
    return (
        f"a TIFF of {channels} channels of {max(bits)} bits, of a kind that Pillow does not read; "
        "save it as grey or RGB of 8 or 16 bits, or its channels as an array in a .npy file"
    )


def _hush_pillow() -> None:
    """Leaves out what Pillow warns of or logs, which would name no file.

    For the whole process: filters cannot be set for one thread.
    """
    logger = logging.getLogger("PIL")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    known = ("ignore", None, Warning, _PILLOW, 0)
    if known not in warnings.filters:
        warnings.filterwarnings("ignore", module=_PILLOW.pattern)
