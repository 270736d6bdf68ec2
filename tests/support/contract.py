"""A method with its encoder, a batch and a state: what the contract of all methods is held to."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tiny

from jaxssl import draws, parallel, schedules
from jaxssl.types import Method, PyTree

KEY = jax.random.key(0)
CLOCK = schedules.clock_at(3, steps_per_epoch=4, total_steps=12)
OPTIMIZER = optax.sgd(0.01)
MOMENTS = {"seed": 5, "steps_per_epoch": 2, "total_steps": 4}


def build(name, encoder, *, axis_name=None, dtype="float32"):
    config = dataclasses.replace(tiny.ENCODERS[encoder], dtype=dtype)
    return tiny.method(name).build(config.build(axis_name=axis_name), axis_name=axis_name)


def views_of(method, batch):
    keys = draws.example_keys(0, CLOCK.step, len(batch["index"]), None)
    return jax.jit(lambda batch: draws.make_views(method, batch, keys))(batch)


def loss_and_gradients(method, state):
    """Of (params, views), compiled once however often it is called."""

    def objective(params, views):
        values, aux = method.loss(params, state, views, KEY, CLOCK)
        return jnp.mean(values), (values, aux)

    return jax.jit(jax.value_and_grad(objective, has_aux=True))


class Case(NamedTuple):
    name: str
    encoder: str
    batch: dict
    method: Method
    views: PyTree
    params: PyTree
    state: PyTree
    loss_and_gradients: Callable


def make(name, encoder):
    method, batch = build(name, encoder), tiny.batch(encoder, labelled=tiny.reads_label(name))
    views = views_of(method, batch)
    params, state = jax.jit(method.init)(KEY, jax.tree.map(lambda x: x[:2], views))
    loss = loss_and_gradients(method, state)
    return Case(name, encoder, batch, method, views, params, state, loss)


def frozen_at(method, params, clock):
    """Whether each parameter is frozen, by path."""
    if method.frozen is None:
        flags = jax.tree.map(lambda leaf: False, params)
    else:
        flags = method.frozen(params, clock)
        assert jax.tree.structure(flags) == jax.tree.structure(params)
    return {
        jax.tree_util.keystr(path): bool(np.all(flag))
        for path, flag in jax.tree_util.tree_leaves_with_path(flags)
    }


def operations(step, state, batch):
    """Of a step on each of all devices, as ``data_parallel`` under jit compiles it."""
    mesh = parallel.mesh()
    everywhere, by_rows = (
        jax.sharding.NamedSharding(mesh, spec) for spec in (jax.P(), jax.P(parallel.AXIS))
    )
    placed = jax.device_put((state, batch), (everywhere, by_rows))
    mapped = jax.jit(step, out_shardings=(everywhere, everywhere), donate_argnums=0)
    return mapped.lower(*placed).compile().cost_analysis()["flops"]


def without_batch_norm(config):
    """The config of an encoder that looks at one example at a time, where there is one."""
    if hasattr(config, "image"):
        return dataclasses.replace(config, image=without_batch_norm(config.image))
    return (
        dataclasses.replace(config, batch_norm=False) if hasattr(config, "batch_norm") else config
    )


def unchanged(before, after):
    """Names of the state's entries, within a target too, of which no value has changed."""
    entries = [
        (name, before[name], after[name]) for name in before if name != "target"
    ] + [
        (f"target/{name}", before["target"][name], after["target"][name])
        for name in before.get("target", ())
    ]  # fmt: skip
    return {
        name
        for name, *trees in entries
        if jax.tree.leaves(trees)
        and all(map(np.array_equal, *(jax.tree.leaves(tree) for tree in trees)))
    }
