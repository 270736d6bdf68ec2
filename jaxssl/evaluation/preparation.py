"""From a run directory to labelled features: restore, choose layers, extract. No training code."""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import jax
import numpy as np

from jaxssl import checkpoints, data, inputs
from jaxssl import meta as meta_lib
from jaxssl.evaluation import classes, counts, features, layers, pixels, random_encoder, splits
from jaxssl.evaluation.subject import Subject
from jaxssl.types import Array, Features, PyTree


@dataclasses.dataclass(frozen=True)
class Reading:
    """How features are made, so that those of other examples are made by the same program.

    Attributes:
        layers: all that are read at once; the first is the main one.
        batch_size: examples encoded at a time.
        weights: sha256 of the encoder's (``checkpoints.fingerprint``).
    """

    layers: tuple[layers.Layer, ...]
    batch_size: int
    weights: str


@dataclasses.dataclass(frozen=True)
class Prepared:
    """Features of both splits, and what a result file says about them.

    Attributes:
        train: of the split that probes are fitted to; arrays by the name of their layer.
        test: of the split that is predicted, the same layers.
        main: name of the layer that the result is about.
        stages: names of the layers that stand beside it, in order; may hold ``main``.
        protocol: what must agree for two results to be comparable.
        subject: what was measured.
        class_names: of all classes; None where labels are numbers alone.
        reading: how the features were made; None of all but the trained encoder.
    """

    train: features.FeatureSet
    test: features.FeatureSet
    main: str
    stages: tuple[str, ...]
    protocol: dict
    subject: dict
    class_names: tuple[str, ...] | None = None
    reading: Reading | None = None

    @property
    def labels(self) -> tuple[np.ndarray, np.ndarray]:
        """Of both splits, int32 [N] each; that they are there was checked before any was read."""
        train, test = self.train.labels, self.test.labels
        assert train is not None and test is not None
        return train, test

    def source_of(self, layer: str) -> str:
        """The main layer where this one holds the same features, else itself.

        The last stage of a ResNet is what it pools: the same features need no second fit, and are
        no second choice.
        """
        features = self.train.layers
        return self.main if np.array_equal(features[layer], features[self.main]) else layer

    def described(self, layer: str) -> str:
        """A layer by name and size, such as "stage 2 as a 4 x 4 grid, 512 features"."""
        return f"{layer}, {self.train.layers[layer].shape[1]:,} features"


def prepare(
    run: str | os.PathLike, subject: Subject, wanted: Sequence[layers.Layer] | None = None
) -> Prepared:
    """Restores the encoder of a run and extracts the features of its training and test split.

    Args:
        run: run directory.
        subject: what is evaluated.
        wanted: layers to extract instead of those that ``subject`` chooses, the main one first; of
            networks only.

    Raises:
        ValueError: splits without labels or with images in common (``splits.check``), or without a
            class in common; a layer that the encoder does not have, or no complete checkpoint
            (CheckpointError).
    """
    encoder = checkpoints.restore_encoder(run, subject.step)
    subject.check_fits(encoder.inputs[0].name)
    shapes = output_shapes(encoder)
    if wanted is not None:
        choice = layers.Choice(wanted[0], tuple(wanted[1:]))
    elif subject.is_network:
        choice = subject.choose(shapes)
    else:
        choice = layers.Choice(layers.POOLED)
    opened = splits.open_splits(
        encoder.meta,
        subject.data_path,
        train_split=subject.train_split,
        test_split=subject.test_split,
    )
    splits.check(opened)
    sources = opened.train, opened.test
    made = {}  # what differs from the trained encoder of the same protocol
    if subject.is_network:
        if subject.encoder == "random":
            shuffled = random_encoder.shuffled_batches(
                opened.train, subject.batch_size, subject.weights_seed
            )
            encoder = random_encoder.draw(encoder, subject.weights_seed, shuffled)
            made = {"weights_seed": subject.weights_seed, "weights": random_encoder.RULE}
        train, test = (encode(encoder, each, choice.all, subject.batch_size) for each in sources)
    elif subject.encoder == "counts":
        in_memory = [cast(data.ArraySource, each) for each in sources]  # as all texts are
        vocabulary = 1 + max(int(each.columns["tokens"].max()) for each in in_memory)
        train, test = (
            counts.counts(
                data.batches(each, subject.batch_size),
                num_examples=len(each),
                vocabulary=vocabulary,
            )
            for each in sources
        )
    else:
        train, test = (
            pixels.pixels(data.batches(each, subject.batch_size), num_examples=len(each))
            for each in sources
        )
        if subject.encoder == "pca":
            train, test = pixels.pca(train, test, shapes.pooled.shape[1])
    assert train.labels is not None and test.labels is not None  # see splits.check
    classes.compare(train.labels, test.labels, opened.train.class_names)
    reading = None
    if subject.encoder == "trained":
        weights = checkpoints.fingerprint(run, encoder.meta["step"])
        reading = Reading(choice.all, subject.batch_size, weights)
    return Prepared(
        train=train,
        test=test,
        main=choice.main.name,
        stages=tuple(layer.name for layer in choice.stages),
        protocol=protocol_of(opened, encoder.inputs, subject=subject, layer=choice.main.name),
        subject=subject_of(encoder.meta, subject.encoder)
        | {"num_features": train.layers[choice.main.name].shape[1]}
        | made,
        class_names=opened.train.class_names,
        reading=reading,
    )


def subject_of(meta: Mapping, encoder: str) -> dict:
    """What a result says of what was measured: the encoder of a run, or what stands for it."""
    if meta_lib.is_imported(meta):
        made_by = {"origin": meta["origin"]}
    else:
        made_by = {
            "method": meta["config"]["method"],
            "pretraining_seed": meta["config"]["training"]["seed"],
            "pretraining_dataset": meta["dataset"]["name"],
            "pretraining_split": meta["dataset"]["split"],
        }
    return {
        "encoder": encoder,
        **made_by,
        "architecture": meta["encoder"],
        "step": meta["step"],
        "versions": {"jax": jax.__version__, "numpy": np.__version__}
        | {"jaxssl": meta["versions"]["jaxssl"]},
    }


def protocol_of(
    opened: splits.Splits,
    fed: inputs.Inputs,
    *,
    subject: Subject,
    layer: str = layers.POOLED.name,
) -> dict:
    """What all evaluators write down of the data and of how features are made of it.

    Args:
        opened: training and test split.
        fed: what the encoder is fed.
        subject: what is evaluated.
        layer: name of the layer that the result is about.
    """
    train, test = opened.train, opened.test
    described = {
        "dataset": train.name,
        "train_split": opened.train_name,
        "test_split": opened.test_name,
        "train_fingerprint": train.fingerprint,
        "test_fingerprint": test.fingerprint,
        "train_size": len(train),
        "test_size": len(test),
        **_preprocessing(fed),
        "batch_norm": "running statistics",
        "layer": layer,
        "seed": subject.seed,
    }
    for name, source in (("train", train), ("test", test)):
        if unreadable := data.account_of(source).unreadable:
            described[f"{name}_unreadable"] = len(unreadable)  # others of the split stood in
    image = inputs.image_side(fed)
    if not subject.is_network and image is not None:
        size, channels = image
        side = pixels.averaging(size, size, channels, pixels.MAX_VALUES)
        if side > 1:
            described["averaged_over"] = f"{side} x {side} pixels"
    return described


def _preprocessing(fed: inputs.Inputs) -> dict:
    """How an example becomes what an encoder is fed."""
    if image := inputs.image_side(fed):
        how = "short side resized, centre crop, uint8 / 255; no augmentation"
        return {"image_size": image[0], "channels": image[1], "preprocessing": how}
    return {"inputs": inputs.to_json(fed), "preprocessing": "none"}


def encode(
    encoder: checkpoints.RestoredEncoder,
    source: data.Source,
    wanted: Sequence[layers.Layer],
    batch_size: int,
) -> features.FeatureSet:
    """Some layers of a source, by name, batch norm in eval mode; see ``features.extract``."""
    return features.extract(
        reader(encoder, wanted),
        encoder.variables,
        data.batches(source, batch_size),
        columns=[each.name for each in encoder.inputs],
        num_examples=len(source),
        batch_size=batch_size,
    )


def reader(
    encoder: checkpoints.RestoredEncoder, wanted: Sequence[layers.Layer]
) -> Callable[..., Mapping[str, Array]]:
    """(variables, what the encoder is fed) to some layers, by name; for ``features.extract``."""
    apply = functools.partial(encoder.module.apply, train=False)

    def read(variables: PyTree, *arrays: Array) -> Mapping[str, Array]:
        output = apply(variables, *arrays)
        return {layer.name: layer.read(output) for layer in wanted}

    return read


def output_shapes(encoder: checkpoints.RestoredEncoder) -> Features:
    """The shapes of what an encoder returns of one example."""
    return jax.eval_shape(encoder, *inputs.shapes(encoder.inputs).values())
