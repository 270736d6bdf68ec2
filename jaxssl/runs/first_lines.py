"""What a run says of itself before it compiles: method, data, learning rate, and what it sees."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import data, inputs, named
from jaxssl.runs import host_crops, labelled, value_range
from jaxssl.runs.recipe import Recipe
from jaxssl.training import optimizers
from jaxssl.types import Method


def of(recipe: Recipe, source: data.Source, method: Method, example: inputs.Inputs) -> list[str]:
    """The lines, in order.

    Args:
        recipe: of the run, with its method prepared.
        source: the training split.
        method: built.
        example: what its views are made of.
    """
    return [
        _about(recipe, source),
        *data.account_of(source).notes,
        *_about_views(recipe, method, example),
    ]


def _about(recipe: Recipe, source: data.Source) -> str:
    """The line about method, data and learning rate."""
    optimizer, batch_size = recipe.optimizer, recipe.training.batch_size
    peak = optimizers.peak_learning_rate(optimizer, batch_size)
    how_many = f"{len(source):,} {recipe.data.unit}"
    if divided := data.account_of(source).divided:
        how_many = f"{divided} (--data.train-split all takes them too)"
    if labelled.reads(recipe.method):
        how_many += f" with their labels{labelled.describe(recipe.labels)}"
    return (
        f"{named.short(recipe.method)} of a {named.short(recipe.encoder)} on {source.name}: "
        f"{how_many}{value_range.describe(recipe)}; {optimizer.name} with learning rate {peak:g} = "
        f"{optimizer.base_learning_rate:g} x {batch_size} / 256"
    )


def _about_views(recipe: Recipe, method: Method, example: inputs.Inputs) -> list[str]:
    """The line about what the network sees, where it sees images: sizes, mean and deviation."""
    one = {name: jax.ShapeDtypeStruct(shape, dtype) for name, shape, dtype in example}
    made = jax.eval_shape(method.view, jax.eval_shape(lambda: jax.random.key(0)), one)
    seen: tuple[int, ...] = next(
        (one[name].shape for name in ("image", "video") if name in one), ()
    )
    sizes = {
        leaf.shape[-3:]
        for leaf in jax.tree.leaves(made)
        if leaf.ndim >= 3
        and leaf.shape[-1:] == seen[-1:]
        and jnp.issubdtype(leaf.dtype, jnp.floating)
    }
    if not sizes:
        return []
    views = " and ".join(" x ".join(map(str, size)) for size in sorted(sizes, reverse=True))
    line = f"views {views}, of {recipe.data.unit} {' x '.join(map(str, seen))}"
    if host_crops.is_host(recipe):
        line = f"views {views}, cut out of whole {recipe.data.unit} (--data.crops host)"
    mean, std = (getattr(recipe.encoder, name, None) for name in ("mean", "std"))
    if mean is not None and std is not None:
        line += f"; the encoder's mean {_numbers(mean)} and std {_numbers(std)}"
    if seen and seen[-1] not in (1, 3):
        line += "; no change of saturation or hue and no greyscale, which RGB alone has"
    return [line]


def _numbers(values: float | tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in np.ravel(values))
