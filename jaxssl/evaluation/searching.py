"""The images of a file of features that are nearest to an image."""

import os
from typing import NamedTuple

import numpy as np

from jaxssl import checkpoints, checks, jsonable
from jaxssl.evaluation import feature_files, knn, layers, preparation


class Found(NamedTuple):
    """One image.

    Attributes:
        similarity: cosine of its features and the query's, in [-1, 1].
        path: as the file of features has it.
    """

    similarity: float
    path: str


def search(
    run: str | os.PathLike,
    query: str | os.PathLike,
    features: str | os.PathLike,
    *,
    count: int = 10,
) -> list[Found]:
    """The nearest images by cosine similarity, exactly; of equals the earlier in the file first.

    Args:
        run: run directory, of the checkpoint that made the features.
        query: an image file.
        features: what ``jaxssl embed`` wrote.
        count: k, of images.

    Returns:
        k of them, the most similar first.

    Raises:
        ValueError: an image or a file that cannot be read, features of another checkpoint, or fewer
            of them than k (CheckpointError where the checkpoint is gone).
    """
    bank = feature_files.read(features)
    fix = f"{os.fspath(features)} has no more."
    checks.in_range("search", 1, len(bank.paths), count=count, fix=fix)
    step, layer = _made_by(bank, features)
    if checkpoints.fingerprint(run, step) != bank.about["weights"]:
        raise ValueError(
            f"search: the features must be made by the encoder of {os.fspath(run)}; got "
            f"{os.fspath(features)} of other weights of step {step}. Embed the images again."
        )
    encoder = checkpoints.restore_encoder(run, step)
    source = encoder.open_files([query])
    own = preparation.encode(encoder, source, [layer], batch_size=1).layers[layer.name]
    similarities, rows = knn.nearest(
        np.asarray(bank.features, np.float32), np.arange(len(bank.paths)), own, count=count
    )
    return [Found(float(each), bank.paths[row]) for each, row in zip(similarities[0], rows[0])]


def _made_by(
    bank: feature_files.FeatureFile, features: str | os.PathLike
) -> tuple[int, layers.Layer]:
    """Checkpoint and layer of a file."""
    try:
        step = jsonable.read(int, bank.about["step"], "step")
        jsonable.read(str, bank.about["weights"], "weights")
        return step, jsonable.from_json(layers.Layer, bank.about["layer"])
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"FEATURES: {os.fspath(features)} must say what made it; got {error}. Embed the images "
            "again."
        ) from error
