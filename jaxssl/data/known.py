"""Data sets known by name: Fashion-MNIST where it lies on disk, and scikit-learn's digits.

The third, "photographs", has a module of its own.
"""

import os
import pathlib

import numpy as np

from jaxssl.data import arrays, idx

NAMES = ("fashion-mnist", "digits", "photographs")
FASHION_MNIST_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
# Where Debian's package dataset-fashion-mnist puts it.
DEBIAN_FASHION_MNIST = pathlib.Path("/usr/share/datasets/fashion-mnist")


def cache_directory() -> pathlib.Path:
    """The user's own directory for data sets that were fetched: ~/.cache/jaxssl."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "jaxssl"


def fashion_mnist_places() -> tuple[pathlib.Path, ...]:
    """Directories that may hold Fashion-MNIST's IDX files, the user's own choice first."""
    places = [cache_directory() / "fashion-mnist", DEBIAN_FASHION_MNIST]
    if chosen := os.environ.get("JAXSSL_DATA"):
        places = [pathlib.Path(chosen) / "fashion-mnist", pathlib.Path(chosen), *places]
    return tuple(places)


def open_fashion_mnist(split: str) -> arrays.ArraySource:
    """Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747): 60,000 and 10,000 grey images, 28x28.

    Raises:
        FileNotFoundError: where it is in none of ``fashion_mnist_places``.
    """
    places = fashion_mnist_places()
    for place in places:
        if place.is_dir() and idx.is_idx(place):
            source = idx.open_idx(place, split, class_names=FASHION_MNIST_CLASSES)
            return arrays.rename(source, "fashion-mnist")
    raise FileNotFoundError(
        f"open_source: fashion-mnist must lie in one of {', '.join(map(str, places))}; got none. "
        'Fetch it with "python -m jaxssl.data.fetch", or set JAXSSL_DATA to its directory.'
    )


def open_digits(split: str) -> arrays.ArraySource:
    """The 1,797 handwritten digits of scikit-learn, 8x8 grey, divided as a single set.

    1,438 images train and 359 test; their values 0…16 are stretched to 0…255.

    Raises:
        ModuleNotFoundError: where scikit-learn is not installed.
    """
    try:
        from sklearn import datasets
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "open_source: digits must find scikit-learn installed; got no module sklearn. "
            'Install it with "pip install scikit-learn".'
        ) from error
    digits = datasets.load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    return arrays.single_set(images, digits.target, split, name="digits")
