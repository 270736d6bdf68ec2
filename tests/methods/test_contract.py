"""What every method must hold; a new file in methods/ is found and tested without a line here."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import parity
import pytest
import tiny

from jaxssl import jsonable, methods, models, parallel
from jaxssl.training import step as training_step

KEY = jax.random.key(0)
CLOCK = training_step.clock_at(3, steps_per_epoch=4, total_steps=12)
OPTIMIZER = optax.sgd(0.01)


def build(name, encoder, *, axis_name=None, dtype="float32"):
    config = dataclasses.replace(tiny.ENCODERS[encoder], dtype=dtype)
    return tiny.method(name).build(config.build(axis_name=axis_name), axis_name=axis_name)


def views_of(method, images):
    keys = training_step.example_keys(0, CLOCK.step, len(images), None)
    return jax.jit(lambda batch: training_step.make_views(method, batch, keys))({"image": images})


def initial(method, views):
    return jax.jit(method.init)(KEY, jax.tree.map(lambda x: x[:2], views))


@pytest.fixture(scope="module")
def images():
    return tiny.images()


@pytest.fixture(scope="module", params=tiny.CASES, ids=lambda case: "-".join(case))
def case(request, images):
    name, encoder = request.param
    method = build(name, encoder)
    views = views_of(method, images)
    return name, encoder, method, views, *initial(method, views)


def loss_and_gradients(method, params, state, views):
    def objective(params):
        values, aux = method.loss(params, state, views, KEY, CLOCK)
        return jnp.mean(values), (values, aux)

    return jax.jit(jax.value_and_grad(objective, has_aux=True))(params)


def test_every_method_is_found():
    assert {"SimCLR", "MAE", "Rotation"} <= methods.all_configs().keys()


def test_loss_and_gradients_are_finite_and_reach_every_parameter(case):
    _, _, method, views, params, state = case
    (loss, (values, (new_state, metrics))), gradients = loss_and_gradients(
        method, params, state, views
    )
    assert jnp.isfinite(loss)
    assert values.dtype == jnp.float32
    assert values.shape in ((), (16,))
    assert jax.tree.structure(new_state) == jax.tree.structure(state)
    assert all(value.shape == () for value in metrics.values())
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.all(np.isfinite(gradient)), jax.tree_util.keystr(path)
        assert np.any(np.asarray(gradient) != 0), jax.tree_util.keystr(path)


def test_bfloat16_is_finite_and_keeps_float32_parameters(case):
    name, encoder, _, views, params, state = case
    method = build(name, encoder, dtype="bfloat16")
    (loss, (values, _)), gradients = loss_and_gradients(method, params, state, views)
    assert jnp.isfinite(loss)
    assert values.dtype == jnp.float32
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((params, gradients)))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradients))


@pytest.mark.parametrize("backend", parity.BACKENDS)
def test_value_and_gradient_are_those_of_one_device(case, backend):
    name, encoder, _, views, params, state = case

    def values(params, views, axis_name):
        method = build(name, encoder, axis_name=axis_name)
        return method.loss(params, state, views, KEY, CLOCK)[0]

    expected = parity.unmapped(values, params, views)
    # Compiling is what takes the time: four counts under one mapping, the ends under the other.
    for devices in parity.DEVICE_COUNTS if backend == "pmap" else (2, 8):
        outcome = parity.value_and_grad(values, params, views, devices=devices, backend=backend)
        np.testing.assert_allclose(outcome.mean, expected.mean, rtol=1e-5)
        ours, theirs = (
            np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(o.params_gradient)])
            for o in (outcome, expected)
        )
        assert np.linalg.norm(ours - theirs) <= 1e-5 * np.linalg.norm(theirs)
        # Leaf by leaf too, where float32 sums leave more: a wrong factor in one small leaf shows.
        parity.assert_close(outcome, expected, tolerance=1e-4)


@pytest.mark.parametrize("backend", parity.BACKENDS)
def test_a_step_on_eight_devices_is_a_step_on_one(case, backend, images):
    """Keys, state and parameters too; under shard_map JAX proves the state equal while tracing."""
    name, encoder, method, *_ = case
    batch = {"image": images}
    state = jax.jit(lambda: training_step.init_state(method, OPTIMIZER, batch, seed=5))()
    one = jax.jit(training_step.make_step(method, OPTIMIZER, seed=5))
    expected, expected_metrics = one(state, batch)
    method = build(name, encoder, axis_name="data")
    step = training_step.make_step(method, OPTIMIZER, seed=5, axis_name="data")
    got, metrics = parallel.data_parallel(step, backend=backend)(parallel.replicate(state), batch)
    np.testing.assert_allclose(metrics["loss"], expected_metrics["loss"], rtol=1e-5)
    assert metrics.keys() == expected_metrics.keys()
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-5 * max(1, np.abs(b).max()))


def test_three_steps_compile_once_and_the_state_keeps_its_form(case, images):
    name, encoder, *_ = case
    method = build(name, encoder, axis_name="data")
    traces = []
    step = training_step.make_step(method, OPTIMIZER, seed=0, axis_name="data")

    def counted(state, batch):
        traces.append(1)
        return step(state, batch)

    batch = {"image": images}
    state = jax.jit(lambda: training_step.init_state(method, OPTIMIZER, batch, seed=0))()
    form = jax.tree.map(lambda x: (x.shape, x.dtype), state)
    run = parallel.data_parallel(counted, devices=jax.devices()[:2])
    state = parallel.replicate(state, jax.devices()[:2])
    for expected_step in (1, 2, 3):
        state, metrics = run(state, batch)
        jax.block_until_ready(metrics)
        assert state.step == expected_step
    assert len(traces) == 1
    assert jax.tree.map(lambda x: (x.shape, x.dtype), state) == form


def test_exported_encoder_is_the_tree_of_a_fresh_module(case, images):
    _, encoder, method, _, params, state = case
    exported = method.encoder(params, state)
    module = tiny.ENCODERS[encoder].build()
    fresh = jax.eval_shape(lambda: module.init(KEY, images, train=False))
    form = jax.tree.map(lambda x: (x.shape, x.dtype), exported)
    assert form == jax.tree.map(lambda x: (x.shape, x.dtype), dict(fresh))
    assert module.apply(exported, images, train=False).pooled.shape[0] == len(images)


def test_config_survives_json(case):
    name, *_ = case
    config = tiny.method(name)
    text = json.dumps(jsonable.to_json(config))
    assert jsonable.from_json(methods.all_configs()[name], json.loads(text)) == config


def test_order_of_the_batch_does_not_matter(case):
    _, _, method, views, params, state = case
    order = np.random.default_rng(0).permutation(16)
    permuted = jax.tree.map(lambda x: x[order], views)
    expected = loss_and_gradients(method, params, state, views)[0][0]
    np.testing.assert_allclose(
        loss_and_gradients(method, params, state, permuted)[0][0], expected, rtol=1e-5
    )


def test_labels_cannot_be_reached(case, images):
    _, _, method, *_ = case
    seen = []
    spying = method._replace(
        view=lambda key, example: seen.append(set(example)) or method.view(key, example)
    )
    batch = {"image": images, "label": np.zeros(16, np.int32)}
    jax.eval_shape(lambda: training_step.init_state(spying, OPTIMIZER, batch, seed=0))
    step = training_step.make_step(spying, OPTIMIZER, seed=0)
    state = jax.eval_shape(lambda: training_step.init_state(method, OPTIMIZER, batch, seed=0))
    jax.eval_shape(step, state, batch)
    assert len(seen) == 2
    assert all(names == {"image"} for names in seen)


def test_mae_refuses_an_encoder_without_patches():
    encoder = models.ResNetConfig(depth=18).build()
    with pytest.raises(ValueError, match=r"MAE: the encoder must be a ViT.*got ResNet"):
        tiny.method("MAE").build(encoder, axis_name=None)


def test_mae_refuses_an_encoder_that_sees_other_values_than_pixels():
    encoder = dataclasses.replace(tiny.ENCODERS["ViT"], color_space="lab").build()
    with pytest.raises(ValueError, match=r"MAE: the encoder must see the pixels.*got 'lab'"):
        tiny.method("MAE").build(encoder, axis_name=None)
