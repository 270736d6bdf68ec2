"""The step against arithmetic done by hand, and its keys against every split of a batch."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxssl import draws, parallel
from jaxssl.training import step as training_step
from jaxssl.types import Method

IMAGES = np.random.default_rng(0).integers(0, 256, (16, 2, 2, 1), dtype=np.uint8)


def linear_method(axis_name=None):
    """loss = (w · pixels + noise)², with the noise drawn from the example's key."""

    def view(key, example):
        pixels = example["image"].astype(jnp.float32).reshape(-1) / 255
        return {"pixels": pixels, "noise": jax.random.uniform(key)}

    def loss(params, state, views, key, clock):
        del key, clock
        values = (views["pixels"] @ params["encoder"] + views["noise"]) ** 2
        return values, ({"count": state["count"] + 1}, {"noise": views["noise"].mean()})

    return Method(
        view=view,
        init=lambda key, views: ({"encoder": jnp.full(4, 0.5)}, {"count": jnp.int32(0)}),
        loss=loss,
        advance=lambda params, state, clock: {"count": state["count"] + 10},
        encoder=lambda params, state: params["encoder"],
        inputs=dict,
    )


def run_one(devices, backend, batch=IMAGES):
    optimizer = optax.sgd(0.1)
    axis_name = parallel.axis_of(backend)
    method = linear_method(axis_name)
    step = training_step.make_step(method, optimizer, seed=7, axis_name=axis_name)
    chosen = jax.devices()[:devices]
    state = training_step.init_state(method, optimizer, {"image": batch[:1]}, seed=7)
    run = parallel.data_parallel(step, backend=backend, devices=chosen)
    return jax.device_get(run(parallel.replicate(state, chosen), {"image": batch}))


def expected_step():
    """One SGD step in float64, the noise drawn example by example."""
    step_key = jax.random.fold_in(jax.random.key(7), 0)
    noise = np.array([jax.random.uniform(jax.random.fold_in(step_key, i)) for i in range(16)])
    pixels = IMAGES.reshape(16, 4) / 255.0
    weights = np.full(4, 0.5)
    residuals = pixels @ weights + noise
    gradient = sum(2 * r * p for r, p in zip(residuals, pixels)) / 16
    return weights - 0.1 * gradient, np.mean(residuals**2), noise.mean(), gradient


@pytest.mark.parametrize("backend", ["jit", "pmap", "shard_map"])
@pytest.mark.parametrize("devices", [1, 2, 4, 8])
def test_step_is_the_step_by_hand_on_any_number_of_devices(devices, backend):
    state, metrics = run_one(devices, backend)
    weights, loss, noise, gradient = expected_step()
    np.testing.assert_allclose(state.params["encoder"], weights, rtol=1e-6)
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-6)
    np.testing.assert_allclose(metrics["noise"], noise, rtol=1e-6)
    np.testing.assert_allclose(metrics["grad_norm"], np.linalg.norm(gradient), rtol=1e-6)
    np.testing.assert_allclose(metrics["update_norm"], 0.1 * np.linalg.norm(gradient), rtol=1e-6)
    assert state.state["count"] == 11  # once in the loss, then advanced
    assert state.step == 1


def test_keys_depend_on_seed_step_and_position_only():
    def data(seed, step, count):
        keys = draws.example_keys(seed, jnp.int32(step), count, None)
        return np.asarray(jax.random.key_data(keys))

    np.testing.assert_array_equal(data(0, 1, 4), data(0, 1, 8)[:4])
    rows = {tuple(row) for seed in (0, 1) for step in (0, 1) for row in data(seed, step, 8)}
    assert len(rows) == 32


def test_state_that_differs_between_devices_is_refused_while_tracing():
    method = linear_method()._replace(
        advance=lambda params, state, clock: {"count": jax.lax.axis_index("data")}
    )
    optimizer = optax.sgd(0.1)
    step = training_step.make_step(method, optimizer, seed=0, axis_name="data")
    state = training_step.init_state(method, optimizer, {"image": IMAGES[:1]}, seed=0)
    with pytest.raises(ValueError, match="out_specs"):
        parallel.data_parallel(step, backend="shard_map")(
            parallel.replicate(state), {"image": IMAGES}
        )


def test_donated_state_is_gone():
    optimizer = optax.sgd(0.1)
    method = linear_method("data")
    step = training_step.make_step(method, optimizer, seed=0, axis_name="data")
    state = parallel.replicate(
        training_step.init_state(method, optimizer, {"image": IMAGES[:1]}, seed=0)
    )
    parallel.data_parallel(step, backend="pmap")(state, {"image": IMAGES})
    assert state.params["encoder"].is_deleted()
