"""A few images with their texts, what the method makes of them, and what the network answers."""

from pathlib import Path

import jax
import numpy as np

from jaxssl import data, draws, named
from jaxssl.report import examples, plots
from jaxssl.report.page import Picture
from jaxssl.runs.opened import OpenedRun

TOKENS = "tokens"


def are_pairs(part: data.ArraySource) -> bool:
    """Whether the examples of a source are images with texts."""
    return {"image", TOKENS} <= part.columns.keys()


def draw_views(run: OpenedRun, part: data.ArraySource, out: Path) -> Picture:
    """What the method made of a few images and texts, and the network of that.

    Args:
        run: whose data have a ``decode``, from tokens to text.
        part: of the test split.
        out: directory of the picture.
    """
    rows = examples.first_of_each_class(part)[: examples.NUM_EXAMPLES]
    batch = {name: part.columns[name][rows] for name in ("image", TOKENS)}
    batch["index"] = np.arange(len(rows), dtype=np.int32)
    keys = jax.random.split(jax.random.key(0), len(rows))
    method = run.method
    views = jax.jit(lambda batch, keys: draws.make_views(method, batch, keys))(batch, keys)
    if method.show is None:
        shown = examples.find_images(views, batch["image"].shape[-1])
    else:
        shown = method.show(run.params, run.method_state, views)
    columns = [(title, np.asarray(column)) for title, column in shown]
    decode = run.recipe.data.decode
    plots.draw_captioned(
        [("test image", batch["image"]), *(each for each in columns if each[1].ndim == 4)],
        [
            (title, [decode(tokens) for tokens in column])
            for title, column in columns
            if column.ndim == 2
        ],
        out / "views.svg",
        title=f"{named.short(run.recipe.method)}, step {run.step}",
    )
    sentence = (
        "Test images with their texts, what the method makes of them, and what the network makes "
        "of that."
    )
    return Picture("The task", sentence, out / "views.svg")
