"""Windows of ten colour photographs that scikit-image and scikit-learn carry in their wheels.

Nothing is downloaded: for work with colour and texture where no larger data set is at hand. Each
photograph is divided into 3 x 4 blocks. Windows lie anywhere (and overlap) in the nine blocks of
training, or wholly inside one of the three blocks of testing; training keeps a margin from those,
so that no pixel is in both splits. The label is the photograph.
"""

import dataclasses
import functools
import importlib.util
import pathlib

import numpy as np

from jaxssl.data import arrays, order, transforms, valuerange
from jaxssl.data import source as source_lib

SPLITS = ("train", "test")
# Class name -> package, folder inside it, file.
FILES = {
    "astronaut": ("skimage", "data", "astronaut.png"),
    "cat": ("skimage", "data", "chelsea.png"),
    "coffee": ("skimage", "data", "coffee.png"),
    "galaxies": ("skimage", "data", "hubble_deep_field.jpg"),
    "tissue": ("skimage", "data", "ihc.png"),
    "motorcycle": ("skimage", "data", "motorcycle_left.png"),
    "retina": ("skimage", "data", "retina.jpg"),
    "rocket": ("skimage", "data", "rocket.jpg"),
    "temple": ("sklearn", "datasets/images", "china.jpg"),
    "flower": ("sklearn", "datasets/images", "flower.jpg"),
}
DISTRIBUTIONS = {"skimage": "scikit-image", "sklearn": "scikit-learn"}
WINDOWS_PER_CLASS = {"train": 1500, "test": 250}
DEFAULT_SIZE = 32  # pixels, of the windows where no size is asked for
MAX_SIZE = 96  # pixels; the blocks of the smallest photograph are 100 x 112
MAX_SIDE = 1024  # pixels; a larger photograph is halved
BLOCK_ROWS, BLOCK_COLUMNS = 3, 4
TEST_BLOCKS = ((0, 1), (1, 3), (2, 2))
MARGIN = 4  # pixels between any window of training and the blocks of testing
MIN_DEVIATION = 2.0  # of 255; windows below are blank: the border of the retina, clear sky


@dataclasses.dataclass(frozen=True, eq=False)
class PhotographSource(arrays.ArraySource):
    """Windows of one split; other sizes are cut from the photographs, not resized.

    Attributes:
        split: "train" or "test".
    """

    split: str

    def fit_images(
        self, *, image_size: int, channels: int, value_range: valuerange.ValueRange | None = None
    ) -> arrays.ArraySource:
        """Windows uint8 [N, S, S, C] in the photographs' own pixels; the fingerprint stays.

        Args:
            image_size: S, pixels.
            channels: C, 1 or 3.
            value_range: unused, photographs being of 8 bits.

        Raises:
            ValueError: for an image_size above ``MAX_SIZE``.
        """
        del value_range
        images = self.columns[arrays.IMAGE]
        if image_size != images.shape[1]:
            images = cut(self.split, image_size)
        images = transforms.fit_array(images, image_size=image_size, channels=channels)
        return self.with_images(images)


def open_photographs(split: str) -> PhotographSource:
    """The ten photographs as windows of 32 x 32 pixels, RGB: 1,500 a class train, 250 test.

    Raises:
        ModuleNotFoundError: where scikit-image or scikit-learn is not installed.
        FileNotFoundError: where one of them lacks a photograph.
        ValueError: for another split.
    """
    split = source_lib.chosen_split("photographs", split, SPLITS)
    source = arrays.from_arrays(
        cut(split, DEFAULT_SIZE),
        np.repeat(np.arange(len(FILES)), WINDOWS_PER_CLASS[split]),
        class_names=tuple(FILES),
        name="photographs",
    )
    fields = {field.name: getattr(source, field.name) for field in dataclasses.fields(source)}
    return PhotographSource(**fields, split=split)


def cut(split: str, image_size: int) -> np.ndarray:
    """The windows of one split, sorted by class.

    Args:
        split: "train" or "test".
        image_size: S, pixels of the photographs (the retina's are halved first).

    Returns:
        uint8 [10 N, S, S, 3], N being ``WINDOWS_PER_CLASS[split]``.

    Raises:
        ValueError: for an image_size above ``MAX_SIZE``.
    """
    if image_size > MAX_SIZE:
        raise ValueError(
            f"data: image_size of photographs must be at most {MAX_SIZE}, so that windows "
            f"fit between training and test; got {image_size}. Take {MAX_SIZE}."
        )
    windows = []
    for label, photograph in enumerate(_photographs()):
        tops, lefts = np.nonzero(allowed(photograph, split, image_size))
        chosen = order.permutation(len(tops), key=(label, SPLITS.index(split)))
        chosen = np.sort(chosen[: WINDOWS_PER_CLASS[split]])
        every = np.lib.stride_tricks.sliding_window_view(photograph, (image_size,) * 2, axis=(0, 1))
        windows.append(every[tops[chosen], lefts[chosen]].transpose(0, 2, 3, 1))
    return np.concatenate(windows)


def allowed(photograph: np.ndarray, split: str, image_size: int) -> np.ndarray:
    """Where a window of one split may have its upper left corner.

    Args:
        photograph: uint8 [H, W, 3].
        split: "train" or "test".
        image_size: S, pixels.

    Returns:
        bool [H - S + 1, W - S + 1]: the window shares no pixel with the other split, and its grey
        values (the mean of the channels) deviate by at least ``MIN_DEVIATION``.
    """
    height, width, _ = photograph.shape
    outside = np.full((height, width), split == "test")
    margin = MARGIN if split == "train" else 0
    for row, column in TEST_BLOCKS:
        top, bottom = (each * height // BLOCK_ROWS for each in (row, row + 1))
        left, right = (each * width // BLOCK_COLUMNS for each in (column, column + 1))
        rows = slice(max(0, top - margin), bottom + margin)
        outside[rows, max(0, left - margin) : right + margin] = split == "train"
    grey = photograph.sum(-1, dtype=np.int64)  # three times the mean: integers, hence exact
    pixels = image_size**2
    variance = _box_sums(grey**2, image_size) / pixels - (_box_sums(grey, image_size) / pixels) ** 2
    is_textured = variance >= (3 * MIN_DEVIATION) ** 2
    return (_box_sums(outside.astype(np.int64), image_size) == 0) & is_textured


def _box_sums(values: np.ndarray, size: int) -> np.ndarray:
    """Sums of int64 [H, W] over all windows: int64 [H - size + 1, W - size + 1]."""
    sums = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    return sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]


@functools.cache  # both splits, and every size, are cut from the same ten photographs
def _photographs() -> tuple[np.ndarray, ...]:
    """The photographs in the order of ``FILES``, uint8 [H, W, 3]."""
    from PIL import Image

    photographs = []
    for package, directory, file in FILES.values():
        with Image.open(_package_directory(package) / directory / file) as image:
            photograph = image.convert("RGB")
        if max(photograph.size) > MAX_SIDE:
            photograph = photograph.reduce(2)
        photographs.append(np.asarray(photograph))
    return tuple(photographs)


def _package_directory(package: str) -> pathlib.Path:
    """Where a package is installed; it is not imported, which would cost a second."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(
            "data: photographs must find scikit-image and scikit-learn installed; got no "
            f'module {package}. Install it with "pip install {DISTRIBUTIONS[package]}".'
        )
    return pathlib.Path(spec.submodule_search_locations[0])
