"""Propagation through a video: what the first frame has, carried on by a frozen encoder.

Every cell of a frame takes over what similar cells of the frames before it have, as in training by
colorization, but from the encoder's tokens: a method's own projection is no part of an encoder. The
encoder sees the lightness of the frames only, whatever it was trained on, so that colours are
carried by form and place and not found by themselves.
"""

import dataclasses
import functools
import math
import os
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import checkpoints, checks, colorspace, data, inputs, jsonable, losses, meta
from jaxssl.data import masks, video
from jaxssl.evaluation import davis, label_propagation, protocol, random_encoder
from jaxssl.runs.directory import RunDirectory
from jaxssl.types import Array

_MAX_SHOWN = 8
_MAX_LABELS = 64


@dataclasses.dataclass(frozen=True)
class PropagationConfig:
    """How a video is read and what is pointed at.

    Attributes:
        num_frames: frames at most, from the beginning.
        frame_rate: frames a second.
        num_references: frames before a frame that it copies from, with what they copied themselves.
        temperature: of the softmax over their cells.
        mask_references: of a mask, the same beside the first frame.
        mask_neighbors: cells that a cell takes its classes from.
        mask_radius: how far away these may be, cells.
        mask_temperature: of the softmax over their cosine similarities.
        image_size: side of the frames, pixels; None is that of the run.
        seed: of the random encoder's weights.
    """

    num_frames: int = 24
    frame_rate: float = 6.0
    num_references: int = 3
    temperature: float = 0.5
    mask_references: int = 7
    mask_neighbors: int = 5
    mask_radius: int = 12
    mask_temperature: float = 0.1
    image_size: int | None = None
    seed: int = 0

    def __post_init__(self):
        fix = "The defaults are 24, 3 and 0.5."
        checks.at_least(self, 2, "num_frames", fix=fix)
        checks.at_least(self, 1, "num_references", fix=fix)
        checks.above(self, 0, "temperature", fix=fix)
        fix = "DINO's are 7, 5, 12 and 0.1."
        checks.at_least(self, 1, "mask_references", "mask_neighbors", "mask_radius", fix=fix)
        checks.above(self, 0, "mask_temperature", fix=fix)


class Propagated(NamedTuple):
    """What came of a film.

    Attributes:
        directory: where it was written.
        record: what result.json holds.
        columns: what a picture shows, each a title and a few frames float32 or uint8 [B, S, S, C]:
            the film, what the encoder sees of it, and the colours that each encoder carried.
    """

    directory: Path
    record: dict
    columns: list[tuple[str, np.ndarray]]


def propagate(tokens: Array, values: Array, *, num_references: int, temperature: float) -> Array:
    """Carries the values of the first frame's cells through all frames.

    Frame t copies from frames t - R to t - 1 (``losses.copy_values``), of which all but the first
    hold what they copied. Tokens are first brought to the norm sqrt(D), that of a layer-normed
    token, so that one temperature suits every encoder. Before frame R the first frame stands in for
    those that are missing, which changes no weight's proportion within it.

    Args:
        tokens: [T, N, D] floating, of the frames in order.
        values: [N, C] floating, of the first frame: colours or one-hot labels.
        num_references: R, at least 1.
        temperature: of the softmax.

    Returns:
        float32 [T, N, C], the first frame's being ``values``.

    Source: Vondrick et al., Tracking Emerges by Colorizing Videos, 2018, arXiv:1806.09594, sec. 3.
    """
    norm = jnp.sqrt(jnp.sum(jnp.square(tokens), axis=-1, keepdims=True))
    tokens = tokens * (math.sqrt(tokens.shape[-1]) / jnp.maximum(norm, 1e-6))
    held = jnp.repeat(values[None].astype(jnp.float32), num_references, axis=0)
    before = jnp.repeat(tokens[:1], num_references, axis=0)

    def step(carry, target):
        before, held = carry
        copied = losses.copy_values(
            target[None],
            before.reshape(1, -1, before.shape[-1]),
            held.reshape(1, -1, held.shape[-1]),
            temperature=temperature,
        )[0]
        carry = (
            jnp.concatenate([before[1:], target[None]]),
            jnp.concatenate([held[1:], copied[None]]),
        )
        return carry, copied

    _, copied = jax.lax.scan(step, (before, held), tokens[1:])
    return jnp.concatenate([values[None].astype(jnp.float32), copied])


def run(
    run_directory: str | os.PathLike,
    film: str | os.PathLike,
    options: PropagationConfig,
    *,
    mask: str | os.PathLike | None = None,
    truth: str | os.PathLike | None = None,
    step: int | None = None,
) -> Propagated:
    """Propagates colours, and a mask, through a film: ``RUN/propagation/NAME/``.

    Writes result.json, of the encoder and of two baselines (a random encoder, and the first frame's
    colours and mask where they were), and with a mask one mask-NUMBER.png a frame. Colours are
    carried by ``propagate`` from lightness alone, masks by ``label_propagation`` from the frames as
    they are.

    Args:
        run_directory: run with a checkpoint.
        film: a video file.
        options: how it is read.
        mask: image of one channel with the aspect of the film: each grey value of the first frame
            is a class.
        truth: folder of such a mask of every frame that is read, in the order of their names; the
            first is the mask, and J and F of DAVIS are measured by the others.
        step: checkpoint; the newest by default.

    Returns:
        Propagated(directory, record, columns); errors are mean distances in ab (Lab units) over the
        cells of each frame after the first; "masks" is what ``davis.measure`` returns.

    Raises:
        ImportError: PyAV is not installed.
        ValueError: no checkpoint, film or mask that can be read, or cells that form no square grid.
    """
    encoder = checkpoints.restore_encoder(run_directory, step)
    size, channels = _image_side(encoder)
    frames = read_frames(film, options, size)
    size = frames.shape[1]
    true = None if truth is None else read_truth(truth, len(frames), size)
    labels = true[0] if true is not None else None if mask is None else read_mask(mask, size)
    lab = colorspace.rgb_to_lab(jnp.asarray(frames, jnp.float32) / 255)
    seen = colorspace.lab_to_rgb(lab.at[..., 1:].set(0))[..., :channels]
    batches = [{"image": np.asarray(seen)}] * random_encoder.MIN_BATCHES
    random = random_encoder.draw(encoder, options.seed, batches)
    carry = jax.jit(
        functools.partial(
            propagate, num_references=options.num_references, temperature=options.temperature
        )
    )
    encoders = {"trained": encoder, "random": random}
    tokens = {name: jax.jit(each)(seen).tokens for name, each in encoders.items()}
    side = _side(tokens["trained"].shape[1], size)
    colors = _cells(lab[..., 1:], size // side)  # [T, N, 2]
    carried = {name: carry(each, colors[0]) for name, each in tokens.items()}
    carried["in place"] = jnp.broadcast_to(colors[:1], colors.shape)

    results = {name: _errors(ab, colors) for name, ab in carried.items()}
    if labels is not None:
        if channels == 3:
            tokens = {name: jax.jit(each)(frames).tokens for name, each in encoders.items()}
        found = _carry_mask(tokens, labels, options)
        if true is not None:
            for name, made in found.items():
                results[name]["masks"] = davis.measure(true, made)
    out = RunDirectory(Path(run_directory)).propagation / Path(film).stem
    out.mkdir(parents=True, exist_ok=True)
    if labels is not None:
        _write_masks(found["trained"], out)
    shown = np.linspace(0, len(frames) - 1, min(_MAX_SHOWN, len(frames))).astype(int)
    columns = [("film", frames[shown]), ("seen by the encoder", np.asarray(seen[shown]))]
    for name, ab in carried.items():
        colored = jnp.concatenate([lab[shown, ..., :1], _map(ab[shown], side, size)], axis=-1)
        columns.append((f"colors: {name}", np.asarray(colorspace.lab_to_rgb(colored))))
    record = protocol.write(
        out / "result.json",
        protocol={"evaluator": "propagation", "film": str(film), "image_size": size}
        | {"num_frames_read": len(frames), "cells": side**2, "input": "lightness"}
        | jsonable.to_json(options),
        subject={
            "method": meta.method_name(encoder.meta),
            "architecture": encoder.meta["encoder"],
            "step": encoder.meta["step"],
            "features": "tokens of the encoder, without the method's projection",
        },
        results=results,
    )
    return Propagated(out, record, columns)


def read_frames(film: str | os.PathLike, options: PropagationConfig, size: int) -> np.ndarray:
    """The first frames of a film, uint8 [T, S, S, 3]."""
    size = options.image_size or size
    config = data.ClipData(str(film), size, 3, frame_rate=options.frame_rate)
    stills = config.open("all")
    if not isinstance(stills, video.VideoSource) or len(stills.files) != 1 or len(stills) < 2:
        raise ValueError(
            f"propagate: must be given one video of at least 2 frames at {options.frame_rate:g} a "
            f"second; got {film} with {len(stills)}. Raise --frame-rate or name another."
        )
    num_frames = min(options.num_frames, len(stills))
    clip = dataclasses.replace(config, num_frames=num_frames)
    return clip.open("all")[0]["video"]


def read_mask(path: str | os.PathLike, size: int) -> np.ndarray:
    """A mask of the first frame, fitted as the frame is, without mixing: uint8 [S, S]."""
    return _read_labels(Path(path), size, f"--mask {path}")


def read_truth(folder: str | os.PathLike, num_frames: int, size: int) -> np.ndarray:
    """The masks of all frames that are read: uint8 [T, S, S]."""
    place = Path(folder)
    found = sorted(place.glob("*.png")) if place.is_dir() else []
    if len(found) != num_frames or num_frames < 3:
        raise ValueError(
            f"--truth {folder}: must be a folder of a PNG mask for each frame that is read, three "
            f"at least; got {len(found)} for {num_frames} frames. Set --num-frames and "
            "--frame-rate to those of the masks."
        )
    return np.stack([_read_labels(each, size, f"--truth {each}") for each in found])


def _read_labels(path: Path, size: int, what: str) -> np.ndarray:
    labels = masks.read(path, size, what=what)
    if len(np.unique(labels)) > _MAX_LABELS:
        raise ValueError(
            f"{what}: must have at most {_MAX_LABELS} values, each a class; got "
            f"{len(np.unique(labels))}. Save it without antialiasing or JPEG."
        )
    return labels


def _image_side(encoder: checkpoints.RestoredEncoder) -> tuple[int, int]:
    """Side and channels of the images that an encoder is fed."""
    image = inputs.image_side(encoder.inputs)
    if image is None:
        fed = ", ".join(f"{name} {list(shape)}" for name, shape, _ in encoder.inputs)
        raise ValueError(
            f"propagate: the encoder must be fed square images, as the frames of a film are; got "
            f"one that is fed {fed}. Name a run of such an encoder."
        )
    return image


def _side(num_cells: int, size: int) -> int:
    side = math.isqrt(num_cells)
    if side**2 != num_cells or size % side:
        raise ValueError(
            "propagate: the encoder's cells must form a square whose side divides the frame's; got "
            f"{num_cells} cells of {size} pixels. Change --image-size."
        )
    return side


def _cells(maps: Array, stride: int) -> Array:
    """The pixel behind the middle of every cell: [T, S, S, C] to [T, N, C]."""
    sampled = maps[:, stride // 2 :: stride, stride // 2 :: stride]
    return sampled.reshape(len(maps), -1, maps.shape[-1])


def _map(cells: Array, side: int, size: int) -> Array:
    """Cells [T, N, C] as smooth maps [T, S, S, C]."""
    grid = cells.reshape(len(cells), side, side, -1)
    return jax.image.resize(grid, (len(cells), size, size, grid.shape[-1]), "bilinear")


def _carry_mask(
    tokens: dict[str, Array], labels: np.ndarray, options: PropagationConfig
) -> dict[str, np.ndarray]:
    """Masks [T, S, S] of all frames by each encoder's tokens, and the first one's in its place."""
    size = len(labels)
    classes, numbers = np.unique(labels, return_inverse=True)
    one_hot = jax.nn.one_hot(numbers.reshape(1, size, size), len(classes))
    carry = jax.jit(
        functools.partial(
            label_propagation.propagate,
            num_references=options.mask_references,
            num_neighbors=options.mask_neighbors,
            radius=options.mask_radius,
            temperature=options.mask_temperature,
        )
    )
    found = {}
    for name, each in tokens.items():
        side = _side(each.shape[1], size)
        shares = carry(each, _cells(one_hot, size // side)[0])
        found[name] = classes[np.asarray(_map(shares, side, size).argmax(-1))]
    num_frames = len(tokens["trained"])
    return found | {"in place": np.repeat(labels[None], num_frames, axis=0)}


def _errors(ab: Array, truth: Array) -> dict:
    distances = jnp.sqrt(jnp.sum(jnp.square(ab - truth), axis=-1)).mean(axis=-1)[1:]
    return {"mean_error": float(distances.mean()), "by_frame": distances.tolist()}


def _write_masks(found: np.ndarray, out: Path) -> None:
    from PIL import Image

    for number, mask in enumerate(found):
        Image.fromarray(mask.astype(np.uint8)).save(out / f"mask-{number:04d}.png")
