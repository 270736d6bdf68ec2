"""From what a path holds to the source that reads it."""

import pathlib

from jaxssl.data import arrays, idx, known
from jaxssl.data import source as source_lib
from jaxssl.data.config import DataConfig


def open_source(config: DataConfig, split: str) -> source_lib.Source:
    """Opens one split of whatever ``config.path`` names.

    In this order: a known name; tfds:NAME; an .npz file; a directory of IDX files. A directory
    that shares its name with a known data set is reached as ./NAME.

    Args:
        config: path, and the size and channels that images are brought to.
        split: usually ``config.train_split`` or ``config.test_split``. What comes as one set is
            divided into "train" and "test" by ``source.single_set_rows``.

    Returns:
        An ``ArraySource`` where the data set is in memory, converted once; else a source that
        decodes on demand. Unlabelled data has ``labelled`` False and no "label" in its records.

    Raises:
        FileNotFoundError: where there is nothing at the path.
        ValueError: for an unknown split or content that cannot be read.
    """
    source = _open(config, split)
    if isinstance(source, arrays.ArraySource):
        return arrays.fitted(source, image_size=config.image_size, channels=config.channels)
    return source


def _open(config: DataConfig, split: str) -> source_lib.Source:
    """The source, its images as they are where it is in memory."""
    if config.path == "fashion-mnist":
        return known.open_fashion_mnist(split)
    if config.path == "digits":
        return known.open_digits(split)
    path = pathlib.Path(config.path).expanduser()
    if not path.exists():
        raise FileNotFoundError(
            f"open_source: path must be a file, a directory, tfds:NAME or one of "
            f'{", ".join(known.NAMES)}; got "{config.path}", which does not exist.'
            + source_lib.nearest(config.path, known.NAMES)
        )
    if path.is_file():
        if path.suffix != ".npz":
            raise ValueError(
                f"open_source: a file must be a NumPy .npz archive; got {path}. "
                "Give the directory that holds it."
            )
        return arrays.open_npz(path, split)
    return idx.open_idx(path, split)
