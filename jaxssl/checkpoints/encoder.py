"""What a run has saved, for those who do not train: its encoder, its record, its state."""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxssl import inputs, jsonable, named
from jaxssl import meta as meta_lib
from jaxssl.checkpoints import feeding, manifest, trees
from jaxssl.checkpoints.forward import forward
from jaxssl.types import Array, Features, PyTree, TrainState

if TYPE_CHECKING:  # who restores an encoder may have no files for it
    from jaxssl import data


@dataclasses.dataclass(frozen=True, eq=False)  # by identity, so that jax.jit takes it
class RestoredEncoder:
    """A trained encoder, ready to use; calling it gives the features of what it is fed.

    Attributes:
        module: the linen module.
        variables: its parameters and batch statistics.
        meta: everything the run recorded beside them.
    """

    module: Any
    variables: PyTree
    meta: dict

    def __call__(self, *arrays: Array) -> Features:
        """Features of a batch, in evaluation mode.

        Args:
            *arrays: what ``inputs`` says, each with a leading B axis; for nearly all encoders
                images [B, H, W, C], uint8 or float32 in [0, 1]. Floating ones outside of that are
                refused where their values can be seen, which is not so inside of ``jax.jit``.

        Raises:
            ValueError: images of other channels than the run's, or of another range; see
                ``feeding.check``.
        """
        feeding.check(self.inputs, arrays)
        return self.module.apply(self.variables, *arrays, train=False)

    def embed(self, paths: str | os.PathLike | Iterable, *, batch_size: int = 256) -> np.ndarray:
        """Pooled features of image files, made into what the run read: size, channels, range.

        Args:
            paths: of a file, or of several.
            batch_size: images encoded at a time.

        Returns:
            float32 [N, D], a row for each path, in order.

        Raises:
            ValueError: no path, a file that is no readable image, or an encoder that is fed
                something else than a square image.

        Example:
            >>> features = encoder.embed(["cat.jpg", "dog.png"])  # doctest: +SKIP
        """
        from jaxssl import data

        source = self.open_files([paths] if isinstance(paths, (str, os.PathLike)) else list(paths))
        batches = data.batches(source, batch_size)
        blocks = forward(self._pooled, self.variables, batches, batch_size=batch_size)
        return np.concatenate([output["pooled"] for output, _ in blocks])

    def open_files(self, paths: Sequence[str | os.PathLike]) -> "data.Source":
        """Image files as the encoder is fed them: the run's size, channels and range of values.

        Args:
            paths: at least one.

        Raises:
            ValueError: no path, or an encoder that is fed something else than a square image.
        """
        from jaxssl import data

        side = inputs.image_side(self.inputs)
        if side is None:
            fed = ", ".join(f"{name} {list(shape)}" for name, shape, _ in self.inputs)
            raise ValueError(
                f"RestoredEncoder: the encoder must be fed one square image; got one that is fed "
                f"{fed}. Image files are nothing to it."
            )
        recorded = self.meta.get("config", {}).get("data", {})
        value_range = recorded.get("fields", recorded).get("value_range")
        return data.from_files(paths, image_size=side[0], channels=side[1], value_range=value_range)

    @functools.cached_property
    def _pooled(self) -> Callable[..., dict[str, Array]]:
        """For ``forward``; one function, so that it is compiled once."""
        apply = functools.partial(self.module.apply, train=False)
        return lambda variables, *arrays: {"pooled": apply(variables, *arrays).pooled}

    @property
    def inputs(self) -> inputs.Inputs:
        """What the encoder is fed: name, shape and type of each array of one example."""
        return inputs.of_meta(self.meta)


def restore_encoder(directory: str | os.PathLike, step: int | None = None) -> RestoredEncoder:
    """Restores the encoder of a run, without its optimizer and without its training code.

    Args:
        directory: a run directory, or the ``checkpoints`` directory inside it.
        step: which checkpoint; the newest complete one by default.

    Returns:
        RestoredEncoder(module, variables, meta), variables on the first local device.

    Raises:
        CheckpointError: nothing to restore; a step that is not there (the ones that are); a file
            whose sha256 differs from the manifest (which file); a record that is none (which
            field); an encoder that cannot be built, or whose parameters are not those that ``meta``
            describes (up to five differing leaves).

    Example:
        >>> encoder = jaxssl.restore_encoder("runs/simclr")  # doctest: +SKIP
        >>> features = encoder(images).pooled                # doctest: +SKIP
    """
    path = manifest.find_step("restore_encoder", directory, step)
    manifest.verify(path, ("encoder",))
    meta = _read(path)
    module, like = _built(path, meta)
    variables = trees.restore(path, "encoder", like)
    return RestoredEncoder(module, variables, meta)


def read_meta(directory: str | os.PathLike, step: int | None = None) -> dict:
    """What a run recorded beside its encoder, verified; reads no array.

    Args:
        directory: a run directory, or the ``checkpoints`` directory inside it.
        step: which checkpoint; the newest complete one by default.

    Raises:
        CheckpointError: nothing to read, a step that is not there, a damaged file, or a record that
            lacks a field or has one of another type (which field).
    """
    path = manifest.find_step("read_meta", directory, step)
    return _read(path)


def restore_state(
    directory: str | os.PathLike, like: TrainState, step: int | None = None
) -> TrainState:
    """Restores the training state of a run to look at it; a run that goes on is not disturbed.

    Args:
        directory: a run directory, or the ``checkpoints`` directory inside it.
        like: shapes and dtypes of the state (``jax.eval_shape`` gives them).
        step: which checkpoint; the newest complete one by default.

    Returns:
        The state, on the first local device.

    Raises:
        CheckpointError: as ``restore_encoder``.
    """
    path = manifest.find_step("restore_state", directory, step)
    manifest.verify(path, ("state",))
    return trees.restore(path, "state", like)


def _read(path: Path) -> dict:
    """The record of a step, verified."""
    manifest.verify(path, ("meta",))
    file = path / "meta" / "metadata"
    try:
        found = jsonable.parse(file.read_bytes(), meta_lib.NAME)
        meta_lib.check(found)
    except ValueError as error:
        was = "Was it changed, or written by another program?"
        raise manifest.CheckpointError(f"checkpoint {file}: {error} {was}") from error
    return found


def _built(path: Path, meta: dict) -> tuple[Any, PyTree]:
    """The linen module that a record describes, and shapes and types of its variables."""
    try:
        module = named.from_json(meta["encoder"], room="jaxssl.models", does="build").build()
        example = inputs.shapes(inputs.of_meta(meta)).values()
        init = functools.partial(module.init, jax.random.key(0), train=False)
        return module, jax.eval_shape(init, *example)
    except Exception as error:  # whatever a network raises that is given sizes it cannot have
        said = " ".join(str(error).split()) or type(error).__name__
        raise manifest.CheckpointError(
            f"checkpoint {path}: its encoder cannot be built as recorded: {said}"
        ) from error
