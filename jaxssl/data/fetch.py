"""Finds Fashion-MNIST on this machine, or fetches it into the user's cache, without root.

``python -m jaxssl.data.fetch`` prints one line: where it is, or that it is to be had nowhere.
"""

import functools
import http.client
import pathlib
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable

from jaxssl.data import idx, known

DEBIAN_PACKAGE = "dataset-fashion-mnist"
FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
URLS = (
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",  # there is no https
)
COMMAND_TIMEOUT_S = 120
DOWNLOAD_TIMEOUT_S = 10  # without a byte


def find_or_fetch_fashion_mnist() -> pathlib.Path | None:
    """The directory of Fashion-MNIST's four IDX files, from the nearest place that has them.

    Tried in this order: ``known.fashion_mnist_places``; Debian's package, unpacked into the user's
    cache; the official repository and its download. What was taken is printed in one line. Files
    count only when all four have the sha256 of Fashion-MNIST.

    Returns:
        The directory, or None where nothing worked; a failed download raises nothing.
    """
    for place in known.fashion_mnist_places():
        if _is_complete(place):
            print(f"Fashion-MNIST: found in {place}")
            return place
    target = known.cache_directory() / "fashion-mnist"
    ways = [(f"Debian's package {DEBIAN_PACKAGE}", _unpack_debian)]
    ways += [(url, functools.partial(_download, url)) for url in URLS]
    for origin, fetch in ways:
        if _fetched(fetch, target):
            print(f"Fashion-MNIST: fetched from {origin} into {target}")
            return target
    print("Fashion-MNIST: neither on this machine nor within reach")
    return None


def _is_complete(directory: pathlib.Path) -> bool:
    """Whether the four files are there and are Fashion-MNIST's."""
    if not directory.is_dir():
        return False
    try:
        return all(
            known.is_fashion_mnist(idx.open_idx(directory, split), split)
            for split in known.FASHION_MNIST_SHA256
        )
    except (OSError, ValueError):
        return False


def _fetched(fetch: Callable[[pathlib.Path], None], target: pathlib.Path) -> bool:
    """Whether ``fetch`` filled ``target``; it appears only when it is complete."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
            directory = pathlib.Path(temporary) / "files"
            directory.mkdir()
            fetch(directory)
            if not _is_complete(directory):
                return False
            if target.exists():  # incomplete, or it would have been found
                shutil.rmtree(target)
            directory.rename(target)
            return True
    except (OSError, subprocess.SubprocessError, http.client.HTTPException):
        # URLError and timeouts are OSErrors.
        return False


def _unpack_debian(directory: pathlib.Path) -> None:
    """Takes the files out of Debian's package, which needs neither root nor an installation."""
    with tempfile.TemporaryDirectory(dir=directory.parent) as temporary:
        work = pathlib.Path(temporary)
        _run(["apt-get", "download", DEBIAN_PACKAGE], work)
        for package in work.glob("*.deb"):
            _run(["dpkg-deb", "-x", str(package), "unpacked"], work)
        inside = work / "unpacked" / known.DEBIAN_FASHION_MNIST.relative_to("/")
        for file in FILES:
            shutil.move(inside / file, directory / file)


def _run(command: list[str], directory: pathlib.Path) -> None:
    """Runs a quiet command; raises where it fails, is missing or hangs."""
    subprocess.run(
        command, cwd=directory, check=True, capture_output=True, timeout=COMMAND_TIMEOUT_S
    )


def _download(url: str, directory: pathlib.Path) -> None:
    """Downloads the four files below a URL."""
    for file in FILES:
        with urllib.request.urlopen(url + file, timeout=DOWNLOAD_TIMEOUT_S) as response:
            with open(directory / file, "wb") as target:
                shutil.copyfileobj(response, target)


if __name__ == "__main__":
    sys.exit(0 if find_or_fetch_fashion_mnist() else 1)
