"""Items of Fashion-MNIST on a black canvas, with exact masks: a data set of dense labels made here.

An item is the pixels of its image that are not black, and no pixel of one covers another's. Each
split has items of its own, so that those of a test canvas stand on no training canvas.
"""

import functools

import numpy as np

from jaxssl import checks
from jaxssl.data import arrays, config

NAME = "fashion-mnist-canvas"
BACKGROUND = "background"  # class 0
SIDE = 56  # pixels, of a canvas; two items a side
NUM_CANVASES = {"test": 1000}  # of a split; of others
NUM_OTHERS = 2000
_NUM_ITEMS = (1, 4)  # of a canvas, at least and at most
_NUM_TRIES = 20  # places tried for an item, which is left out after that


def draw(
    items: np.ndarray, labels: np.ndarray, count: int, *, side: int = SIDE, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Canvases of one to four items drawn with replacement, each at a place drawn among the free.

    The raw stream of PCG64 is the same in every version of NumPy, and so are the canvases.

    Args:
        items: uint8 [M, H, W], black where they are not.
        labels: integers [M], ≥ 0.
        count: N, canvases.
        side: S, pixels of a canvas, at least H and W.
        seed: of items and places.

    Returns:
        Canvases and masks, uint8 [N, S, S]; a mask is 0 on the canvas and 1 + label on an item.

    Raises:
        ValueError: a canvas smaller than an item, or no canvas.
    """
    height, width = items.shape[1:]
    checks.at_least("draw", max(height, width), side=side, fix="An item must fit in.")
    checks.at_least("draw", 1, count=count)
    stream = np.random.PCG64(seed)

    def below(limit: int) -> int:
        return int(stream.random_raw() % limit)

    canvases = np.zeros((count, side, side), np.uint8)
    masks = np.zeros_like(canvases)
    fewest, most = _NUM_ITEMS
    for canvas, mask in zip(canvases, masks):
        for _ in range(fewest + below(most - fewest + 1)):
            number = below(len(items))
            item, label = items[number], labels[number]
            for _ in range(_NUM_TRIES):
                top, left = below(side - height + 1), below(side - width + 1)
                place = slice(top, top + height), slice(left, left + width)
                if not np.any((mask[place] > 0) & (item > 0)):
                    canvas[place] = np.maximum(canvas[place], item)
                    mask[place] = np.where(item > 0, 1 + label, mask[place])
                    break
    return canvases, masks


@functools.cache
def open_split(split: str) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Canvases of a split, their masks, and the names of the classes.

    Args:
        split: of Fashion-MNIST: train, test, or fit and validation, which are parts of train.

    Raises:
        FileNotFoundError: where Fashion-MNIST does not lie on this machine.
        ValueError: no such split.
    """
    source = config.ImageData("fashion-mnist", 28, 1).open(split)
    assert isinstance(source, arrays.ArraySource) and source.class_names is not None
    items = source.columns["image"][..., 0]
    labels = source.columns[arrays.LABEL]
    canvases, masks = draw(items, labels, NUM_CANVASES.get(split, NUM_OTHERS))
    return canvases, masks, (BACKGROUND, *source.class_names)
