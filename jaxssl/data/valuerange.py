"""Which values are black and which are white: from numbers of any kind to uint8.

Images of 8 bits are what they are. Of others nobody can tell from their type how bright a value is:
an X-ray of 12 bits in a file of 16 lies between 0 and 4095. A range says it, LOW is 0 and HIGH is
255; where none is given, it is measured on the data.
"""

import functools
from collections.abc import Iterable

import numpy as np

ValueRange = tuple[float, float]

PERCENTILES = (0.1, 99.9)  # a few dead or glaring pixels must not decide
NUM_IMAGES = 64  # that a range is measured on, spread evenly
NUM_VALUES = 2**14  # of each of them


def scaled(values: np.ndarray, value_range: ValueRange) -> np.ndarray:
    """Numbers as uint8: round(255 (x - LOW) / (HIGH - LOW)), those outside the range clipped.

    Args:
        values: integers, floats or booleans of any shape; NaN counts as LOW.
        value_range: LOW and HIGH, in the units of the values.

    Returns:
        uint8 of the same shape.

    Raises:
        ValueError: a range without LOW < HIGH.

    Example:
        >>> import numpy as np
        >>> from jaxssl import data
        >>> data.scaled(np.array([0, 1000, 4095, 5000]), (0, 4095))
        array([  0,  62, 255, 255], dtype=uint8)
    """
    low, high = check(value_range, "scaled: value_range")
    values = np.asarray(values)
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
        values = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
        # Negative ones come from the table's end.
        return _table(values.dtype.str, low, high)[values]
    if values.ndim < 4:
        return _scaled(values, low, high)
    # One by one, so that a large array is never there as floats.
    return np.stack([_scaled(image, low, high) for image in values])


def check(value_range: ValueRange, name: str) -> ValueRange:
    """The range as floats.

    Raises:
        ValueError: one without LOW < HIGH, both finite.
    """
    low, high = map(float, value_range)
    if not (low < high and np.isfinite([low, high]).all()):
        raise ValueError(
            f"{name} must be LOW HIGH, the values that are black and white, LOW below HIGH; got "
            f"{low:g} {high:g}."
        )
    return low, high


def measured(images: Iterable[np.ndarray]) -> ValueRange:
    """The percentiles of ``PERCENTILES`` of some images, each with as much weight as the others.

    Args:
        images: numbers of any shape; those that are not finite are left out.

    Returns:
        LOW and HIGH; of images of one value, that and the next integer.
    """
    kept = [np.zeros(0)]
    for image in images:
        values = image.reshape(-1)[:: max(1, image.size // NUM_VALUES)].astype(np.float64)
        kept.append(values[np.isfinite(values)])
    values = np.concatenate(kept)
    if not len(values):
        return 0.0, 1.0
    low, high = (float(each) for each in np.percentile(values, PERCENTILES))
    return (low, high) if low < high else (low, low + 1)


def of_array(images: np.ndarray) -> ValueRange | None:
    """The range of images [N, ...]: None of uint8, black and white of bool, else measured."""
    if images.dtype == np.uint8:
        return None
    if images.dtype == bool:
        return 0.0, 1.0
    return measured(images[row] for row in spread(len(images)))


def spread(count: int) -> list[int]:
    """Up to ``NUM_IMAGES`` rows of so many, at even distances."""
    return np.linspace(0, count - 1, min(NUM_IMAGES, count)).astype(int).tolist()


def advice(images: np.ndarray) -> str:
    """How images of other numbers than uint8 become that without a loss, as a sentence."""
    if images.dtype == bool:
        return "data.scaled(images, (0, 1)) makes black and white of them."
    found = images[np.isfinite(images)]
    if not found.size:
        return "Nothing in them is a finite number."
    low, high = found.min(), found.max()
    lie = f"They lie in [{low:g}, {high:g}]"
    if images.dtype.kind in "iu" and low >= 0 and high <= 255:
        return f"{lie}: images.astype(np.uint8) keeps them, where 255 is white."
    bounds = (0, 1) if low >= 0 and high <= 1 else (low, high if high > low else low + 1)
    return (
        f"{lie}: data.scaled(images, ({bounds[0]:g}, {bounds[1]:g})) makes uint8 of them, black "
        "and white being the two numbers."
    )


@functools.lru_cache(maxsize=8)
def _table(dtype: str, low: float, high: float) -> np.ndarray:
    """Of integers of 16 bits or fewer: uint8 by value, negative ones counted from the end."""
    kind = np.iinfo(dtype)
    every = np.concatenate([np.arange(kind.max + 1), np.arange(kind.min, 0)])
    return _scaled(every, low, high)


def _scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    share = (np.asarray(values, np.float64) - low) / (high - low)
    return np.round(255 * np.clip(np.where(np.isnan(share), 0, share), 0, 1)).astype(np.uint8)
