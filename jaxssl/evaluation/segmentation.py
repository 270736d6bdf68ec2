"""Linear segmentation of a run: its frozen maps name every pixel of images that have masks."""

import dataclasses
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxssl import checkpoints, files, inputs, jsonable
from jaxssl.data import canvases, masked, masks
from jaxssl.evaluation import dense, overlap, pixel_probe, preparation, protocol


class Splits(NamedTuple):
    """What is fitted to, and what is predicted."""

    train: masked.MaskedImages
    test: masked.MaskedImages


def open_splits(
    encoder: checkpoints.RestoredEncoder,
    path: str,
    names: tuple[str, str],
    image_size: int | None,
) -> Splits:
    """Training and test split in the channels of an encoder.

    Args:
        encoder: of the run.
        path: see ``masked.open_masked``.
        names: of both splits.
        image_size: see ``pixel_probe.PixelProbeConfig``.

    Raises:
        ValueError: an encoder that is fed something else than one square image; the same split
            twice; a test split without a class; as ``masked.open_masked``.
    """
    side = inputs.image_side(encoder.inputs)
    if side is None:
        fed = ", ".join(f"{name} {list(shape)}" for name, shape, _ in encoder.inputs)
        raise ValueError(f"segment: the encoder must be fed one square image; got {fed}.")
    if image_size is None and path != canvases.NAME:
        image_size = side[0]
    opened = [
        masked.open_masked(path, name, image_size=image_size, channels=side[1]) for name in names
    ]
    known = {image.tobytes() for image in opened[0].images}
    shared = sum(image.tobytes() in known for image in opened[1].images)
    if shared > 0.01 * len(opened[1]):
        raise ValueError(
            f"segment: the splits must share no image; got {shared} of {len(opened[1])} of "
            f'"{names[1]}" in "{names[0]}". Name others with --train-split and --test-split.'
        )
    if np.all(opened[1].masks == masked.IGNORED):
        raise ValueError(
            f"segment: masks of the test images must hold classes; got {masked.IGNORED} alone, "
            "which marks pixels that do not count."
        )
    return Splits(*opened)


def evaluate(
    run: str | os.PathLike,
    subject: pixel_probe.Encoder,
    config: pixel_probe.PixelProbeConfig,
    *,
    path: str = canvases.NAME,
    names: tuple[str, str] = ("train", "test"),
    step: int | None = None,
    weights_seed: int = 0,
) -> dict:
    """Linear segmentation of one encoder; one file below ``RUN/evaluation``, and masks beside it.

    Beside the file, in a folder of its name, lie NUMBER-image.png, NUMBER-truth.png and
    NUMBER-predicted.png of the first test images.

    Args:
        run: run directory.
        subject: the trained encoder; the same network with random weights; or raw pixels, those of
            the square that a cell of the encoder's map stands for.
        config: the protocol.
        path: the data set; see ``masked.open_masked``.
        names: of the split that is fitted to, and of the one that is predicted.
        step: checkpoint; the newest by default.
        weights_seed: of the random encoder's weights.

    Returns:
        The record that was written; its results have "mean_iou", the "half_width" of its 95 %
        interval over the draw of test images, "class_iou" by name (None of a class that neither
        masks nor predictions have), "pixel_accuracy" and "majority_accuracy", that of naming the
        most frequent class of training everywhere.

    Raises:
        ValueError: as ``open_splits``; a map that is not there; fewer than two classes.
    """
    encoder = checkpoints.restore_encoder(run, step)
    train, test = open_splits(encoder, path, names, config.image_size)
    maps = pixel_probe.make_maps(encoder, subject, train, config, weights_seed)
    fitted = pixel_probe.fit(maps, train, config)
    described = _described(train, test, names, config)
    told = preparation.subject_of(encoder.meta, subject) | maps.told
    told["num_features"] = len(fitted.kernel)
    file = protocol.path(run, described, told)
    shown = _Shown(file.with_suffix(""), config.num_shown)
    tally = overlap.Tally(1 + max(_highest(train), _highest(test)), config.seed)
    for images, truth, predicted in pixel_probe.predict(maps, fitted, test, config):
        tally.add(truth, predicted)
        shown.write(images, truth, predicted)
    solved, total = fitted.solved, tally.total
    results = {
        "layer": described["layer"],
        **_to_json(overlap.measure(total), train.class_names),
        "half_width": tally.half_width(),
        "majority_accuracy": float(total[fitted.majority].sum() / total.sum()),
        "num_pixels": fitted.num_pixels,
        "l2": solved.candidates[solved.best].l2,
        "at_edge": solved.at_edge,
        "certificate": solved.solution.certificate._asdict(),
        "converged": solved.converged,
    }
    return protocol.write(file, protocol=described, subject=told, results=results)


def _described(
    train: masked.MaskedImages,
    test: masked.MaskedImages,
    names: tuple[str, str],
    config: pixel_probe.PixelProbeConfig,
) -> dict:
    """What must agree for two results to be comparable."""
    fixed = jsonable.to_json(config)
    for name in ("stage", "num_shown", "batch_size"):
        del fixed[name]
    return fixed | {
        "evaluator": "segmentation",
        "dataset": train.name,
        "train_split": names[0],
        "test_split": names[1],
        "train_fingerprint": train.fingerprint,
        "test_fingerprint": test.fingerprint,
        "train_size": len(train),
        "test_size": len(test),
        "image_size": train.images.shape[1],
        "channels": train.images.shape[3],
        "preprocessing": "short side resized, centre crop, uint8 / 255; no augmentation",
        "batch_norm": "running statistics",
        "upsampling": "bilinear",
        "layer": dense.name_of(config.stage),
    }


def _to_json(found: overlap.Overlap, names: tuple[str, ...] | None) -> dict:
    values = [None if np.isnan(value) else float(value) for value in found.class_iou]
    called = [str(number) if names is None else names[number] for number in range(len(values))]
    return found._asdict() | {"class_iou": dict(zip(called, values))}


def _highest(split: masked.MaskedImages) -> int:
    """The highest class of a split; of named ones the last name."""
    if split.class_names is not None:
        return len(split.class_names) - 1
    return int(split.masks[split.masks != masked.IGNORED].max(initial=0))


@dataclasses.dataclass
class _Shown:
    """Writes the first test images with both of their masks.

    Attributes:
        folder: where.
        wanted: how many.
        done: how many are there.
    """

    folder: Path
    wanted: int
    done: int = 0

    def write(self, images: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> None:
        """Takes the next batch."""
        from PIL import Image

        for image, true, made in zip(images, truth, predicted):
            if self.done == self.wanted:
                return
            files.make_directory(self.folder)
            start = f"{self.done:04d}"
            Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(
                self.folder / f"{start}-image.png"
            )
            masks.write(self.folder / f"{start}-truth.png", true)
            masks.write(self.folder / f"{start}-predicted.png", made)
            self.done += 1
