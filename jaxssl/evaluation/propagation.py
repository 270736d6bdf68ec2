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

from jaxssl import checkpoints, checks, colorspace, data, inputs, jsonable, losses
from jaxssl.data import imagefiles, video
from jaxssl.evaluation import protocol, random_encoder
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
        image_size: side of the frames, pixels; None is that of the run.
        seed: of the random encoder's weights.
    """

    num_frames: int = 24
    frame_rate: float = 6.0
    num_references: int = 3
    temperature: float = 0.5
    image_size: int | None = None
    seed: int = 0

    def __post_init__(self):
        fix = "The defaults are 24, 3 and 0.5."
        checks.at_least(self, 2, "num_frames", fix=fix)
        checks.at_least(self, 1, "num_references", fix=fix)
        checks.above(self, 0, "temperature", fix=fix)


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
    step: int | None = None,
) -> Propagated:
    """Propagates colours, and a mask, through a film: ``RUN/propagation/NAME/``.

    Writes result.json, of the encoder and of two baselines (a random encoder, and the first frame's
    colours where they were), and with a mask one mask-NUMBER.png a frame.

    Args:
        run_directory: run with a checkpoint.
        film: a video file.
        options: how it is read.
        mask: image of one channel with the aspect of the film: each grey value of the first frame
            is a class.
        step: checkpoint; the newest by default.

    Returns:
        Propagated(directory, record, columns); errors are mean distances in ab (Lab units) over the
        cells of each frame after the first.

    Raises:
        ImportError: PyAV is not installed.
        ValueError: no checkpoint, film or mask that can be read, or cells that form no square grid.
    """
    encoder = checkpoints.restore_encoder(run_directory, step)
    size, channels = _image_side(encoder)
    frames = read_frames(film, options, size)
    size = frames.shape[1]
    labels = None if mask is None else read_mask(mask, size)
    lab = colorspace.rgb_to_lab(jnp.asarray(frames, jnp.float32) / 255)
    seen = colorspace.lab_to_rgb(lab.at[..., 1:].set(0))[..., :channels]
    batches = [{"image": seen}] * random_encoder.MIN_BATCHES
    random = random_encoder.draw(encoder, options.seed, batches)
    carry = jax.jit(
        functools.partial(
            propagate, num_references=options.num_references, temperature=options.temperature
        )
    )
    tokens = {
        name: jax.jit(each)(seen).tokens
        for name, each in (("trained", encoder), ("random", random))
    }
    side = _side(tokens["trained"].shape[1], size)
    truth = _cells(lab[..., 1:], size // side)  # [T, N, 2]
    carried = {name: carry(each, truth[0]) for name, each in tokens.items()}
    carried["in place"] = jnp.broadcast_to(truth[:1], truth.shape)

    out = RunDirectory(Path(run_directory)).propagation / Path(film).stem
    out.mkdir(parents=True, exist_ok=True)
    if labels is not None:
        classes, numbers = np.unique(labels, return_inverse=True)
        one_hot = jax.nn.one_hot(numbers.reshape(1, size, size), len(classes))
        shares = carry(tokens["trained"], _cells(one_hot, size // side)[0])
        _write_masks(classes[np.asarray(_map(shares, side, size).argmax(-1))], out)
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
            "method": encoder.meta["config"]["method"]["name"],
            "architecture": encoder.meta["encoder"],
            "step": encoder.meta["step"],
            "features": "tokens of the encoder, without the method's projection",
        },
        results={name: _errors(ab, truth) for name, ab in carried.items()},
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
    from PIL import Image

    try:
        with imagefiles.opened(Path(path).read_bytes()) as image:
            if image.mode not in ("1", "L", "P"):
                raise ValueError(f"PIL mode {image.mode}, where one channel has each value a class")
            image = image if image.mode == "P" else image.convert("L")
            short = min(image.size)
            left, top = ((side - short) / 2 for side in image.size)
            box = (left, top, left + short, top + short)
            labels = np.array(image.resize((size, size), Image.Resampling.NEAREST, box=box))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"--mask {path}: must be a readable image; got {error}. Save it as a grey PNG."
        ) from error
    if len(np.unique(labels)) > _MAX_LABELS:
        raise ValueError(
            f"--mask {path}: must have at most {_MAX_LABELS} values, each a class; got "
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


def _errors(ab: Array, truth: Array) -> dict:
    distances = jnp.sqrt(jnp.sum(jnp.square(ab - truth), axis=-1)).mean(axis=-1)[1:]
    return {"mean_error": float(distances.mean()), "by_frame": distances.tolist()}


def _write_masks(masks: np.ndarray, out: Path) -> None:
    from PIL import Image

    for number, mask in enumerate(masks):
        Image.fromarray(mask.astype(np.uint8)).save(out / f"mask-{number:04d}.png")
