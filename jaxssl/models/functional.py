"""linen modules as pure functions of (params, state): what methods call."""

import flax.linen as nn

from jaxssl.types import Array, PyTree


def init(module: nn.Module, key: Array, *args, **kwargs) -> tuple[PyTree, PyTree]:
    """Initialises a module and separates what is trained from what is only updated.

    Args:
        module: a linen module.
        key: PRNG key.
        *args: inputs of ``module.__call__``.
        **kwargs: its keyword inputs.

    Returns:
        ``(params, state)``: the "params" collection, and a dict of all other collections (empty, or
        ``{"batch_stats": ...}``).
    """
    variables = dict(module.init(key, *args, **kwargs))
    return variables.pop("params"), variables


def apply(
    module: nn.Module, params: PyTree, state: PyTree, *args, **kwargs
) -> tuple[PyTree, PyTree]:
    """Applies a module in training mode.

    Args:
        module: a linen module whose ``__call__`` takes ``train``.
        params: from ``init``.
        state: from ``init`` or an earlier call.
        *args: inputs of ``module.__call__``.
        **kwargs: its keyword inputs.

    Returns:
        ``(output, state)`` with the updated batch statistics.
    """
    output, state = module.apply(
        {"params": params, **state}, *args, train=True, mutable=list(state), **kwargs
    )
    return output, dict(state)


def variables(params: PyTree, state: PyTree) -> PyTree:
    """The linen variables of a module, as a checkpoint holds them: the inverse of ``init``."""
    return {"params": params, **state}


def encoder_variables(params: PyTree, state: PyTree) -> PyTree:
    """``Method.encoder`` of every method that keeps both under "encoder"."""
    return variables(params["encoder"], state["encoder"])


def unchanged(params: PyTree, state: PyTree, step: Array) -> PyTree:
    """``Method.advance`` of a method whose state changes in the loss alone."""
    del params, step
    return state
