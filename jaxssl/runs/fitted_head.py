"""The head that few labels begin with: the linear classifier that ``few-label`` fits to them."""

import functools
from typing import Any

import numpy as np

from jaxssl import checkpoints, data
from jaxssl.evaluation import few_label
from jaxssl.runs.recipe import Recipe
from jaxssl.types import Array, PyTree

_BATCH_SIZE = 256
_BELOW = 10.0  # nats that a class without examples stands below all others


def fit(recipe: Recipe, variables: PyTree, source: data.Source) -> tuple[np.ndarray, np.ndarray]:
    """Kernel [D, K] and bias [K], float32, of a linear classifier of some labelled images.

    It reads what the method's head reads, of whole images in evaluation mode; its penalty is chosen
    by cross-validation among them (``few_label.fit``). Fitted in float64 on every process alike.

    Args:
        recipe: with a method that reads labels and knows the names of its classes.
        variables: of its encoder.
        source: the labelled images.

    Source: Kumar et al., Fine-Tuning can Distort Pretrained Features and Underperform
        Out-of-Distribution, 2022, arXiv:2202.10054: first the head, then all of it.
    """
    read = functools.partial(_read, recipe.encoder.build(), recipe.method)
    batches = data.batches(source, _BATCH_SIZE)
    made = [
        (output["features"], batch["label"])
        for output, batch in checkpoints.forward(read, variables, batches, batch_size=_BATCH_SIZE)
    ]
    features, labels = map(np.concatenate, zip(*made, strict=True))
    classes, targets = np.unique(labels, return_inverse=True)
    fitted = few_label.fit(features, targets, few_label.FewLabelConfig())
    kernel = np.zeros((features.shape[1], len(recipe.method.class_names)), np.float32)
    bias = np.full(kernel.shape[1], fitted.bias.min() - _BELOW, np.float32)
    kernel[:, classes], bias[classes] = fitted.weights, fitted.bias
    return kernel, bias


def _read(encoder: Any, method: Any, variables: PyTree, images: Array) -> dict[str, Array]:
    features = encoder.apply(variables, images, train=False)
    return {"features": method.read_features(features)}
