"""Diagnostics without labels: spectra, views, and how alike stages and runs are."""

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import checkpoints, checks, collapse, data, inputs, jsonable, meta, named
from jaxssl.augment import policies
from jaxssl.evaluation import cka, features, layers, preparation, protocol, splits
from jaxssl.evaluation.lidar import lidar
from jaxssl.types import Array, PyTree

NAME = "diagnose"  # what the result file calls the evaluator
_VIEW, _ROW = "view", "row"  # columns beside the images, for the keys of their views


@dataclasses.dataclass(frozen=True)
class Options:
    """What is diagnosed.

    Attributes:
        step: checkpoint; the newest by default.
        beside: run directories whose best stage is compared with every stage of this run, on the
            same images; RUN@STEP is another step than the newest.
        split: whose images are encoded; by default what pretraining learned from.
        data_path: where the data set is, if not where pretraining found it.
        num_images: evenly spaced over the split.
        num_viewed: of them, those whose views are encoded too.
        num_views: of each of these.
        seed: of the views.
        batch_size: images encoded at a time.
    """

    step: int | None = None
    beside: tuple[str, ...] = ()
    split: str | None = None
    data_path: str | None = None
    num_images: int = 2048
    num_viewed: int = 512
    num_views: int = 10
    seed: int = 0
    batch_size: int = 500

    def __post_init__(self):
        checks.at_least(self, 8, "num_images")
        checks.at_least(self, 2, "num_viewed", "num_views")
        checks.at_least(self, 1, "batch_size")
        checks.at_least(self, 0, "seed")


class _Other(NamedTuple):
    """Another run that is compared.

    Attributes:
        word: what it was asked for by.
        encoder: of the step that was asked for.
        layer: the one that is compared.
        images: the same as those of the run that is diagnosed.
    """

    word: str
    encoder: checkpoints.RestoredEncoder
    layer: layers.Layer
    images: data.Source


def diagnose(run: str | os.PathLike, options: Options = Options()) -> dict:
    """Measures the pooled features and those of every stage; one file below ``RUN/evaluation``.

    Labels are not read. Views are SimCLR's of the encoder's size, whatever the method was trained
    on, so that runs can be compared.

    Args:
        run: run directory.
        options: what is diagnosed.

    Returns:
        The record that was written; "results" has under "layers", by name, ``num_features``,
        ``rank`` (``collapse.effective_rank``), ``decay`` (``collapse.spectral_decay``, where there
        are features enough), ``uniformity``, ``alignment`` of two views and ``lidar``; under "cka"
        the ``matrix`` of the debiased linear CKA of ``layers``; under "others" a list of ``run``,
        ``method``, ``step``, ``layer`` and ``cka``, with each of these layers.

    Raises:
        ValueError: an encoder that is fed something else than one square image, another run of
            other images, or no complete checkpoint (CheckpointError).
    """
    encoder = _restore(run, options.step)
    config = splits.config_of(encoder.meta, options.data_path)
    split = options.split or config.train_split
    source = config.open(split)
    images = data.evenly_spaced(source, options.num_images)
    others = [_open_other(each, source.fingerprint, options) for each in options.beside]
    wanted = layers.choose(preparation.output_shapes(encoder)).all
    plain = preparation.encode(encoder, images, wanted, options.batch_size).layers
    viewed = _encode_views(encoder, images, wanted, options)
    matrix = cka.cka_matrix(list(plain.values()))
    results = {
        "layers": {name: _measured(plain[name], viewed[name]) for name in plain},
        "cka": {"layers": list(plain), "matrix": matrix.tolist()},
        "beside": [_compared(each, plain, options) for each in others],
    }
    described = _described(encoder, source, split, options)
    described["num_images"] = len(images)
    described["num_viewed"] = min(len(images), options.num_viewed)
    subject = preparation.subject_of(encoder.meta, "trained")
    path = protocol.path(run, described, subject)
    return protocol.write(path, protocol=described, subject=subject, results=results)


def _restore(run: str | os.PathLike, step: int | None) -> checkpoints.RestoredEncoder:
    encoder = checkpoints.restore_encoder(run, step)
    if inputs.image_side(encoder.inputs) is None:
        fed = ", ".join(name for name, *_ in encoder.inputs)
        raise ValueError(
            f"diagnose: the encoder of {os.fspath(run)} must be fed one square image; got one that "
            f"is fed {fed}. Evaluate it: jaxssl evaluate RUN."
        )
    return encoder


def _encode_views(
    encoder: checkpoints.RestoredEncoder,
    images: data.Source,
    wanted: Sequence[layers.Layer],
    options: Options,
) -> dict[str, np.ndarray]:
    """Some layers of the views of some images, [n, q, D] each."""
    size, _ = inputs.square_side(encoder.inputs)
    augment = policies.simclr(size)
    read = preparation.reader(encoder, wanted)

    def read_view(variables: PyTree, image: Array, row: Array, view: Array) -> Mapping[str, Array]:
        def key(row: Array, view: Array) -> Array:
            return jax.random.fold_in(jax.random.fold_in(jax.random.key(options.seed), row), view)

        return read(variables, jax.vmap(augment)(jax.vmap(key)(row, view), image))

    some = data.evenly_spaced(images, options.num_viewed)
    extracted = features.extract(
        read_view,
        encoder.variables,
        _views_of(some, options),
        columns=("image", _ROW, _VIEW),
        num_examples=len(some) * options.num_views,
        batch_size=options.batch_size,
    ).layers
    shape = (options.num_views, len(some), -1)
    return {name: rows.reshape(shape).swapaxes(0, 1) for name, rows in extracted.items()}


def _views_of(images: data.Source, options: Options) -> Iterator[dict[str, np.ndarray]]:
    """All images once for every view, with the numbers that its keys are made of."""
    for view in range(options.num_views):
        first = 0
        for batch in data.batches(images, options.batch_size):
            rows = np.arange(first, first + len(batch["image"]), dtype=np.int32)
            first += len(rows)
            yield {"image": batch["image"], _ROW: rows, _VIEW: np.full_like(rows, view)}


def _measured(plain: np.ndarray, viewed: np.ndarray) -> dict[str, float]:
    rows, first, second = (jnp.asarray(each) for each in (plain, viewed[:, 0], viewed[:, 1]))
    found = {
        "num_features": plain.shape[1],
        "rank": float(collapse.effective_rank(rows)),
        "uniformity": float(collapse.uniformity(rows)),
        "alignment": float(collapse.alignment(first, second)),
        "lidar": lidar(viewed),
    }
    if collapse.has_spectrum(*plain.shape):
        found["decay"] = float(collapse.spectral_decay(rows))
    return found


def _open_other(word: str, fingerprint: str, options: Options) -> _Other:
    """Another run, if it is one of the same images."""
    run, step = _run_and_step(word)
    encoder = _restore(run, step)
    config = splits.config_of(encoder.meta, options.data_path)
    split = options.split or config.train_split
    source = config.open(split)
    if source.fingerprint != fingerprint:
        raise ValueError(
            f"diagnose: all runs must be measured on the same images; got {word}, whose {split} of "
            f"{source.name} holds others. Name a split that they share with --split, or leave the "
            "run out."
        )
    images = data.evenly_spaced(source, options.num_images)
    return _Other(word, encoder, _best_layer(run, encoder), images)


def _compared(other: _Other, plain: Mapping[str, np.ndarray], options: Options) -> dict:
    """One layer of another run beside every layer of this one."""
    encoder, layer = other.encoder, other.layer
    encoded = preparation.encode(encoder, other.images, [layer], options.batch_size)
    return {
        "run": other.word,
        "method": named.short(meta.method_name(encoder.meta)),
        "step": encoder.meta["step"],
        "layer": layer.name,
        "cka": [cka.linear_cka(each, encoded.layers[layer.name]) for each in plain.values()],
    }


def _run_and_step(word: str) -> tuple[str, int | None]:
    """RUN, or RUN@STEP."""
    run, at, step = word.rpartition("@")
    if at and step.isdecimal() and not Path(word).exists():
        return run, int(step)
    return word, None


def _best_layer(run: str, encoder: checkpoints.RestoredEncoder) -> layers.Layer:
    """The layer that held-out images chose in a linear evaluation; else the pooled features."""
    by_name = {each.name: each for each in layers.choose(preparation.output_shapes(encoder)).all}
    for record in protocol.read(run, encoder.meta["step"]):
        is_linear = record["protocol"]["evaluator"] == "linear"
        best = record["results"].get("best", {}).get("layer")
        if is_linear and record["subject"]["encoder"] == "trained" and best in by_name:
            return by_name[best]
    return layers.POOLED


def _described(
    encoder: checkpoints.RestoredEncoder, source: data.Source, split: str, options: Options
) -> dict:
    """The protocol; ``test_split`` is what is measured, as of every evaluator."""
    size, channels = inputs.square_side(encoder.inputs)
    return {
        "evaluator": NAME,
        "dataset": source.name,
        # An encoder that was imported knows of no split.
        "train_split": encoder.meta.get("dataset", {}).get("split", ""),
        "test_split": split,
        "test_fingerprint": source.fingerprint,
        "test_size": len(source),
        "image_size": size,
        "channels": channels,
        "views": jsonable.to_json(policies.simclr(size)),
        "layer": layers.POOLED.name,
        "num_views": options.num_views,
        "seed": options.seed,
    }
