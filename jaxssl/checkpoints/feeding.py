"""What a restored encoder is fed, looked at before its network sees it."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import inputs
from jaxssl.types import Array

_IMAGES = ("image", "video")  # the columns that hold images
_OVERSHOOT = 0.25  # how far resizing with a cubic or Lanczos kernel may leave [0, 1]


def check(fed: inputs.Inputs, arrays: Sequence[Array]) -> None:
    """Refuses arrays that an encoder would make nothing of, or, worse, features of nothing.

    Args:
        fed: what the encoder is fed.
        arrays: what is given. Their channels are looked at always, their values only where there
            are any: outside of a trace, and on this process's devices.

    Raises:
        ValueError: another number of arrays; images of other channels than the run's; floating
            images outside of [0, 1].
    """
    if len(arrays) != len(fed):
        names = ", ".join(f"{name} {_times(shape)}" for name, shape, _ in fed)
        raise ValueError(
            f"RestoredEncoder: must be given a batch each of {names}; got {len(arrays)} arrays."
        )
    for entry, array in zip(fed, arrays):
        if entry.name in _IMAGES and len(entry.shape) >= 3:
            _check_channels(entry, array)
            _check_range(entry.name, array)


def _check_channels(entry: inputs.Input, array: Array) -> None:
    channels = entry.shape[-1]
    if len(array.shape) == 0 or array.shape[-1] == channels:
        return
    fix = {
        (1, 3): "Make them grey, as by images.mean(axis=-1, keepdims=True).",
        (1, 4): "Make them grey, without the alpha channel.",
        (3, 1): "Repeat the grey channel three times.",
        (3, 4): "Leave the alpha channel out.",
    }.get((channels, array.shape[-1]), "Channels come last.")
    raise ValueError(
        f"RestoredEncoder: {entry.name} must have {channels} channel{'s' * (channels > 1)}, last, "
        f"as the run's, which were {_times(entry.shape)}; got shape {tuple(array.shape)}. {fix}"
    )


def _check_range(name: str, array: Array) -> None:
    if not jnp.issubdtype(array.dtype, jnp.floating) or 0 in array.shape:
        return
    if isinstance(array, jax.core.Tracer):
        return
    if isinstance(array, jax.Array) and not array.is_fully_addressable:
        return
    library = jnp if isinstance(array, jax.Array) else np
    low, high = float(library.min(array)), float(library.max(array))
    if -_OVERSHOOT <= low and high <= 1 + _OVERSHOOT:  # not so either where one is NaN
        return
    if not np.isfinite(low + high):
        fix = "Leave out what is not finite."
    elif low < -_OVERSHOOT:
        fix = "Give images as they are: the encoder subtracts its mean and divides by its std."
    elif high <= 255:
        fix = "Divide them by 255, or give uint8."
    else:
        fix = "Divide them by the largest value that such images can have."
    raise ValueError(
        f"RestoredEncoder: {name} must be uint8 in [0, 255] or floating in [0, 1]; got "
        f"{array.dtype} from {low:g} to {high:g}. {fix}"
    )


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
