"""Tables of a few texts: what the method makes of them, and which are near each other."""

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from jaxssl import checkpoints, data, draws
from jaxssl.data import tokenizers
from jaxssl.evaluation import knn, layers, preparation, splits
from jaxssl.report import examples, plots
from jaxssl.report.page import Picture, Table
from jaxssl.runs.opened import OpenedRun

NUM_EXAMPLES = 4
NUM_QUERIES = 6
NUM_NEIGHBOURS = 3
TOKENS = "tokens"
_VISIBLE = str.maketrans({" ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍"})  # of a token by itself
_BATCH = 500

Decode = Callable[[np.ndarray], str]


def are_texts(part: data.ArraySource) -> bool:
    """Whether the examples of a source are texts."""
    return TOKENS in part.columns


def draw_views(run: OpenedRun, part: data.ArraySource) -> Table:
    """What the method made of a few texts, and the network of that.

    Args:
        run: whose data have a ``decode``, from tokens to text.
        part: of the test split.
    """
    tokens = part.columns[TOKENS][examples.first_of_each_class(part)[:NUM_EXAMPLES]]
    batch = {TOKENS: tokens, "index": np.arange(len(tokens), dtype=np.int32)}
    keys = jax.random.split(jax.random.key(0), len(tokens))
    method = run.method
    views = jax.jit(lambda batch, keys: draws.make_views(method, batch, keys))(batch, keys)
    shown = [] if method.show is None else method.show(run.params, run.method_state, views)
    columns = [("test text", tokens), *((title, np.asarray(column)) for title, column in shown)]
    decode = run.recipe.data.decode
    rows = [
        tuple(written(column[row], decode) for _, column in columns) for row in range(len(keys))
    ]
    sentence = "Test texts, what the method makes of them, and what the network makes of that."
    return Table("The task", sentence, tuple(title for title, _ in columns), tuple(rows))


def draw_features(
    encoder: checkpoints.RestoredEncoder,
    train: data.ArraySource,
    test: data.ArraySource,
    out: Path,
    decode: Decode,
) -> list[Table | Picture]:
    """Nearest neighbours of a few test texts, and all test texts in two dimensions."""
    bank, queries = (
        preparation.encode(encoder, part, (layers.POOLED,), _BATCH).layers[layers.POOLED.name]
        for part in (train, test)
    )
    chosen = examples.first_of_each_class(test)[:NUM_QUERIES]
    count = min(NUM_NEIGHBOURS, len(train))
    _, near = knn.nearest(bank, np.arange(len(train)), queries[chosen], count=count)
    rows = [
        (_with_class(test, row, decode), *(_with_class(train, each, decode) for each in others))
        for row, others in zip(chosen.tolist(), near.tolist(), strict=True)
    ]
    labels = test.labels if splits.knows_classes(test) else None
    plots.draw_embedding(queries, labels, test.class_names, out / "embedding.svg")
    heads = ("test text", *(f"neighbour {number + 1}" for number in range(count)))
    return [
        Table(
            "Nearest neighbours",
            f"Test texts (left) and the nearest of {len(train):,} training texts by cosine "
            "similarity of the trained features; pretraining saw no label.",
            heads,
            tuple(rows),
        ),
        Picture(
            "Features",
            "First two principal components of the trained features of test texts; colours and "
            "markers are classes.",
            out / "embedding.svg",
        ),
    ]


def written(tokens: np.ndarray, decode: Decode) -> str:
    """Tokens [N] as the text they are; of [K, N] a line for each of K places.

    Tokens of a place stand by themselves, with signs for white space; places that only fill the
    shape, separators, are left out.
    """
    if tokens.ndim == 1:
        return decode(tokens)
    lines = [[decode(token[None]).translate(_VISIBLE) for token in place] for place in tokens]
    return "\n".join(" ".join(line) for line in lines if set(line) != {tokenizers.SEPARATOR_SIGN})


def _with_class(part: data.ArraySource, row: int, decode: Decode) -> str:
    """A text, under the name of its class where there is one."""
    text = decode(part.columns[TOKENS][row])
    names, labels = part.class_names, part.labels
    if names is None or labels is None or not splits.knows_classes(part):
        return text
    return f"[{names[labels[row]]}]\n{text}"
