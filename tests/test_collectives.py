"""Each collective operation on devices against NumPy on the whole, and the identity without them.

Their gradients are tested with the losses and methods that use them.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import collectives, parallel

DEVICES = 4
ROWS = np.arange(24, dtype=np.float32).reshape(8, 3)  # two a device
TREE = {"rows": ROWS, "labels": np.arange(8, dtype=np.int32)}


SPLIT, EQUAL = jax.P("data"), jax.P()


def mapped(fn, *, out_specs=SPLIT):
    """``fn(tree of local rows)`` on four devices, types checked."""
    mesh = parallel.mesh(devices=jax.devices()[:DEVICES])
    return jax.jit(jax.shard_map(fn, mesh=mesh, in_specs=SPLIT, out_specs=out_specs))


def test_size_and_position():
    def here(tree):
        assert collectives.axis_size("data") == DEVICES
        return collectives.axis_index("data")[None]

    np.testing.assert_array_equal(mapped(here)(TREE), np.arange(DEVICES))


@pytest.mark.parametrize("name", ("psum", "pmean"))
def test_sums_and_means_are_equal_on_all_devices(name):
    reduce = getattr(collectives, name)
    got = mapped(lambda tree: reduce(tree, "data"), out_specs=EQUAL)({"rows": ROWS})
    by_device = ROWS.reshape(DEVICES, 2, 3)
    expected = {"psum": by_device.sum(0), "pmean": by_device.mean(0)}[name]
    np.testing.assert_array_equal(got["rows"], expected)


@pytest.mark.parametrize(("check_vma", "expected"), [(True, 1), (False, 2)])
def test_what_is_known_to_be_equal_is_not_exchanged_again(check_vma, expected):
    """As gradients are under shard_map, where JAX sums them itself."""

    def twice(rows):
        return collectives.pmean(collectives.pmean(rows, "data"), "data")

    mesh = parallel.mesh(devices=jax.devices()[:DEVICES])
    split = jax.shard_map(twice, mesh=mesh, in_specs=SPLIT, out_specs=EQUAL, check_vma=check_vma)
    np.testing.assert_array_equal(split(ROWS), ROWS.reshape(DEVICES, 2, 3).mean(0))
    assert str(jax.make_jaxpr(split)(ROWS)).count("= psum") == expected


def test_gathered_rows_stand_in_the_order_of_devices():
    def everyone(tree):
        return jax.tree.map(lambda leaf: leaf[None], collectives.all_gather(tree, "data"))

    for name, leaf in mapped(everyone)(TREE).items():
        np.testing.assert_array_equal(leaf, np.broadcast_to(TREE[name], (DEVICES, *leaf.shape[1:])))


@pytest.mark.parametrize("axis_name", ["data", None])
def test_rows_in_reverse_are_those_of_the_whole_batch(axis_name):
    def turn(tree):
        return collectives.reversed_rows(tree, axis_name)

    got = (mapped(turn) if axis_name else turn)(TREE)
    for name, leaf in got.items():
        np.testing.assert_array_equal(leaf, TREE[name][::-1])


def test_rows_gathered_for_a_state_are_typed_as_equal():
    got = mapped(lambda tree: collectives.all_gather_equal(tree, "data"), out_specs=EQUAL)(TREE)
    jax.tree.map(np.testing.assert_array_equal, got, TREE)
    with pytest.raises(ValueError, match="out_specs"):
        mapped(lambda tree: collectives.all_gather(tree, "data"), out_specs=EQUAL)(TREE)


def test_gradients_of_gathered_rows_flow_back_to_their_device():
    weights = jnp.arange(24.0).reshape(8, 3)

    def gradient(rows):
        def price(rows):
            return jnp.sum(weights * collectives.all_gather(rows, "data"))

        return jax.grad(lambda rows: collectives.pmean(price(rows), "data"))(rows)

    np.testing.assert_allclose(mapped(gradient)(ROWS), weights, rtol=1e-6)


@pytest.mark.parametrize("times", (1, 3, DEVICES))
def test_leaves_go_round_the_ring_and_come_home(times):
    def passed(tree):
        for _ in range(times):
            tree = collectives.from_previous(tree, "data")
        return tree

    for name, leaf in mapped(passed)(TREE).items():
        np.testing.assert_array_equal(leaf, np.roll(TREE[name], 2 * times, axis=0))


def test_what_is_typed_as_differing_keeps_its_values_and_its_gradient_sums():
    def gradient(rows):
        def price(factor):
            return jnp.sum(rows * collectives.varying(factor, "data"))

        factor = jnp.ones((1, 3))
        total = collectives.psum(price(factor), "data")
        return total, collectives.psum_as(
            jax.grad(lambda factor: collectives.psum(price(factor), "data"))(factor), factor
        )

    total, summed = mapped(gradient, out_specs=EQUAL)(ROWS)
    assert total == ROWS.sum()
    np.testing.assert_array_equal(summed, ROWS.sum(0, keepdims=True))


def test_a_gradient_is_summed_where_its_operand_is_equal_and_only_there():
    def sums(rows):
        equal = jnp.ones(3)
        return collectives.psum_as(rows, equal)[:1], collectives.psum_as(rows, rows)

    summed, kept = mapped(sums, out_specs=(EQUAL, SPLIT))(ROWS)
    np.testing.assert_array_equal(summed[0], ROWS[::2].sum(0))
    np.testing.assert_array_equal(kept, ROWS)


def test_without_an_axis_each_is_the_identity():
    assert collectives.axis_size(None) == 1
    assert collectives.axis_index(None) == 0
    for name in ("pmean", "psum", "all_gather", "all_gather_equal", "from_previous", "varying"):
        assert getattr(collectives, name)(TREE, None) is TREE
    rows = jnp.asarray(ROWS)
    assert collectives.psum_as(rows, rows) is rows


def test_what_is_sorted_out_of_rows_is_typed_as_they_are():
    """The gradient of a shared query at places that each device sorts by itself."""

    def gradient(rows, axis_name, is_typed):
        places = jnp.argsort(rows, axis=1)
        if is_typed:
            places = collectives.varying_as(places, rows)
        table = jnp.sin(jnp.arange(3.0))

        def value(query):
            return collectives.pmean(jnp.mean(jnp.tanh(query + table[places]) * rows), axis_name)

        return collectives.pmean(jax.grad(value)(jnp.ones(())), axis_name)

    rows = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    expected = gradient(rows, None, False)
    got = mapped(lambda tree: gradient(tree, "data", True), out_specs=EQUAL)(rows)
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    assert collectives.varying_as(TREE, jnp.ones(8)) == TREE  # nothing to do where none is mapped
