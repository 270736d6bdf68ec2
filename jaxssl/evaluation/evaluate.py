"""From a run directory to a result file: restore, extract, probe, write. Reads no training code."""

import dataclasses
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import jax
import numpy as np

from jaxssl import checkpoints, data, jsonable
from jaxssl.evaluation import features, knn, linear, protocol

EncoderKind = Literal["trained", "random", "pixels", "pca"]


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is evaluated, and on what.

    Attributes:
        encoder: the trained encoder; the same network with random weights; raw pixels; or the
            principal components of the pixels, as many as the encoder has features.
        step: checkpoint; the newest by default.
        stage: probe the output of this stage or block instead of the pooled features; negative
            numbers count from the last.
        stages: measure every stage or block too, beside the pooled features.
        seed: of the random weights, and of the part of the training split held out by linear-eval.
        data_path: where the data set is, if not where pretraining found it.
        batch_size: images encoded at a time.
    """

    encoder: EncoderKind = "trained"
    step: int | None = None
    stage: int | None = None
    stages: bool = True
    seed: int = 0
    data_path: str | None = None
    batch_size: int = 500

    def __post_init__(self):
        if self.batch_size < 1:
            raise ValueError(f"batch_size: must be at least 1; got {self.batch_size}.")
        if self.stage is not None and self.encoder in ("pixels", "pca"):
            raise ValueError(
                f"stage: {self.encoder} has no stages; got {self.stage}. Leave --stage out."
            )


def linear_eval(
    run: str | os.PathLike,
    subject: Subject,
    options: linear.LinearConfig,
    prepared: "Prepared | None" = None,
) -> dict:
    """Linear evaluation of a run: ``RUN/evaluation/linear-ENCODER.json``.

    The results are those of the pooled features, or of ``subject.stage``. Beside the pooled ones
    stands ``"stages"``, a list with the same fields for every stage or block, unless
    ``subject.stages`` is off or the encoder has none (pixels, PCA).

    Args:
        run: run directory.
        subject: what is evaluated.
        options: hyper-parameters of the probe.
        prepared: what ``prepare(run, subject)`` gave, where it serves several evaluators.

    Returns:
        The record that was written; see ``protocol.write``.

    Raises:
        ValueError: a data set without labels, or of another content than was asked for.
    """
    prepared = prepared or prepare(run, subject)
    labels = prepared.train.labels, prepared.test.labels

    def probe(train: np.ndarray, test: np.ndarray) -> dict:
        fitted = linear.fit(train, labels[0], test, labels[1], config=options, seed=subject.seed)
        return fitted.to_json()

    return protocol.write(
        result_path(run, "linear", subject),
        protocol=prepared.protocol | {"evaluator": "linear"} | jsonable.to_json(options),
        subject=prepared.subject,
        results=_measured(prepared, subject, probe),
    )


def knn_eval(
    run: str | os.PathLike,
    subject: Subject,
    options: knn.KnnConfig,
    prepared: "Prepared | None" = None,
) -> dict:
    """kNN evaluation of a run: ``RUN/evaluation/knn-ENCODER.json``; see ``linear_eval``."""
    prepared = prepared or prepare(run, subject)
    labels = prepared.train.labels, prepared.test.labels

    def vote(train: np.ndarray, test: np.ndarray) -> dict:
        voted = knn.evaluate(
            train,
            labels[0],
            test,
            labels[1],
            num_neighbors=options.num_neighbors,
            temperature=options.temperature,
        )
        return {
            f"k={result.num_neighbors}": {
                "accuracy": result.accuracy,
                "half_width": result.half_width,
            }
            for result in voted
        }

    return protocol.write(
        result_path(run, "knn", subject),
        protocol=prepared.protocol | {"evaluator": "knn"} | jsonable.to_json(options),
        subject=prepared.subject,
        results=_measured(prepared, subject, vote),
    )


def _measured(
    prepared: "Prepared", subject: Subject, measure: Callable[[np.ndarray, np.ndarray], dict]
) -> dict:
    """Results of the subject's layer, and under "stages" those of every stage."""
    train, test = prepared.train, prepared.test
    results = measure(train.layer(subject.stage), test.layer(subject.stage))
    if subject.stage is not None or not subject.stages or not train.stages:
        return results
    stages = []
    for from_train, from_test in zip(train.stages, test.stages, strict=True):
        # The last stage of a ResNet is what it pools: the same features need no second fit.
        is_pooled = np.array_equal(from_train, train.pooled)
        stages.append(results if is_pooled else measure(from_train, from_test))
    return results | {"stages": stages}


def result_path(run: str | os.PathLike, evaluator: str, subject: Subject) -> Path:
    """Where the result of an evaluator on a subject is written."""
    stage = "" if subject.stage is None else f"-stage{subject.stage}"
    return Path(run) / "evaluation" / f"{evaluator}-{subject.encoder}{stage}.json"


@dataclasses.dataclass(frozen=True)
class Prepared:
    """Features of both splits, and what a result file says about them."""

    train: features.FeatureSet
    test: features.FeatureSet
    protocol: dict
    subject: dict


def prepare(run: str | os.PathLike, subject: Subject) -> Prepared:
    """Restores the encoder of a run and extracts the features of its training and test split."""
    encoder = checkpoints.restore_encoder(run, subject.step)
    sources = open_splits(encoder.meta, subject.data_path)
    for source in sources:
        if not source.labelled:
            raise ValueError(
                f"evaluation: the data set must be labelled; got {source.name} without labels. "
                f"Name a labelled one with --data-path."
            )

    if subject.encoder in ("pixels", "pca"):
        train, test = (
            features.pixels(data.batches(source, subject.batch_size)) for source in sources
        )
        if subject.encoder == "pca":
            train, test = features.pca(train, test, _num_features(encoder))
    else:
        if subject.encoder == "random":
            encoder = with_random_weights(encoder, subject.seed)
        train, test = (encode(encoder, source, subject.batch_size) for source in sources)
    return Prepared(
        train=train,
        test=test,
        protocol=protocol_of(
            sources,
            image_size=encoder.meta["image_size"],
            channels=encoder.meta["channels"],
            subject=subject,
        ),
        subject={
            "encoder": subject.encoder,
            "method": encoder.meta["config"]["method"],
            "architecture": encoder.meta["encoder"],
            "step": encoder.meta["step"],
            "pretraining_seed": encoder.meta["config"]["training"]["seed"],
            "num_features": train.layer(subject.stage).shape[1],
            "versions": {"jax": jax.__version__, "numpy": np.__version__}
            | {"jaxssl": encoder.meta["versions"]["jaxssl"]},
        },
    )


def protocol_of(
    sources: tuple[data.Source, data.Source], *, image_size: int, channels: int, subject: Subject
) -> dict:
    """What both evaluators write down of the data and of how features are made of it.

    Args:
        sources: training and test split.
        image_size: side of the images, pixels.
        channels: C of the images.
        subject: what is evaluated.
    """
    train, test = sources
    return {
        "dataset": train.name,
        "train_fingerprint": train.fingerprint,
        "test_fingerprint": test.fingerprint,
        "train_size": len(train),
        "test_size": len(test),
        "image_size": image_size,
        "channels": channels,
        "preprocessing": "short side resized, centre crop, uint8 / 255; no augmentation",
        "batch_norm": "running statistics of pretraining",
        "layer": "pooled" if subject.stage is None else f"stage {subject.stage}",
        "seed": subject.seed,
    }


def encode(
    encoder: checkpoints.RestoredEncoder, source: data.Source, batch_size: int
) -> features.FeatureSet:
    """Features of a source, batch norm in eval mode; see ``features.extract``."""
    apply = functools.partial(encoder.module.apply, train=False)
    batches = data.batches(source, batch_size)
    return features.extract(apply, encoder.variables, batches, batch_size=batch_size)


def open_splits(meta: dict, data_path: str | None) -> tuple[data.Source, data.Source]:
    """Training and test split of a run's data set, at the image size of its encoder.

    Videos are read as single frames, whatever clips pretraining saw.

    Args:
        meta: what the checkpoint recorded (``RestoredEncoder.meta``).
        data_path: where the data set is, if not where pretraining found it.
    """
    config = jsonable.from_json(data.DataConfig, meta["config"]["data"])
    config = dataclasses.replace(
        config, image_size=meta["image_size"], path=data_path or config.path, num_frames=1
    )
    train, test = (
        data.open_source(config, split) for split in (config.train_split, config.test_split)
    )
    return train, test


def with_random_weights(
    encoder: checkpoints.RestoredEncoder, seed: int
) -> checkpoints.RestoredEncoder:
    """The same network with the weights it would have had before pretraining began."""
    size, channels = encoder.meta["image_size"], encoder.meta["channels"]
    images = np.zeros((1, size, size, channels), np.uint8)
    init = jax.jit(lambda key: encoder.module.init(key, images, train=False))
    return dataclasses.replace(encoder, variables=init(jax.random.key(seed)))


def _num_features(encoder: checkpoints.RestoredEncoder) -> int:
    size, channels = encoder.meta["image_size"], encoder.meta["channels"]
    images = jax.ShapeDtypeStruct((1, size, size, channels), "uint8")
    return jax.eval_shape(encoder, images).pooled.shape[1]
