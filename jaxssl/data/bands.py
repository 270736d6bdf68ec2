"""Images of any number of channels: NumPy's ``.npy``, and TIFFs of a page for each.

Pillow knows grey and RGB. What has other channels, of satellites say, is an array here, whose
channels are resized one by one as grey images are.
"""

import io
import typing
from collections.abc import Callable

import numpy as np

from jaxssl.data import deep, imagefiles, valuerange

if typing.TYPE_CHECKING:
    from PIL import Image

MAX_CHANNELS = 32
COLOURS = (1, 3)  # what Pillow knows: grey and RGB
SUFFIX = ".npy"
_MAGIC = b"\x93NUMPY"


def is_array(content: bytes) -> bool:
    """Whether a file is one of NumPy's."""
    return content.startswith(_MAGIC)


def read(content: bytes) -> np.ndarray:
    """The numbers of a file, [H, W, C].

    Args:
        content: a .npy of [H, W] or [H, W, C], or an image file whose pages are the channels.

    Raises:
        ValueError: another shape, no numbers, pages of several sizes, or damage.
    """
    if is_array(content):
        return _checked(_array(content))
    with imagefiles.opened(content) as image:
        pages = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            pages.append(np.array(image))
    if len({page.shape for page in pages}) > 1:
        raise ValueError(f"pages of several sizes, {pages[0].shape} and {pages[-1].shape}")
    if len(pages) == 1:
        return _checked(pages[0])
    if pages[0].ndim != 2:
        raise ValueError("several pages of colours, where each must be one channel")
    return np.stack(pages, axis=-1)


def in_eight_bits(values: np.ndarray, value_range: valuerange.ValueRange | None) -> np.ndarray:
    """Numbers as uint8, scaled where they are none.

    Raises:
        ValueError: no range for other numbers.
    """
    if values.dtype == np.uint8:
        return values
    if value_range is None:
        raise ValueError(deep.NO_RANGE)
    return valuerange.scaled(values, value_range)


def value_range_of(count: int, content: Callable[[int], bytes]) -> valuerange.ValueRange | None:
    """The range of files of any number of channels; see ``deep.value_range_of``."""

    def values(row: int) -> np.ndarray | None:
        try:
            found = read(content(row))
        except (OSError, ValueError):
            return None
        return None if found.dtype == np.uint8 else found

    found = [each for each in map(values, valuerange.spread(count)) if each is not None]
    return valuerange.measured(found) if found else None


def check(found: int, channels: int) -> None:
    """Raises ValueError where an image of so many channels cannot become one of others."""
    if found != channels and not (found in COLOURS and channels in COLOURS):
        fix = ", or leave the alpha channel out" if found == 4 else ""
        raise ValueError(
            f"{found} channels, where {channels} are read; pretraining takes --data.channels "
            f"{found}{fix}"
        )


def by_band(image: np.ndarray, resize: Callable[["Image.Image"], np.ndarray]) -> np.ndarray:
    """Every channel of a uint8 image [H, W, C] as a grey image, resized: [S, S, C]."""
    from PIL import Image

    made = [
        resize(Image.fromarray(np.ascontiguousarray(image[..., band])))
        for band in range(image.shape[-1])
    ]
    return np.stack([each.reshape(each.shape[:2]) for each in made], axis=-1)


def _array(content: bytes) -> np.ndarray:
    try:
        return np.load(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # a damaged header raises nearly anything
        reason = " ".join(str(error).split())
        raise ValueError(f"a damaged .npy file ({type(error).__name__}: {reason})") from error


def _checked(values: np.ndarray) -> np.ndarray:
    values = values[..., None] if values.ndim == 2 else values
    is_image = values.ndim == 3 and 1 <= values.shape[-1] <= MAX_CHANNELS and 0 not in values.shape
    if values.dtype.kind not in "biuf" or not is_image:
        fix = ""
        if values.ndim == 3 and values.shape[0] <= MAX_CHANNELS:
            fix = "; channels come last"
        raise ValueError(
            f"an array of {values.dtype.name} {list(values.shape)}, where numbers [H, W] or "
            f"[H, W, C] of at most {MAX_CHANNELS} channels are read{fix}"
        )
    return values
