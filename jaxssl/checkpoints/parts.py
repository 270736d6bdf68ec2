"""Parts of what another run has saved, for a run that begins with them."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import jax

from jaxssl.checkpoints import manifest, trees
from jaxssl.types import PyTree


def fingerprint(
    directory: str | os.PathLike, step: int | None = None, *, caller: str
) -> tuple[int, str]:
    """A checkpoint's step, and a sha256 that is its content's, wherever it lies.

    Args:
        directory: a run directory.
        step: which checkpoint; the newest complete one by default.
        caller: what the messages begin with: who names the directory.

    Raises:
        CheckpointError: nothing to restore, or a step that is not there.
    """
    path = manifest.find_step(caller, directory, step)
    return int(path.name), hashlib.sha256((path / manifest.MANIFEST).read_bytes()).hexdigest()


def check_encoder(directory: str | os.PathLike, like: PyTree, step: int) -> None:
    """Compares a saved encoder with another one; reads no array.

    Args:
        directory: a run directory.
        like: shapes and dtypes of the other's variables.
        step: which checkpoint.

    Raises:
        CheckpointError: leaves that differ, up to five of them; or as ``restore_encoder``.
    """
    path = _verified(directory, step, "encoder")
    if differing := trees.differences(trees.read_form(path / "encoder"), like):
        raise manifest.CheckpointError(
            f"init_from {directory}: its encoder must be the one that is asked for; differing: "
            f"{differing}. Give the same --encoder options as there, or start without it."
        )


def restore_variables(directory: str | os.PathLike, step: int) -> PyTree:
    """The variables of a saved encoder, on the first local device.

    Raises:
        CheckpointError: as ``restore_encoder``.
    """
    return _restore(_verified(directory, step, "encoder"), "encoder")


def agreeing(
    directory: str | os.PathLike, like: Mapping[str, PyTree], step: int
) -> dict[str, PyTree]:
    """Those of some trees that a saved state has in the same form; reads no array.

    Args:
        directory: a run directory.
        like: shapes and dtypes of trees, by their paths in a state, "params/projector".
        step: which checkpoint.

    Raises:
        CheckpointError: as ``restore_encoder``.
    """
    saved = trees.leaves(trees.read_form(_verified(directory, step, "state") / "state"))
    return {
        name: tree
        for name, tree in like.items()
        if not trees.differences(_below(saved, name), trees.leaves(tree))
    }


def restore_agreeing(
    directory: str | os.PathLike, like: Mapping[str, PyTree], step: int
) -> dict[str, PyTree]:
    """The trees that ``agreeing`` gave, with their values, on the first local device.

    Raises:
        CheckpointError: as ``restore_encoder``.
    """
    saved = trees.leaves(_restore(_verified(directory, step, "state"), "state"))
    restored = {}
    for name, tree in like.items():
        values = _below(saved, name)
        in_order = [values[path] for path in trees.leaves(tree)]
        restored[name] = jax.tree.unflatten(jax.tree.structure(tree), in_order)
    return restored


def _verified(directory: str | os.PathLike, step: int, item: str) -> Path:
    path = manifest.find_step("restore", directory, step)
    manifest.verify(path, (item,))
    return path


def _restore(path: Path, item: str) -> PyTree:
    """A whole item, in the form in which it was saved."""
    form = trees.read_form(path / item)
    return trees.restore(
        path, item, jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), form)
    )


def _below(leaves: Mapping[str, object], name: str) -> dict[str, object]:
    """The leaves whose paths begin with a name, by the rest of their paths."""
    return {
        path.removeprefix(name).removeprefix("/"): leaf
        for path, leaf in leaves.items()
        if path == name or path.startswith(f"{name}/")
    }
