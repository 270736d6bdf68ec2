"""Pixels that a segmentation is fitted to, and the images among theirs that choose its penalty."""

import numpy as np

from jaxssl.data import masked


def draw(found: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Pixels drawn from every mask, without those that do not count.

    They are those with the smallest keys ``numpy.random.PCG64(seed).random_raw``, one a pixel.

    Args:
        found: uint8 [N, S, S].
        count: P, of each mask at most.
        seed: of the draw.

    Returns:
        int32 [N, P] in raster order, -1 where a mask has no more.
    """
    stream = np.random.PCG64(seed)
    size = found[0].size
    places = np.full((len(found), min(count, size)), -1, np.int32)
    for row, mask in zip(places, found):
        keys = stream.random_raw(size)
        counted = np.flatnonzero(mask != masked.IGNORED)
        chosen = counted[np.argsort(keys[counted])[: len(row)]]
        row[: len(chosen)] = np.sort(chosen)
    return places


def hold_out(image: np.ndarray, targets: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """The pixels of some images, such that every class is among the others.

    Args:
        image: integers [N], the image that a pixel was drawn from.
        targets: integers [N], its class.
        fraction: of the images that is held out, rounded, at least one.
        seed: of their draw.

    Returns:
        Booleans [N].

    Raises:
        ValueError: no image that could be held out.
    """
    order = np.random.default_rng(seed).permutation(np.unique(image))
    wanted = max(1, round(fraction * len(order)))
    left = np.bincount(targets)
    held_out = np.zeros(len(image), bool)
    for number in order:
        if not wanted:
            break
        own = image == number
        counts = np.bincount(targets[own], minlength=len(left))
        if np.all(left > counts):
            left, wanted = left - counts, wanted - 1
            held_out |= own
    if not held_out.any():
        raise ValueError(
            f"segment: every class must be in two training images at least; got {len(order)} "
            "images of which none can be held out. Add images."
        )
    return held_out
