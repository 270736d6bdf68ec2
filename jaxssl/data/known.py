"""Data sets known by name: Fashion-MNIST where it lies on disk, and scikit-learn's digits.

The third, "photographs", has a module of its own.
"""

import dataclasses
import hashlib
import os
import pathlib
import struct

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
# sha256 of images and labels as IDX files, not gzipped: what is called Fashion-MNIST is it.
FASHION_MNIST_SHA256 = {
    "train": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    "test": (
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}
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
        ValueError: where all that is there is another data set, such as MNIST.
    """
    places = fashion_mnist_places()
    others = []
    for place in places:
        if place.is_dir() and idx.is_idx(place):
            source = idx.open_idx(place, split)
            if is_fashion_mnist(source, split):
                return dataclasses.replace(
                    source, name="fashion-mnist", class_names=FASHION_MNIST_CLASSES
                )
            others.append(str(place))
    if others:
        raise ValueError(
            "data: fashion-mnist must be Fashion-MNIST itself, by the sha256 of its files; "
            f"got another data set in {', '.join(others)}. Give that directory as the path to read "
            'what it holds, or fetch Fashion-MNIST with "python -m jaxssl.data.fetch".'
        )
    raise FileNotFoundError(
        f"data: fashion-mnist must lie in one of {', '.join(map(str, places))}; got none. "
        'Fetch it with "python -m jaxssl.data.fetch", or set JAXSSL_DATA to its directory.'
    )


def is_fashion_mnist(source: arrays.ArraySource, split: str) -> bool:
    """Whether a split read from IDX files is that of Fashion-MNIST, byte for byte."""
    columns = source.columns[arrays.IMAGE][..., 0], source.columns[arrays.LABEL]
    return tuple(map(_idx_sha256, columns)) == FASHION_MNIST_SHA256[split]


def _idx_sha256(values: np.ndarray) -> str:
    """sha256 of an array of bytes as an IDX file."""
    digest = hashlib.sha256(
        struct.pack(f">HBB{values.ndim}i", 0, idx.UINT8, values.ndim, *values.shape)
    )
    digest.update(np.ascontiguousarray(values, np.uint8))  # type: ignore[arg-type]
    return digest.hexdigest()


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
            "data: digits must find scikit-learn installed; got no module sklearn. "
            'Install it with "pip install scikit-learn".'
        ) from error
    digits = datasets.load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    return arrays.single_set(images, digits.target, split, name="digits")
