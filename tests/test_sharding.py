"""Which leaves of a state are divided, along which axis, and what a loss makes of divided ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import sharding
from jaxssl.types import TrainState


def state(**params):
    leaves = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in params.items()}
    step = jax.ShapeDtypeStruct((), jnp.int32)
    return TrainState(step=step, params=leaves, state={"target": leaves}, opt_state=(leaves,))


def spec(lie):
    return tuple(lie.spec)


def test_the_largest_axis_that_the_devices_divide_is_divided():
    lie = sharding.of_state(
        state(wide=(512, 1024), odd=(1001, 64), deep=(3, 64, 256), square=(128, 128), bias=(1024,)),
        "params",
        devices=jax.devices()[:4],
    )
    expected = {
        "wide": (None, "data"),
        "odd": (None, "data"),
        "deep": (None, None, "data"),
        "square": ("data",),
        "bias": (),  # too small to be worth a message
    }
    for leaves in (lie.params, lie.state["target"], lie.opt_state[0]):
        assert {name: spec(leaf) for name, leaf in leaves.items()} == expected
    assert spec(lie.step) == ()
    assert lie.params["wide"].mesh.size == 4


@pytest.mark.parametrize(
    ("shard", "divided"), [("none", set()), ("state", {"opt_state"}), ("params", None)]
)
def test_a_rule_divides_what_it_names(shard, divided):
    lie = sharding.of_state(state(kernel=(512, 512)), shard)
    parts = {"params": lie.params, "state": lie.state, "opt_state": lie.opt_state}
    found = {
        name
        for name, tree in parts.items()
        if not any(leaf.is_fully_replicated for leaf in jax.tree.leaves(tree))
    }
    assert found == (parts.keys() if divided is None else divided)


def test_a_leaf_that_cannot_be_divided_is_named():
    message = (
        r"^run\.shard: every leaf of 16,384 elements or more must have an axis that 8 devices "
        r"divide; got params/odd of \[129, 130\]\. Use another number of devices"
    )
    with pytest.raises(ValueError, match=message):
        sharding.of_state(state(odd=(129, 130)), "params")
    with pytest.raises(ValueError, match="got opt_state/0/odd of"):
        sharding.of_state(state(odd=(129, 130)), "state")
    sharding.of_state(state(odd=(129, 130)), "none")
    sharding.of_state(state(odd=(129, 130)), "params", devices=jax.devices()[:5])


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="shard must be one of 'none', 'state', 'params'; got 'a"):
        sharding.of_state(state(), "all")


def test_divided_parameters_have_the_gradient_of_whole_ones_divided_likewise():
    keys = jax.random.split(jax.random.key(0), 3)
    params = {
        "a": jax.random.normal(keys[0], (64, 256)),
        "b": jax.random.normal(keys[1], (256, 64)),
    }
    rows = jax.random.normal(keys[2], (16, 64))

    def objective(params, rows):
        return jnp.mean(jnp.tanh(jnp.tanh(rows @ params["a"]) @ params["b"]) ** 2)

    expected = jax.jit(jax.value_and_grad(objective))(params, rows)
    like = TrainState(step=jnp.int32(0), params=params, state={}, opt_state={})
    lie = sharding.of_state(like, "params").params
    mesh = lie["a"].mesh

    def value_and_gradient(params, rows):
        of = sharding.gathering(lambda params: objective(params, rows), lie)
        return jax.value_and_grad(of)(params)

    placed = jax.device_put((params, rows), (lie, jax.sharding.NamedSharding(mesh, jax.P("data"))))
    got = jax.jit(value_and_gradient)(*placed)
    for ours, theirs in zip(*map(jax.tree.leaves, (got, expected)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    for name, leaf in got[1].items():
        assert leaf.sharding.is_equivalent_to(lie[name], leaf.ndim)


def test_without_a_mesh_the_objective_stays():
    assert sharding.gathering(len, None) is len
