"""Search among images by a text, and among texts by an image."""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl.evaluation import accuracy, towers
from jaxssl.evaluation.subject import Subject
from jaxssl.types import Array

NAME = "text-retrieval"  # what the result file calls the evaluator
AMONG = (1, 5, 10)
_BLOCK = 2**24  # similarities held at a time


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured.

    Attributes:
        step: checkpoint; the newest by default.
        data_path: where the data set is, if not where pretraining found it.
        test_split: what is searched; by default the test split of the run.
    """

    step: int | None = None
    data_path: str | None = None
    test_split: str | None = None


def measure(run: str | os.PathLike, options: Options = Options()) -> dict:
    """Searches the test split both ways; one file below ``RUN/evaluation``.

    Texts that are the same are one text. Of an image its own text is right; of a text every image
    that has it. The recall among k is the part of the queries that have something right among the k
    nearest by cosine similarity, of equals the wrong ones first. Chance is that of k drawn blindly.

    Args:
        run: run directory.
        options: what is measured.

    Returns:
        The record that was written; "results" has "num_images", "num_texts", and for
        "texts_by_image" and "images_by_text" ``{"among 1": {"recall", "half_width", "chance"}, …}``
        for each k of 1, 5, 10 below the number of what is searched.

    Raises:
        ValueError: an encoder without texts, or a split with training images.
    """
    subject = Subject(step=options.step, data_path=options.data_path, test_split=options.test_split)
    opened = towers.open_towers(run, subject, NAME)
    kept: list[np.ndarray] = []
    batches = _keeping(opened.test_batches(), kept)
    images, _ = opened.embed(batches, "image", len(opened.opened.test))
    tokens, text_of = np.unique(np.concatenate(kept), axis=0, return_inverse=True)
    text_of = text_of.reshape(-1).astype(np.int32)
    texts, own = opened.embed_texts(tokens), np.arange(len(tokens), dtype=np.int32)
    results = {
        "num_images": len(images),
        "num_texts": len(texts),
        "texts_by_image": recalls(images, text_of, texts, own),
        "images_by_text": recalls(texts, own, images, text_of),
    }
    return opened.write(run, NAME, {}, results)


def recalls(
    queries: np.ndarray, query_groups: np.ndarray, gallery: np.ndarray, groups: np.ndarray
) -> dict[str, dict[str, float]]:
    """Recall among the nearest k, for every k of ``AMONG`` below N.

    Args:
        queries: float32 [Q, D], unit rows.
        query_groups: int32 [Q].
        gallery: float32 [N, D], unit rows.
        groups: int32 [N]; what is of a query's group is right, and there is some for each.
    """
    ranks = rank_first(queries, query_groups, gallery, groups)
    num_right = np.bincount(groups)[query_groups]
    found = {}
    for among in AMONG:
        if among == 1 or among < len(gallery):
            recall = float(np.mean(ranks < among))
            found[f"among {among}"] = {
                "recall": recall,
                "half_width": accuracy.half_width(recall, len(ranks)),
                "chance": float(np.mean(chance(num_right, len(gallery), among))),
            }
    return found


def chance(num_right: np.ndarray, num_items: int, among: int) -> np.ndarray:
    """The probability that of ``among`` items drawn blindly one or more is right, float64 [Q]."""
    none = np.ones(len(num_right))
    for drawn in range(among):
        none *= np.maximum(num_items - num_right - drawn, 0) / (num_items - drawn)
    return 1 - none


def rank_first(
    queries: np.ndarray, query_groups: np.ndarray, gallery: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """How many wrong items are at least as near to each query as the nearest right one.

    Args:
        queries: as of ``recalls``, like the others.
        query_groups: of the queries.
        gallery: what is searched.
        groups: of the gallery.

    Returns:
        int32 [Q]; similarities are held a block of queries at a time.
    """
    bank, bank_groups = jnp.asarray(gallery), jnp.asarray(groups)
    size = min(len(queries), max(1, _BLOCK // len(gallery)))
    ranks = []
    for start in range(0, len(queries), size):
        block = queries[start : start + size]
        missing = size - len(block)
        padded = np.pad(block, [(0, missing), (0, 0)])
        own = np.pad(query_groups[start : start + size], (0, missing))
        ranks.append(np.asarray(_ranks(bank, bank_groups, padded, own))[: len(block)])
    return np.concatenate(ranks)


@jax.jit
def _ranks(bank: Array, bank_groups: Array, block: Array, own: Array) -> Array:
    # Full precision: a bfloat16 product would swap neighbours that float32 tells apart.
    similar = jnp.matmul(block, bank.T, precision=jax.lax.Precision.HIGHEST)
    is_right = own[:, None] == bank_groups[None]
    best = jnp.max(similar, axis=1, where=is_right, initial=-jnp.inf)
    return jnp.sum(~is_right & (similar >= best[:, None]), axis=1, dtype=jnp.int32)


def _keeping(
    batches: Iterable[Mapping[str, np.ndarray]], kept: list[np.ndarray]
) -> Iterator[Mapping[str, np.ndarray]]:
    """The batches, their tokens put into a list on the way."""
    for batch in batches:
        kept.append(batch["tokens"])
        yield batch
