"""Parameters that are frozen for a while: the optimizer passes them by, as if they were not there.

PyTorch's optimizers skip a parameter without gradient: it is neither moved nor decayed, its moments
stay as they are, and the steps that Adam corrects its bias by are those that the parameter has
taken. An optax optimizer sees all parameters in every step and has one count. Fed with zeros, its
momentum would gather the weight decay, and its count would run on: the first twenty steps after a
long freeze would be 3 to 6.5 times the learning rate (a steady gradient, betas 0.9 and 0.999).

What is frozen may change from step to step, inside one compilation.

Source: torch/optim/adam.py (``_init_group``: parameters whose ``grad`` is None are left out, a
    ``step`` for each of the others); DINO's ``cancel_gradients_last_layer`` (utils.py) and SwAV's
    main_swav.py freeze prototypes by setting their ``grad`` to None.
"""

import functools

import jax
import jax.numpy as jnp
import optax

from jaxssl.types import PyTree


def scale_by_adam(beta1: float = 0.9, beta2: float = 0.999) -> optax.GradientTransformation:
    """Adam's scaling with a count of steps for every parameter instead of one for all.

        m <- beta1 m + (1 - beta1) g,   v <- beta2 v + (1 - beta2) g²
        update = m / (1 - beta1^k) / (sqrt(v / (1 - beta2^k)) + 1e-8)

    k is the number of steps that the parameter itself has taken: ``keep_state`` keeps it back while
    the parameter is frozen. The state is that of ``optax.scale_by_adam``, but for ``count``: a tree
    of int32 scalars like params.

    Args:
        beta1: decay of the mean, in [0, 1).
        beta2: decay of the mean square, in [0, 1).

    Source: Kingma & Ba: Adam, 2014, arXiv 1412.6980, algorithm 1.
    """
    of_one = optax.scale_by_adam(beta1, beta2)

    def init(params):
        counts = jax.tree.map(lambda _: jnp.zeros([], jnp.int32), params)
        return of_one.init(params)._replace(count=counts)

    return optax.GradientTransformation(init, functools.partial(_update_each, of_one))


def _update_each(of_one: optax.GradientTransformation, updates, state, params=None):
    """The update of every parameter by a count of its own."""
    del params
    pairs = jax.tree.map(
        lambda update, *fields: of_one.update(update, optax.ScaleByAdamState(*fields)),
        updates,
        *state,
    )
    pair = jax.tree.structure((0, optax.ScaleByAdamState(0, 0, 0)))
    return jax.tree.transpose(jax.tree.structure(updates), pair, pairs)


def check_state(opt_state: PyTree) -> None:
    """Refuses an Adam with one count for all parameters.

    Args:
        opt_state: the state of an optimizer whose method freezes parameters.

    Raises:
        ValueError: it holds the state of ``optax.scale_by_adam``.
    """

    def is_adam(node):
        return isinstance(node, optax.ScaleByAdamState)

    for node in jax.tree.leaves(opt_state, is_leaf=is_adam):
        if is_adam(node) and isinstance(node.count, jax.Array):
            raise ValueError(
                "make_step: where the method freezes parameters, Adam must count the steps of "
                "each; got one count for all. Use optimizers.build(..., freezes=True), or "
                "freezing.scale_by_adam instead of optax.scale_by_adam."
            )


def zero(updates: PyTree, frozen: PyTree) -> PyTree:
    """Gradients or updates with zeros where ``frozen`` is true.

    Args:
        updates: a tree like params.
        frozen: booleans, a tree like params; see ``Method.frozen``.
    """
    return jax.tree.map(
        lambda update, is_frozen: jnp.where(is_frozen, jnp.zeros_like(update), update),
        updates,
        frozen,
    )


def keep_state(new: PyTree, old: PyTree, frozen: PyTree) -> PyTree:
    """The new state of an optimizer, but the old one of the parameters that are frozen.

    Whatever part of the state is a tree like params (moments, momentum, the counts of
    ``scale_by_adam``) is kept parameter by parameter; the rest, as the count that a learning-rate
    schedule follows, is new. The state of ``optax.masked`` is no tree like params where it masks
    anything: masked transformations should keep nothing.

    Args:
        new: the optimizer's state after a step.
        old: before it.
        frozen: booleans, a tree like params; see ``Method.frozen``.
    """
    form = jax.tree.structure(frozen)

    def is_like_params(node):
        return jax.tree.structure(node) == form  # type: ignore[operator]

    def kept(new, old):
        if not is_like_params(new):
            return new
        return jax.tree.map(
            lambda new, old, is_frozen: jnp.where(is_frozen, old, new), new, old, frozen
        )

    return jax.tree.map(kept, new, old, is_leaf=is_like_params)
