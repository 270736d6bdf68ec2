"""Tiled losses over several devices: what a device holds depends on its own rows alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import losses, parallel

LOSSES = {
    "nt_xent": losses.nt_xent,
    "info_nce": losses.info_nce,
    "siglip": functools.partial(losses.siglip, temperature=0.1, bias=-5.0),
}
ROWS, DIM, BLOCK = 256, 16, 32  # of one device


def rows_of(count):
    return [jax.random.normal(key, (count, DIM)) for key in jax.random.split(jax.random.key(0))]


def compiled(loss, backend, num_devices):
    """Value and gradient of the mean over all rows, compiled for rows that are spread."""
    mesh = parallel.mesh(devices=jax.devices()[:num_devices])
    axis_name = parallel.axis_of(backend)

    def objective(pair):
        values = loss(*pair, block_size=BLOCK, axis_name=axis_name)
        mean = jnp.mean(values)
        return mean if axis_name is None else jax.lax.pmean(mean, axis_name)

    gradient = jax.grad(objective)
    rows = jax.P("data")
    if backend == "shard_map":
        gradient = jax.shard_map(gradient, mesh=mesh, in_specs=rows, out_specs=rows)
    lie = jax.sharding.NamedSharding(mesh, rows)
    row = jax.ShapeDtypeStruct((num_devices * ROWS, DIM), jnp.float32, sharding=lie)
    return jax.jit(gradient, out_shardings=lie).lower((row, row)).compile()


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        ("nt_xent", "jit"),
        *(
            pytest.param(name, backend, marks=pytest.mark.slow)
            for name in LOSSES
            for backend in ("jit", "shard_map")
            if (name, backend) != ("nt_xent", "jit")
        ),
    ],
)
def test_memory_of_a_device_does_not_grow_with_their_number(name, backend):
    two, eight = (compiled(LOSSES[name], backend, count) for count in (2, 8))
    assert "all-gather" not in two.as_text()
    taken = [each.memory_analysis().temp_size_in_bytes for each in (two, eight)]
    assert taken[1] <= 1.05 * taken[0]
    # A strip for values and one for weights, and hardly more than the rows beside them.
    columns = (2 if name == "nt_xent" else 1) * ROWS
    assert taken[0] < 4 * (4 * BLOCK * columns + 40 * columns * DIM)


@pytest.mark.parametrize(
    "name",
    ["siglip", *(pytest.param(each, marks=pytest.mark.slow) for each in ("nt_xent", "queue"))],
)
def test_a_mesh_of_two_axes_is_one_ring(name):
    queue = jax.random.normal(jax.random.key(1), (40, DIM))
    loss = LOSSES.get(name) or functools.partial(losses.info_nce, negatives=queue)
    mesh = jax.make_mesh((2, 4), ("data", "model"), axis_types=(jax.sharding.AxisType.Auto,) * 2)

    def objective(pair):
        return jnp.mean(loss(*pair, block_size=3))

    both = jax.jit(jax.value_and_grad(objective))
    pair = rows_of(24)
    expected = both(pair)
    got = both(jax.device_put(pair, jax.sharding.NamedSharding(mesh, jax.P("data"))))
    for ours, theirs in zip(*map(jax.tree.leaves, (got, expected)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_rows_that_the_devices_do_not_divide_are_priced_all_the_same():
    mesh = parallel.mesh(devices=jax.devices()[:2])
    both = jax.jit(lambda a, b: losses.info_nce(a, b, block_size=2))
    pair = rows_of(5)
    placed = jax.device_put(pair, jax.sharding.NamedSharding(mesh, jax.P()))
    np.testing.assert_allclose(both(*placed), both(*pair), rtol=1e-5)
