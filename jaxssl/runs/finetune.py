"""The recipe that teaches the encoder of a run the classes of its data set."""

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Literal

import numpy as np

from jaxssl import checkpoints, inputs, models, named
from jaxssl import meta as meta_lib
from jaxssl.augment import policies
from jaxssl.evaluation import classes, kept_probe, preparation, splits
from jaxssl.evaluation.subject import Subject
from jaxssl.methods.supervised import Supervised
from jaxssl.runs import host_crops, labelled, record
from jaxssl.runs.recipe import Labels, Recipe, Start
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig
from jaxssl.types import MethodConfig

Weights = Literal["trained", "random"]
Head = Literal["new", "probe"]
BATCH_SIZE = 128
EPOCHS, FEW_EPOCHS = 20, 60  # of all labels, and of few, as SimCLR has it for 1 % of ImageNet
# Chosen on held-out training images of Fashion-MNIST, by 1, 10 and 100 % (docs/results.md): a
# new head on convolutions wants more than published rates, and what has a good head wants less.
RATE, NEW_HEAD_RATE = 2e-3, 8e-3
LAYER_DECAY = 0.75  # of transformers that were pretrained, as MAE has it for ViT-L


def recipe_of(run: Path, step: int | None = None, data_path: str | None = None) -> Recipe:
    """A recipe of ``Supervised`` on the data of a run, which begins with its encoder.

    Images are resized to what the encoder was fed; crops and flips are those of the run's own
    views, and nothing else is done to them. Every field may be replaced.

    Args:
        run: run directory.
        step: which of its checkpoints; the newest if left out.
        data_path: where the data set is, if not where pretraining found it; an encoder that was
            imported has none of its own.

    Raises:
        ValueError: an encoder that is fed something else than one square image; no complete
            checkpoint (CheckpointError).
    """
    meta = checkpoints.read_meta(run, step)
    side = inputs.image_side(inputs.of_meta(meta))
    if side is None:
        raise ValueError(
            f"finetune: the encoder of {run} must be fed one square image; got one that is fed "
            f"{', '.join(name for name, *_ in inputs.of_meta(meta))}."
        )
    encoder = named.from_json(meta["encoder"], room="jaxssl.models", does="build")
    is_transformer = isinstance(encoder, models.ViTConfig)
    is_imported = meta_lib.is_imported(meta)
    method = None
    if not is_imported:
        method = record.method_from_json(meta["config"]["method"])
    return Recipe(
        method=Supervised(augment=_view(method, side[0])),
        encoder=encoder,
        data=host_crops.leave_open(splits.config_of(meta, data_path)),
        optimizer=OptimizerConfig(
            base_learning_rate=RATE if is_transformer or is_imported else NEW_HEAD_RATE,
            layer_decay=LAYER_DECAY if is_transformer else 1.0,
        ),
        training=TrainingConfig(batch_size=BATCH_SIZE, epochs=EPOCHS),
        run=RunConfig(),
        start=Start(str(run), step),
    )


def settle(
    recipe: Recipe,
    weights: Weights,
    head: Head | None,
    labels: Labels | None,
    typed: Collection[str],
) -> Recipe:
    """The recipe as it is run: its weights and its labels, and what follows from them.

    What follows, unless it is typed: random weights learn at one rate in all layers; a network
    whose head begins with a probe learns more slowly; few labels are gone through more often, in
    batches of a power of two that they fill; where the training split holds the test images,
    "train" takes its place.

    Args:
        recipe: of ``recipe_of``, maybe with other fields.
        weights: what the encoder begins with.
        head: what the head begins with: random weights, or a linear probe: the kept one of the
            pooled features that was fitted to the same training split, of few labels the one that
            is fitted to them when the run begins. None: the last, of a trained encoder with few
            labels; else a new one.
        labels: the few that are kept; None: all.
        typed: names of the options that were typed, such as "training.epochs".

    Raises:
        ValueError: splits without labels, with images in common or with no class in common; a
            kept probe that is not there, or of pooled features where the head reads a grid.
    """
    given = recipe.data.train_split if "data.train-split" in typed else None
    opened = splits.choose(recipe.data, train_split=given)
    splits.check(opened)
    train, test = (getattr(each, "labels", None) for each in (opened.train, opened.test))
    if train is not None and test is not None:
        classes.compare(train, test, opened.train.class_names)
    data = dataclasses.replace(recipe.data, train_split=opened.train_name)
    recipe = dataclasses.replace(recipe, data=data, labels=labels)
    optimizer, training = {}, {}
    if weights == "random":
        recipe = dataclasses.replace(recipe, start=None)
        optimizer["layer_decay"] = 1.0
    start = recipe.start
    if start is not None:
        if head == "probe" or (head is None and labels is not None and not start.probe):
            start = _with_probe(recipe, labels, opened)
            recipe = dataclasses.replace(recipe, start=start)
        if start.probe or start.fit_head:
            optimizer["base_learning_rate"] = RATE
    if labels is not None:
        training["epochs"] = float(FEW_EPOCHS)
    num_examples = len(labelled.keep(recipe, opened.train))
    training["batch_size"] = int(2 ** np.floor(np.log2(min(num_examples, BATCH_SIZE))))
    parts = (("optimizer", optimizer), ("training", training))
    for name, fields in parts:
        free = {
            field: value
            for field, value in fields.items()
            if f"{name}.{field.replace('_', '-')}" not in typed
        }
        part = dataclasses.replace(getattr(recipe, name), **free)
        recipe = dataclasses.replace(recipe, **{name: part})
    return recipe


def _with_probe(recipe: Recipe, labels: Labels | None, opened: splits.Splits) -> Start:
    """The start with a head: a fit to few labels, or the kept probe of the same images."""
    start = recipe.start
    assert start is not None  # the run that is fine-tuned
    if labels is not None:
        return dataclasses.replace(start, fit_head=True)
    grid = recipe.method.grid
    if grid != 1:
        raise ValueError(
            "finetune: --head probe must go with --method.grid 1, since the probe is of the pooled "
            f"features; got {grid}. Leave one of the two out."
        )
    meta = checkpoints.read_meta(start.run, start.step)
    described = preparation.protocol_of(opened, inputs.of_meta(meta), subject=Subject())
    subject = preparation.subject_of(meta, "trained")
    options = "" if start.step is None else f" --step {start.step}"
    path = getattr(recipe.data, "path", None)
    if path != getattr(splits.config_of(meta), "path", None):
        options += f" --data-path {path}"
    fix = f"Fit it: jaxssl linear-eval {start.run}{options}."
    place = kept_probe.find(start.run, described, subject, caller="finetune --head probe", fix=fix)
    return dataclasses.replace(start, probe=str(place.absolute()))


def _view(method: MethodConfig | None, size: int) -> policies.View:
    """Crop and flip of a method's first view, without its colours; plain ones without a method."""
    plain = policies.View(size, jitter_prob=0.0, grayscale_prob=0.0, blur_prob=0.0)
    augment = getattr(method, "augment", None)
    augment = getattr(augment, "pair", augment)
    augment = getattr(augment, "first", augment)
    if not isinstance(augment, policies.CropFlip):
        return plain
    names = "crop_scale", "crop_ratio", "flip_prob", "interpolation"
    return dataclasses.replace(plain, **{name: getattr(augment, name) for name in names})
