"""Pictures of a few images: what the method makes of them, and where their features lie."""

from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np

from jaxssl import checkpoints, data, draws, named
from jaxssl.evaluation import knn, layers, preparation, splits
from jaxssl.report import plots
from jaxssl.report.page import Picture
from jaxssl.runs.opened import OpenedRun
from jaxssl.types import Array, Views

NUM_EXAMPLES = 6
NUM_QUERIES = 8
NUM_NEIGHBOURS = 7
# What a picture needs; whole splits are for the evaluators.
NUM_TRAIN = 5000
NUM_TEST = 2000
_BATCH = 500


def read_parts(opened: splits.Splits) -> tuple[data.ArraySource, data.ArraySource]:
    """The part of each split, training first, that features are drawn of; in memory."""
    return data.sample(opened.train, NUM_TRAIN), data.sample(opened.test, NUM_TEST)


def choose(part: data.ArraySource) -> dict[str, np.ndarray]:
    """The examples whose views are shown, as a batch: one of each class as far as they go."""
    rows = first_of_each_class(part)[:NUM_EXAMPLES]
    return {name: column[rows] for name, column in part.columns.items()}


def draw_views(run: OpenedRun, examples: Mapping[str, np.ndarray], out: Path) -> Picture:
    """What the method made of a few examples with an "image", and the network of that."""
    method, images = run.method, examples["image"]
    batch = {**examples, "index": np.arange(len(images), dtype=np.int32)}
    keys = jax.random.split(jax.random.key(0), len(images))
    views = jax.jit(lambda batch, keys: draws.make_views(method, batch, keys))(batch, keys)
    if method.show is None:
        columns = find_images(views, images.shape[-1])
    else:
        columns = method.show(run.params, run.method_state, views)
    shown = [("test image", np.asarray(images))]
    shown += [(title, np.asarray(column)) for title, column in columns]
    plots.draw_grid(
        shown,
        out / "views.svg",
        title=f"{named.short(run.recipe.method)}, step {run.step}",
    )
    sentence = "Test images, what the method makes of them, and what the network makes of that."
    return Picture("The task", sentence, out / "views.svg")


def draw_features(
    encoder: checkpoints.RestoredEncoder,
    train: data.ArraySource,
    test: data.ArraySource,
    out: Path,
) -> list[Picture]:
    """Nearest neighbours of a few test images, and all test images in two dimensions."""
    bank, queries = (
        preparation.encode(encoder, part, (layers.POOLED,), _BATCH).layers[layers.POOLED.name]
        for part in (train, test)
    )
    is_known = splits.knows_classes(test) and splits.knows_classes(train)
    chosen = first_of_each_class(test)[:NUM_QUERIES]
    count = min(NUM_NEIGHBOURS, len(train))
    _, rows = knn.nearest(bank, np.arange(len(train)), queries[chosen], count=count)
    plots.draw_neighbours(
        test.columns["image"][chosen],
        train.columns["image"][rows],
        (test.columns["label"][chosen], train.columns["label"][rows]) if is_known else None,
        out / "neighbours.svg",
        class_names=test.class_names,
    )
    labels = test.labels if splits.knows_classes(test) else None
    plots.draw_embedding(queries, labels, test.class_names, out / "embedding.svg")
    return [
        Picture(
            "Nearest neighbours",
            f"Test images (left) and the nearest of {len(train):,} training images by cosine "
            f"similarity of the trained features; pretraining saw no label.",
            out / "neighbours.svg",
        ),
        Picture(
            "Features",
            "First two principal components of the trained features of test images; colours and "
            "markers are classes.",
            out / "embedding.svg",
        ),
    ]


def find_images(views: Views, channels: int = 3) -> list[tuple[str, Array]]:
    """Every leaf of a batch of views that looks like images [B, H, W, C], with its path as title.

    A leaf [B, V, H, W, C] gives V of them. C is 1, 3 or the ``channels`` of the data.
    """
    found = []
    known = (1, 3, channels)
    for path, leaf in jax.tree_util.tree_leaves_with_path(views):
        title = "view " + jax.tree_util.keystr(path, simple=True, separator=" ")
        if leaf.ndim == 4 and leaf.shape[-1] in known:
            found.append((title, leaf))
        elif leaf.ndim == 5 and leaf.shape[-1] in known:
            found += [(f"{title} {index}", leaf[:, index]) for index in range(leaf.shape[1])]
    return found


def first_of_each_class(source: data.ArraySource) -> np.ndarray:
    """All row numbers, the first of every class in front: none is picked by hand."""
    everything = np.arange(len(source))
    if source.labels is None:
        return everything
    _, first = np.unique(source.labels, return_index=True)
    return np.concatenate([first, np.setdiff1d(everything, first)])
