"""How deep the layers of an encoder lie, told by the names of its parameters."""

import re

import jax
import numpy as np

from jaxssl.types import PyTree

ENCODER = "encoder"
_STACKED = "blocks"  # of a transformer, along the first axis of its arrays
_NUMBERED = re.compile(r"block_(\d+)|stage(\d+)_.*")


def of(params: PyTree) -> tuple[PyTree, int]:
    """The depth of every parameter, and that of the network's end.

    Patch embedding, tokens, positions and the stem of a convolutional network have depth 0, the
    blocks of a transformer 1, 2, …, the stages of a convolutional network too. All else (the last
    norm of the encoder, heads) is the end, one deeper than the last of them.

    Args:
        params: of a method, the encoder's below "encoder".

    Returns:
        A tree like params, of ints, and of int arrays [L, 1, …] where L blocks are stacked; and
        the depth of the end, 1 of an encoder without blocks and stages.
    """
    leaves = jax.tree_util.tree_leaves_with_path(params)
    end = 1 + max((_last(path, leaf) for path, leaf in leaves), default=0)
    depths = jax.tree_util.tree_map_with_path(lambda path, leaf: _depth(path, leaf, end), params)
    return depths, end


def factors(params: PyTree, decay: float) -> PyTree:
    """decay^(end - depth) of every parameter, float32 that fits its shape; 1 where decay is 1."""
    found, end = of(params)
    return jax.tree.map(lambda depth: np.float32(decay ** (end - depth)), found)


def _depth(path: tuple, leaf: jax.Array, end: int) -> int | np.ndarray:
    if _names(path)[0] != ENCODER:
        return end
    number = _number(path)
    if number is not None:
        return number
    if _STACKED in _names(path):
        return np.arange(1, leaf.shape[0] + 1).reshape(-1, *[1] * (leaf.ndim - 1))
    return end if _names(path)[-2] == "norm" else 0


def _last(path: tuple, leaf: jax.Array) -> int:
    """The depth of the last block that a parameter is of; 0 where it is of none."""
    if _names(path)[0] != ENCODER:
        return 0
    number = _number(path)
    if number is not None:
        return number
    return leaf.shape[0] if _STACKED in _names(path) else 0


def _number(path: tuple) -> int | None:
    """Of the block or the stage, from 1; None where the name says none."""
    for name in _names(path)[1:]:
        if match := _NUMBERED.fullmatch(name):
            block, stage = match.groups()
            return int(stage) if block is None else int(block) + 1
    return None


def _names(path: tuple) -> list[str]:
    return [str(getattr(entry, "key", entry)) for entry in path]
