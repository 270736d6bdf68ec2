"""Questions about images of a split, drawn the way training draws them, with seeds of their own."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxssl import data, draws
from jaxssl.audit import cues
from jaxssl.types import Array, Batch, Method, Question

MIN_SIZE = 6  # pixels: three lines at a border and three beside them
_BATCH = 250
_CHUNK = 2**21  # values described at a time; descriptions are float64 and need several copies


class Described(NamedTuple):
    """Cues of many questions.

    Attributes:
        cues: [N, F] by name of the cue, only those that apply to the inputs.
        answers: [N] int.
        num_answers: how many answers a question has.
        shape: (V, H, W, C) of the inputs.
        num_images: different images behind the N questions.
    """

    cues: Mapping[str, np.ndarray]
    answers: np.ndarray
    num_answers: int
    shape: tuple[int, int, int, int]
    num_images: int


def batches(
    source: data.Source,
    count: int,
    *,
    seed: int,
    change: Callable[[np.random.Generator, np.ndarray], np.ndarray] | None = None,
) -> Iterator[tuple[Batch, Array]]:
    """Examples and the keys to make views of them.

    Images are evenly spaced over the split; where it has fewer than ``count``, it is gone through
    again with other keys.

    Args:
        source: one split.
        count: questions wanted.
        seed: of the keys and of ``change``.
        change: what is done to the images [B, H, W, C] first, e.g. a control's ``make``.

    Yields:
        Records stacked [B, ...] with their row numbers and without labels, and [B] typed PRNG keys.
    """
    rows = np.arange(count) % len(source)
    if count <= len(source):
        rows = np.linspace(0, len(source) - 1, count).astype(int)
    for start in range(0, count, _BATCH):
        chosen = rows[start : start + _BATCH]
        records = [source[row] for row in chosen.tolist()]
        names = records[0].keys() - {"label"}
        batch: dict[str, Any] = {
            name: np.stack([record[name] for record in records]) for name in names
        }
        batch["index"] = chosen.astype(np.int32)
        if change is not None:
            rng = np.random.default_rng([seed, start])
            batch = batch | {"image": change(rng, batch["image"])}
        positions = np.arange(start, start + len(records), dtype=np.uint32)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), positions)
        yield batch, keys


def describe(method: Method, source: data.Source, count: int, *, seed: int) -> Described:
    """Asks ``count`` questions and describes their inputs by every cue that applies.

    Args:
        method: its ``ask`` and ``view`` are used.
        source: one split.
        count: questions.
        seed: of the views; questions about two splits need two seeds.

    Returns:
        The cues, on the host.

    Raises:
        ValueError: inputs of another rank, or smaller than ``MIN_SIZE``.
    """

    asked = method.ask
    assert asked is not None

    @jax.jit
    def ask(batch: Batch, keys: Array) -> Question:
        return asked(draws.make_views(method, batch, keys))

    described: dict[str, list[np.ndarray]] = {}
    answers = []
    for batch, keys in batches(source, count, seed=seed):
        inputs, answer, num_answers = jax.device_get(ask(batch, keys))
        _check_inputs(inputs.shape)
        for name, values in _cues(inputs).items():
            described.setdefault(name, []).append(values)
        answers.append(answer)
    joined = {name: np.concatenate(parts) for name, parts in described.items()}
    num_images = min(count, len(source))
    return Described(
        joined, np.concatenate(answers), int(num_answers), inputs.shape[1:], num_images
    )


def _cues(inputs: np.ndarray) -> dict[str, np.ndarray]:
    shape = inputs.shape[1:]
    rows = max(1, _CHUNK // int(np.prod(shape)))
    parts = [inputs[start : start + rows] for start in range(0, len(inputs), rows)]
    return {
        name: np.concatenate([cue.describe(part) for part in parts])
        for name, cue in cues.TABLE.items()
        if cue.applies(*shape)
    }


def _check_inputs(shape: tuple[int, ...]) -> None:
    if len(shape) != 5:
        raise ValueError(
            f"audit: the inputs that Method.ask gives must be [B, V, H, W, C]; got shape {shape}. "
            f"Give one image an axis V of length 1."
        )
    if min(shape[2:4]) < MIN_SIZE:
        raise ValueError(
            f"audit: the inputs that Method.ask gives must be at least {MIN_SIZE} x {MIN_SIZE} "
            f"pixels to be described; got {shape[2]} x {shape[3]}. Audit it at a larger image size."
        )
