"""What the methods of two views share: making them, methods with and without a target, pictures."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxssl import schedules
from jaxssl.augment import policies
from jaxssl.methods.shared import assembly, ema, functional
from jaxssl.types import Array, Clock, Embeddings, Example, Method, Metrics, Picture, PyTree, Views


def make_view(augment: policies.Pair, key: Array, example: Example) -> Views:
    """``Method.view``: {"a", "b"}, [H, W, C] each, of the augmentation's pair."""
    view_a, view_b = augment.pair(key, example["image"])
    return {"a": view_a, "b": view_b}


def stack(views: Views) -> Array:
    """Both views as one array [2, B, H, W, C]."""
    return jnp.stack([views["a"], views["b"]])


def embed(network: functional.WithHead, params: PyTree, state: PyTree, views: Views) -> Embeddings:
    """``Method.embed``: the projections of both views, each with batch statistics of its own."""
    projections, _ = functional.apply_to_views(network.apply, params, state, stack(views))
    return Embeddings(*projections)


def assemble(
    augment: policies.Pair,
    network: functional.WithHead,
    init: Callable[[Array, Views], tuple[PyTree, PyTree]],
    loss: Callable[[PyTree, PyTree, Views, Array, Clock], tuple[Array, tuple[PyTree, Metrics]]],
    *,
    advance: Callable[[PyTree, PyTree, Clock], PyTree] | None = None,
    frozen: Callable[[PyTree, Clock], PyTree] | None = None,
) -> Method:
    """The method of two views of an image.

    Args:
        augment: gives the pair.
        network: encoder and projector, for ``Method.embed`` and ``Method.show``.
        init: see ``types.Method``.
        loss: of views {"a", "b"}, [B, H, W, C] each.
        advance: None where the state changes in the loss alone.
        frozen: None where no parameter is ever frozen.

    Raises:
        ValueError: the two views have different sizes.
    """
    augment.check_one_size("augment")
    return assembly.assemble(
        functools.partial(make_view, augment),
        init,
        loss,
        size=augment.size,
        advance=advance,
        frozen=frozen,
        embed=functools.partial(embed, network),
        show=functools.partial(show, network),
    )


def compare_projections(
    augment: policies.Pair,
    network: functional.WithHead,
    compare: Callable[[Array, Array], tuple[Array, Metrics]],
) -> Method:
    """The method whose loss compares the projections of two views, and keeps nothing else.

    Args:
        augment: gives the pair.
        network: encoder and projector; each view has batch statistics of its own.
        compare: ``(projections of a [B, D], of b [B, D]) -> (values, metrics)``.
    """

    def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
        return network.init(key, views["a"])

    def loss(params, state, views, key, clock):
        del key, clock
        projections, state = functional.apply_to_views(network.apply, params, state, stack(views))
        values, metrics = compare(*projections)
        return values, (state, metrics)

    return assemble(augment, network, init, loss)


def compare_with_target(
    augment: policies.Pair,
    online: functional.WithPredictor,
    compare: Callable[[Array, Array], Array],
    *,
    target_momentum: float,
    frozen: Callable[[PyTree, Clock], PyTree] | None = None,
) -> Method:
    """The method that compares each view's prediction with a target's projection of the other.

    The target is encoder and projector; it follows the online network by an exponential moving
    average whose momentum rises along a cosine to 1. It has batch statistics of its own.

    Args:
        augment: gives the pair.
        online: encoder, projector and predictor; each view has batch statistics of its own.
        compare: ``(predictions [2, B, D], targets [2, B, D]) -> values [B]``; targets are those
            of the other view, without a gradient.
        target_momentum: at the start.
        frozen: None where no parameter is ever frozen.
    """
    network = online.network

    def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
        params, state = online.init(key, views["a"])
        return params, state | {"target": ema.start(params, state, network.names)}

    def loss(params, state, views, key, clock):
        del key, clock
        images, target = stack(views), state["target"]
        _, predictions, new_state = online.apply(params, state, images)
        targets, target_state = functional.apply_to_views(
            network.apply, target["params"], target["state"], images
        )
        new_state["target"] = target | {"state": target_state}
        return compare(predictions, jax.lax.stop_gradient(targets[::-1])), (new_state, {})

    def advance(params: PyTree, state: PyTree, clock: Clock) -> PyTree:
        momentum = schedules.cosine(target_momentum, 1.0, clock.progress)
        return state | {"target": ema.follow(state["target"], params, momentum)}

    return assemble(augment, network, init, loss, advance=advance, frozen=frozen)


def show(
    network: functional.WithHead, params: PyTree, state: PyTree, views: Views
) -> list[Picture]:
    """``Method.show``: both views, and which second view the network takes for the first's pair.

    Args:
        network: encoder and projector.
        params: of a checkpoint.
        state: of a checkpoint.
        views: {"a", "b"}, [B, H, W, C] each.

    Returns:
        Titles and images float32 [B, H, W, C] in [0, 1].
    """
    view_a, view_b = views["a"], views["b"]
    projections = network.predict(params, state, jnp.concatenate([view_a, view_b]))
    projections /= jnp.linalg.norm(projections, axis=-1, keepdims=True)
    projected_a, projected_b = jnp.split(projections, 2)
    chosen = (projected_a @ projected_b.T).argmax(-1)
    right = int((chosen == jnp.arange(len(chosen))).sum())
    return [
        ("view a", view_a),
        ("view b", view_b),
        (f"the b most like a ({right} of {len(chosen)} right)", view_b[chosen]),
    ]
