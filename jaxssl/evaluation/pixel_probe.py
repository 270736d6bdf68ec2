"""A linear classifier of the cells of a map, fitted to pixels, that names every pixel.

It is the linear probe's, solved to its optimum on pixels drawn from the training images, whose
features are interpolated between the cells. Of a test image the logits of the cells are
interpolated to all pixels, which is the same.

Source: the protocol of a linear layer on frozen patch tokens: Oquab et al., DINOv2, 2023,
    arXiv:2304.07193, sec. 7.4, there trained by SGD.
"""

import dataclasses
from collections.abc import Iterator
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import checkpoints, checks, data
from jaxssl.data import masked
from jaxssl.evaluation import dense, drawn_pixels, linear, random_encoder
from jaxssl.types import Array, PyTree

Encoder = Literal["trained", "random", "pixels"]


@dataclasses.dataclass(frozen=True)
class PixelProbeConfig:
    """The protocol of linear segmentation.

    Attributes:
        stage: the map of this stage or block, from 0; the tokens if left out.
        image_size: side that images and masks are brought to, pixels; of the canvases their own,
            of folders the encoder's if left out.
        num_pixels: pixels drawn from every training image.
        seed: of these pixels, of the held-out images, and of the interval.
        l2_grid: penalties tried, > 0, in nats per squared weight of standardised features.
        holdout: part of the training images that chooses the penalty, in (0, 1).
        tolerance: Euclidean norm of the gradient at which a fit counts as converged.
        max_iterations: quasi-Newton steps of one fit at most.
        extend: grow the grid by decades, between 1e-5 and 10, where its edge is best.
        num_shown: test images whose masks are written.
        batch_size: images encoded at a time.
    """

    stage: int | None = None
    image_size: int | None = None
    num_pixels: int = 32
    seed: int = 0
    l2_grid: tuple[float, ...] = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
    holdout: float = 0.1
    tolerance: float = 1e-4
    max_iterations: int = 1000
    extend: bool = True
    num_shown: int = 8
    batch_size: int = 100

    def __post_init__(self):
        checks.at_least(self, 1, "image_size", "num_pixels", "batch_size")
        checks.at_least(self, 0, "stage", "num_shown", "seed")
        self.probe()  # refuses what it refuses

    def probe(self) -> linear.LinearConfig:
        """The protocol of the classifier."""
        names = ("l2_grid", "holdout", "tolerance", "max_iterations", "extend")
        return linear.LinearConfig(**{name: getattr(self, name) for name in names})


class Maps(NamedTuple):
    """What makes the maps of images, and what a result says of it."""

    read: dense.Read
    variables: PyTree
    told: dict


class Fitted(NamedTuple):
    """The classifier of a map's cells: float32 [D, K] and [K] on features as they are.

    Attributes:
        kernel: weights.
        bias: one for each class.
        classes: uint8 [K], what masks call them.
        majority: the most frequent one of the pixels that were drawn.
        num_pixels: how many these were.
        solved: how it was found.
    """

    kernel: np.ndarray
    bias: np.ndarray
    classes: np.ndarray
    majority: int
    num_pixels: int
    solved: linear.Solved


def make_maps(
    encoder: checkpoints.RestoredEncoder,
    subject: Encoder,
    train: masked.MaskedImages,
    config: PixelProbeConfig,
    weights_seed: int,
) -> Maps:
    """What makes the maps of a subject.

    Args:
        encoder: of the run.
        subject: the encoder itself; the same network with random weights; or the pixels of the
            square that a cell of its map stands for.
        train: the training split, whose images a random network's batch statistics are of.
        config: the protocol.
        weights_seed: of random weights.

    Raises:
        ValueError: a map that is not there, or whose cells do not divide the image, for pixels.
    """
    told = {}
    if subject == "random":
        source = data.from_arrays(train.images, name=train.name)
        shuffled = random_encoder.shuffled_batches(source, config.batch_size, weights_seed)
        encoder = random_encoder.draw(encoder, weights_seed, shuffled)
        told = {"weights_seed": weights_seed, "weights": random_encoder.RULE}
    read = dense.of_encoder(encoder, config.stage)
    example = jax.ShapeDtypeStruct((1, *train.images.shape[1:]), np.uint8)
    grid = jax.eval_shape(read, encoder.variables, example).shape[1:3]
    if subject == "pixels":
        read = dense.of_pixels(grid[0])
    return Maps(read, encoder.variables, told | {"grid": list(grid)})


def fit(maps: Maps, train: masked.MaskedImages, config: PixelProbeConfig) -> Fitted:
    """Fits the classifier to drawn pixels of the training images.

    Raises:
        ValueError: fewer than two classes, or as ``drawn_pixels.hold_out``.
    """
    features, labels, image = _drawn(maps, train, config)
    classes, targets = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            "segment: masks of the training images must hold at least two classes; got only "
            f"{classes.tolist()}. Pixels that do not count are {masked.IGNORED}."
        )
    held_out = drawn_pixels.hold_out(image, targets, config.holdout, config.seed)
    solved = linear.solve(
        features, targets, held_out, num_classes=len(classes), config=config.probe()
    )
    kernel, bias = linear.folded(solved.mean, solved.scale, *solved.solution[:2])
    return Fitted(
        kernel.astype(np.float32),
        bias.astype(np.float32),
        classes.astype(np.uint8),
        int(classes[np.bincount(targets).argmax()]),
        len(features),
        solved,
    )


def predict(
    maps: Maps, fitted: Fitted, test: masked.MaskedImages, config: PixelProbeConfig
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Images, true and predicted masks uint8 [B, S, S] of a split, in batches."""
    size = test.images.shape[1]

    def name(given: PyTree, images: Array) -> dict[str, Array]:
        variables, (kernel, bias, classes) = given
        logits = jnp.matmul(maps.read(variables, images), kernel, precision="highest") + bias
        return {"classes": classes[dense.upsample(logits, size).argmax(axis=-1)]}

    given = maps.variables, (fitted.kernel, fitted.bias[None, None, None], fitted.classes)
    batches = (
        {"image": test.images[part], "mask": test.masks[part]}
        for part in _parts(len(test), config.batch_size)
    )
    for output, batch in checkpoints.forward(name, given, batches, batch_size=config.batch_size):
        yield batch["image"], batch["mask"], output["classes"]


def _drawn(
    maps: Maps, train: masked.MaskedImages, config: PixelProbeConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features float32 [N, D] of the drawn pixels, their classes [N] and their images [N]."""
    places = drawn_pixels.draw(train.masks, config.num_pixels, config.seed)
    size = train.images.shape[1]

    def at(variables: PyTree, images: Array, places: Array) -> dict[str, Array]:
        return {"features": dense.at_pixels(maps.read(variables, images), places, size)}

    batches = (
        {"image": train.images[part], "places": np.maximum(places[part], 0)}
        for part in _parts(len(train), config.batch_size)
    )
    columns = "image", "places"
    made = checkpoints.forward(
        at, maps.variables, batches, columns=columns, batch_size=config.batch_size
    )
    features = np.concatenate([output["features"] for output, _ in made])
    image, column = np.nonzero(places >= 0)
    labels = train.masks.reshape(len(train), -1)[image, places[image, column]]
    return features[image, column], labels.astype(np.int64), image


def _parts(count: int, size: int) -> Iterator[slice]:
    return (slice(first, first + size) for first in range(0, count, size))
