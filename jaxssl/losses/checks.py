"""Trace-time validation shared by the losses.

Everything here is static (rank, shape, dtype, Python numbers), so it costs nothing when compiled.
Each message names the caller's function and argument and shows what came.
"""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxssl import checks
from jaxssl.types import Array


def floating(function: str, **arrays: Array) -> None:
    """Raises TypeError unless every array, given under its argument's name, is floating."""
    for name, array in arrays.items():
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise TypeError(
                f"{function}: {name} must be floating; got {array.dtype}. "
                f"Cast it, e.g. {name}.astype(jnp.float32)."
            )


def integers(function: str, **arrays: Array) -> None:
    """Raises TypeError unless every array, given under its argument's name, holds integers."""
    for name, array in arrays.items():
        if not jnp.issubdtype(array.dtype, jnp.integer):
            raise TypeError(
                f"{function}: {name} must be integers; got {array.dtype}. "
                "Pass class indices, not one-hot rows or scores."
            )


def axes(function: str, letters: str, **arrays: Array) -> None:
    """Raises ValueError unless every array has one axis for each letter of e.g. ``"B D"``."""
    rank = len(letters.split())
    for name, array in arrays.items():
        if array.ndim != rank:
            raise ValueError(
                f"{function}: {name} must be [{', '.join(letters.split())}]; "
                f"got shape {array.shape}. Reshape it to {rank} axes."
            )


def equal_shapes(function: str, **shapes: tuple[int, ...]) -> None:
    """Raises ValueError unless the shapes, each given under its argument's name, are equal."""
    if len(set(shapes.values())) > 1:
        names = " and ".join(shapes)
        got = " and ".join(str(shape) for shape in shapes.values())
        raise ValueError(
            f"{function}: {names} must have equal shapes; got {got}. Pair them by position."
        )


def temperature(function: str, value: float | Array, *, name: str = "temperature") -> None:
    """Raises ValueError unless the temperature is one finite number above 0.

    A traced temperature (a learned one) is checked for its shape only.
    """
    _one_number(function, name, value)
    checks.above(function, 0, fix="Usual values are 0.05 to 0.5.", **_known({name: value}))


def bias(function: str, value: float | Array) -> None:
    """Raises ValueError unless the bias is one finite number.

    A traced bias (a learned one) is checked for its shape only.
    """
    _one_number(function, "bias", value)
    if not all(map(math.isfinite, _known({"bias": value}).values())):
        raise ValueError(
            f"{function}: bias must be finite; got {value}. It is published as -10 at first."
        )


def above_zero(function: str, **values: float | Array) -> None:
    """Raises ValueError unless every number, given under its argument's name, is above 0.

    A traced one (on a schedule) is not checked.
    """
    checks.above(function, 0, fix="Leave it out for the published value.", **_known(values))


def not_negative(function: str, **values: float) -> None:
    """Raises ValueError unless every number, given under its argument's name, is at least 0.

    A traced one (on a schedule) is not checked.
    """
    fix = "Leave it out for the published value."
    checks.in_range(function, 0, math.inf, open_right=True, fix=fix, **_known(values))


def at_least(function: str, least: int, **counts: int) -> None:
    """Raises ValueError unless every count, given under its argument's name, is an int >= least."""
    for name, count in counts.items():
        if not isinstance(count, int) or count < least:
            raise ValueError(
                f"{function}: {name} must be an int of at least {least}; got {count!r}. "
                f"Pass {least} or more."
            )


def global_batch(function: str, num_rows: int, least: int) -> None:
    """Raises ValueError unless all devices together hold at least ``least`` rows."""
    if num_rows < least:
        raise ValueError(
            f"{function}: the global batch must have at least {least} rows; got {num_rows}. "
            "Its statistics need them: use a larger batch."
        )


def block_size(function: str, value: int | None) -> None:
    """Raises ValueError unless the block size is None or a whole number of rows, at least 1."""
    if value is not None and (not isinstance(value, int) or value < 1):
        raise ValueError(
            f"{function}: block_size must be None or an int of at least 1; got {value!r}. "
            "Use None for the dense form, or e.g. 512 rows."
        )


def label_smoothing(function: str, value: float) -> None:
    """Raises ValueError unless the label smoothing is in [0, 1)."""
    fix = "0 turns it off, 0.1 is usual."
    checks.in_range(function, 0, 1, label_smoothing=value, open_right=True, fix=fix)


def _one_number(function: str, name: str, value: float | Array) -> None:
    if jnp.shape(value) != ():
        raise ValueError(
            f"{function}: {name} must be one number; got shape {jnp.shape(value)}. "
            "Index or average it first."
        )


def _known(values: Mapping[str, float | Array]) -> dict[str, Any]:
    return {n: value for n, value in values.items() if not isinstance(value, jax.core.Tracer)}
