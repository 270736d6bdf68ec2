"""Mean and standard deviation of the pixels of a data set, the same on every machine."""

from typing import NamedTuple

import numpy as np

from jaxssl.data import loader, memory
from jaxssl.data import source as source_lib

NUM_EXAMPLES = 1000  # of which pixels are counted: the mean is then good to a hundredth or so
_BATCH_SIZE = 32
_LEVELS = 256
_DECIMALS = 4


class Moments(NamedTuple):
    """What an encoder subtracts and divides by.

    Attributes:
        mean: of each channel, in [0, 1].
        std: of each channel over all pixels, above 0.
        num_examples: of which pixels were counted.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    num_examples: int


def measure(
    source: source_lib.Source, count: int = NUM_EXAMPLES, *, num_threads: int = 8
) -> Moments:
    """Counts the levels of all pixels of evenly spaced images, or frames of clips.

    Args:
        source: of "image" uint8 [H, W, C] or "video" uint8 [T, H, W, C].
        count: examples, all where there are fewer.
        num_threads: threads that decode; they change no number.

    Returns:
        Mean and deviation to four decimals; the deviation is 1 / 255 at least.
    """
    part = memory.evenly_spaced(source, count)
    column = "video" if "video" in part[0] else "image"
    levels = np.zeros((part[0][column].shape[-1], _LEVELS), np.int64)
    for batch in loader.batches(part, _BATCH_SIZE, num_threads=num_threads):
        for channel, counts in enumerate(levels):
            counts += np.bincount(batch[column][..., channel].ravel(), minlength=_LEVELS)
    # Whole numbers up to here, so that neither the order of batches nor the machine matters.
    share = levels / levels.sum(axis=1, keepdims=True)
    values = np.arange(_LEVELS) / (_LEVELS - 1)
    mean = share @ values
    std = np.sqrt(np.maximum(share @ values**2 - mean**2, 0))
    std = np.maximum(std, 1 / (_LEVELS - 1))
    rounded = [tuple(np.round(each, _DECIMALS).tolist()) for each in (mean, std)]
    return Moments(rounded[0], rounded[1], len(part))
