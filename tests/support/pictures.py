"""Folders of small pictures for the tests of data."""

import numpy as np
from PIL import Image


def write_pictures(directory, count, *, suffixes=(".png", ".jpg"), seed=0):
    """Smooth RGB pictures of different sizes, so that JPEG keeps them nearly."""
    directory.mkdir(parents=True)
    for index in range(count):
        width, height = 12 + index, 16
        rows, columns = np.mgrid[:height, :width]
        levels = [8 * rows, 8 * columns, (40 * (index + seed)) % 256 + 0 * rows]
        picture = Image.fromarray(np.stack(levels, axis=-1).astype(np.uint8))
        picture.save(directory / f"{index:02d}{suffixes[index % len(suffixes)]}")
