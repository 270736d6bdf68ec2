"""linen modules as pure functions of (params, state): what methods call."""

import dataclasses
import functools
import operator
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl.types import Array, Features, PyTree


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


def apply_to_views(
    apply: Callable[[PyTree, PyTree, Array], tuple[PyTree, PyTree]],
    params: PyTree,
    state: PyTree,
    inputs: Array,
) -> tuple[PyTree, PyTree]:
    """Applies a network to several views at once, each normalised by batch statistics of its own.

    Args:
        apply: ``(params, state, inputs) -> (outputs, state)``, as ``WithHead.apply`` or a partial
            of this module's ``apply``.
        params: of the network.
        state: of the network.
        inputs: [V, B, ...].

    Returns:
        ``(outputs [V, B, ...], state)``; the running statistics move by the mean over views.
    """
    # Not by vmap, whose rule for convolutions makes one batch of views and examples: where examples
    # are spread over devices, the compiler can divide no such batch, and all devices do all of it.
    applied = [apply(params, state, view) for view in inputs]
    outputs, states = (
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *of_views)
        for of_views in zip(*applied, strict=True)
    )
    return outputs, jax.tree.map(lambda leaf: leaf.mean(axis=0), states)


def variables(params: PyTree, state: PyTree) -> PyTree:
    """The linen variables of a module, as a checkpoint holds them: the inverse of ``init``."""
    return {"params": params, **state}


@dataclasses.dataclass(frozen=True)
class WithHead:
    """An encoder and the head on top of it, as pure functions of one tree of both.

    Attributes:
        encoder: the linen module under "encoder" in params and state.
        head: the linen module that reads its features.
        name: where the head is in params and state.
        read: what of the features the head is given; by default the pooled ones.
    """

    encoder: nn.Module
    head: nn.Module
    name: str = "head"
    read: Callable[[Features], Array] = operator.attrgetter("pooled")

    @property
    def names(self) -> tuple[str, str]:
        """Where both are in params and state."""
        return "encoder", self.name

    def init(self, key: Array, images: Array) -> tuple[PyTree, PyTree]:
        """``(params, state)`` of both, from images [B, H, W, C]; see ``init`` of one module."""
        encoder_key, head_key = jax.random.split(key)
        params, state = init(self.encoder, encoder_key, images)
        features = self.encoder.apply(variables(params, state), images)
        head_params, head_state = init(self.head, head_key, self.read(features))  # type: ignore[arg-type]
        return (
            {"encoder": params, self.name: head_params},
            {"encoder": state, self.name: head_state},
        )

    def apply(
        self, params: PyTree, state: PyTree, images: Array, **options: Array
    ) -> tuple[Array, PyTree]:
        """``(output of the head, state)`` in training mode; the encoder takes the options."""
        features, encoder_state = apply(
            self.encoder, params["encoder"], state["encoder"], images, **options
        )
        output, head_state = apply(
            self.head, params[self.name], state[self.name], self.read(features)
        )
        return output, {"encoder": encoder_state, self.name: head_state}

    def predict(self, params: PyTree, state: PyTree, images: Array) -> Array:
        """The output of the head in evaluation mode: running statistics, nothing updated."""
        features = self.encoder.apply(encoder_variables(params, state), images, train=False)
        head_variables = variables(params[self.name], state[self.name])
        return self.head.apply(head_variables, self.read(features), train=False)  # type: ignore[arg-type, return-value]


@dataclasses.dataclass(frozen=True)
class WithPredictor:
    """An encoder with a projector, and a predictor that reads the projections of several views.

    Attributes:
        network: encoder and projector.
        predictor: the linen module under "predictor" in params and state.
    """

    network: WithHead
    predictor: nn.Module

    def init(self, key: Array, images: Array) -> tuple[PyTree, PyTree]:
        """``(params, state)`` of all three, from images [B, H, W, C]."""
        network_key, predictor_key = jax.random.split(key)
        params, state = self.network.init(network_key, images)
        projections = self.network.predict(params, state, images)
        predictor_params, predictor_state = init(self.predictor, predictor_key, projections)
        return params | {"predictor": predictor_params}, state | {"predictor": predictor_state}

    def apply(self, params: PyTree, state: PyTree, images: Array) -> tuple[Array, Array, PyTree]:
        """``(projections, predictions, state)`` of views [V, B, H, W, C], in training mode.

        Each view has batch statistics of its own; projections and predictions are [V, B, D].
        """
        projections, new_state = apply_to_views(self.network.apply, params, state, images)
        predictions, new_state["predictor"] = apply_to_views(
            functools.partial(apply, self.predictor),
            params["predictor"],
            state["predictor"],
            projections,
        )
        return projections, predictions, new_state


def encoder_variables(params: PyTree, state: PyTree) -> PyTree:
    """``Method.encoder`` of every method that keeps both under "encoder"."""
    return variables(params["encoder"], state["encoder"])


def target_variables(params: PyTree, state: PyTree) -> PyTree:
    """``Method.encoder`` of every method that keeps a slow copy of both, its best, as "target"."""
    del params
    return encoder_variables(**state["target"])
