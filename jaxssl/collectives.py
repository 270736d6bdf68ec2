"""Every collective operation of the package; each is the identity where ``axis_name`` is None.

Functions that depend on other devices take ``axis_name`` and call these, so that one definition
serves one device without any mapping, ``jax.pmap`` and ``jax.shard_map``.
"""

import jax
import jax.numpy as jnp
from jax import lax

from jaxssl.types import Array, PyTree


def axis_size(axis_name: str | None) -> int:
    """Number of devices along the axis; 1 without one."""
    return 1 if axis_name is None else lax.axis_size(axis_name)


def axis_index(axis_name: str | None) -> Array:
    """This device's int32 position along the axis; 0 without one."""
    return jnp.int32(0) if axis_name is None else lax.axis_index(axis_name)


def pmean(tree: PyTree, axis_name: str | None) -> PyTree:
    """Mean over devices of every leaf; nothing is exchanged for what is typed as equal on all."""
    if axis_name is None:
        return tree
    # Where types are not kept (pmap), nothing is typed as differing either.
    is_typed = axis_name in _varying_axes(lax.axis_index(axis_name))

    def mean(leaf: Array) -> Array:
        is_equal = is_typed and axis_name not in _varying_axes(leaf)
        return leaf if is_equal else lax.pmean(leaf, axis_name)

    return jax.tree.map(mean, tree)


def psum(tree: PyTree, axis_name: str | None) -> PyTree:
    """Sum over devices of every leaf."""
    return tree if axis_name is None else lax.psum(tree, axis_name)


def psum_as(gradient: Array, operand: Array) -> Array:
    """Sum of a gradient over the device axes along which it differs and its operand does not.

    For custom gradients, which ``jax.shard_map(check_vma=True)`` asks for exactly the types of
    their operands; derivatives that JAX makes sum in the same place. The identity elsewhere.
    """
    axes = tuple(_varying_axes(gradient) - _varying_axes(operand))
    return lax.psum(gradient, axes) if axes else gradient


def all_gather(tree: PyTree, axis_name: str | None) -> PyTree:
    """Rows of all devices in device order: every leaf [B, ...] becomes [G, ...].

    Differentiable: the gradient of a gathered row flows back to the device it came from.
    """
    if axis_name is None:
        return tree
    return jax.tree.map(lambda leaf: lax.all_gather(leaf, axis_name, tiled=True), tree)


def all_gather_equal(tree: PyTree, axis_name: str | None) -> PyTree:
    """As ``all_gather``, and typed as equal on all devices: what may go into a state.

    Not for what a gradient flows through: its transpose keeps a device's own cotangent only.
    """
    if axis_name is None:
        return tree
    return jax.tree.map(
        lambda leaf: lax.all_gather(leaf, axis_name, tiled=True, to="invarying"), tree
    )


def from_previous(tree: PyTree, axis_name: str | None) -> PyTree:
    """What the device before this one holds, devices standing in a ring.

    Called as often as there are devices it brings every leaf past all of them, and home.
    """
    if axis_name is None:
        return tree
    size = lax.axis_size(axis_name)
    ring = [(device, (device + 1) % size) for device in range(size)]
    return lax.ppermute(tree, axis_name, ring)


def reversed_rows(tree: PyTree, axis_name: str | None) -> PyTree:
    """Rows of the global batch in reverse order: position p is given what position G - 1 - p holds.

    Every leaf [B, ...] keeps its shape; devices exchange their rows in pairs, the first with the
    last.
    """
    if axis_name is not None:
        size = lax.axis_size(axis_name)
        tree = lax.ppermute(tree, axis_name, [(each, size - 1 - each) for each in range(size)])
    return jax.tree.map(lambda leaf: leaf[::-1], tree)


def varying(tree: PyTree, axis_name: str | None) -> PyTree:
    """The same values, typed as differing between devices.

    ``jax.shard_map(check_vma=True)`` asks a custom gradient for exactly the types of its arguments;
    this lets replicated arguments into one whose gradients differ between devices. Their gradient
    then sums over devices, as it does wherever a replicated value meets a varying one.
    """
    if axis_name is None:
        return tree
    zero = lax.axis_index(axis_name) * 0  # pcast does the same, but refuses what already varies
    return jax.tree.map(lambda leaf: leaf + zero.astype(leaf.dtype), tree)


def varying_as(tree: PyTree, like: Array) -> PyTree:
    """The same values, typed as differing between the devices that ``like`` differs between.

    Some operations forget the type of what they are given: ``jnp.argsort`` does in JAX 0.10.2. What
    differs and is typed as equal gets a wrong gradient under ``jax.shard_map(check_vma=True)``,
    without an error.
    """

    def typed(leaf: Array) -> Array:
        missing = tuple(_varying_axes(like) - _varying_axes(leaf))
        return lax.pcast(leaf, missing, to="varying") if missing else leaf

    return jax.tree.map(typed, tree)


def _varying_axes(array: Array) -> frozenset[str]:
    kind = jax.typeof(array)
    # Releases of JAX before 0.10.2 call it vma.
    return kind.manual_axis_type.varying if hasattr(kind, "manual_axis_type") else kind.vma
