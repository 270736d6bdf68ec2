"""The arrays of an item: compared leaf by leaf with what is expected, and read."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from jaxssl.checkpoints.manifest import CheckpointError
from jaxssl.types import PyTree

_MAX_NAMED_LEAVES = 5


def restore(path: Path, item: str, like: PyTree) -> PyTree:
    """One item of a step, compared with ``like`` and put on the first local device."""
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    compare(read_form(path / item), like, path)
    with quiet_orbax(), ocp.StandardCheckpointer() as checkpointer:
        return checkpointer.restore(path / item, place(like, device))


def compare(found: PyTree, expected: PyTree, step_directory: Path) -> None:
    """Raises CheckpointError naming up to five leaves that differ in path, shape or dtype."""
    if differing := differences(found, expected):
        raise CheckpointError(
            f"checkpoint {step_directory}: its leaves must be those of the model that is being "
            f"restored; differing: {differing}."
        )


def differences(found: PyTree, expected: PyTree) -> str:
    """Up to five leaves that differ in path, shape or dtype, and how many more; else nothing."""
    found, expected = _forms(found), _forms(expected)
    differing = [
        f"{path}: checkpoint has {found.get(path, 'nothing')}, expected "
        f"{expected.get(path, 'nothing')}"
        for path in sorted(found.keys() | expected.keys())
        if found.get(path) != expected.get(path)
    ]
    more = len(differing) - _MAX_NAMED_LEAVES
    return "; ".join(differing[:_MAX_NAMED_LEAVES]) + (f" and {more} more" if more > 0 else "")


def place(like: PyTree, sharding: jax.sharding.Sharding | PyTree) -> PyTree:
    """Shapes and dtypes as ``like``, every leaf placed as ``sharding`` says, one or a tree."""
    return jax.tree.map(
        lambda leaf, lies: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=lies),
        like,
        jax.tree.broadcast(sharding, like),
    )


def read_form(item_directory: Path) -> PyTree:
    """Shapes and dtypes of a saved item, from its metadata; reads no array."""
    with quiet_orbax(), ocp.StandardCheckpointer() as checkpointer:
        return checkpointer.metadata(item_directory).item_metadata.tree


def leaves(tree: PyTree) -> dict[str, Any]:
    """Path to leaf, the path being the same for dicts, dataclasses and Orbax metadata."""
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        names = (getattr(k, "key", getattr(k, "name", getattr(k, "idx", k))) for k in path)
        found["/".join(map(str, names))] = leaf
    return found


def _forms(tree: PyTree) -> dict[str, str]:
    """Path to "dtype[shape]" for every leaf."""
    return {
        path: f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"
        for path, leaf in leaves(tree).items()
    }


@contextlib.contextmanager
def quiet_orbax() -> Iterator[None]:
    """Silences Orbax's warning that an item read on its own has no metadata of a whole step."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
