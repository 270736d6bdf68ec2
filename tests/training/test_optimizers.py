import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.training import optimizers
from jaxssl.training.optimizers import OptimizerConfig

PLAN = {"batch_size": 512, "steps_per_epoch": 10, "total_steps": 100}


def test_peak_is_scaled_by_the_batch():
    assert optimizers.peak_learning_rate(OptimizerConfig(base_learning_rate=0.3), 4096) == 4.8


def test_schedule_against_the_formula():
    config = OptimizerConfig(base_learning_rate=0.5, warmup_epochs=1, final_fraction=0.1)
    rate = optimizers.schedule(config, **PLAN)
    got = np.array([rate(step) for step in range(101)])
    expected = []
    for step in range(101):
        if step < 10:
            expected.append(1.0 * (step + 1) / 10)
        else:
            cosine = 0.5 * (1 + np.cos(np.pi * (step - 10) / 90))
            expected.append(1.0 * (0.1 + 0.9 * cosine))
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_schedule_without_warmup_starts_at_the_peak():
    rate = optimizers.schedule(OptimizerConfig(base_learning_rate=1, warmup_epochs=0), **PLAN)
    assert rate(0) == 2.0


def test_only_kernels_decay_under_scan_too():
    params = {
        "block": {"kernel": jnp.ones((2, 3, 3)), "bias": jnp.ones((2, 3))},
        "class_token": jnp.ones((1, 1, 3)),
    }
    mask = optimizers.kernel_mask(params)
    assert mask == {"block": {"kernel": True, "bias": False}, "class_token": False}


@pytest.mark.parametrize("name", ["adamw", "sgd", "lars"])
def test_zero_gradient_moves_decayed_leaves_only(name):
    config = OptimizerConfig(name=name, weight_decay=0.1, warmup_epochs=0)
    optimizer = optimizers.build(config, **PLAN)
    params = {"kernel": jnp.ones((3, 3)), "bias": jnp.ones(3)}
    updates, _ = optimizer.update(
        jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params
    )
    assert np.all(np.asarray(updates["kernel"]) < 0)
    np.testing.assert_array_equal(updates["bias"], 0)


def one_update(config, gradient, params):
    optimizer = optimizers.build(config, **PLAN)
    return optimizer.update(gradient, optimizer.init(params), params)[0]


def test_lars_first_step_against_the_formula():
    config = OptimizerConfig(
        name="lars", base_learning_rate=1, weight_decay=0.01, warmup_epochs=0,
        trust_coefficient=0.02,
    )  # fmt: skip
    params = {"kernel": jnp.array([[3.0, 4.0]]), "bias": jnp.array([1.0, 1.0])}
    gradient = {"kernel": jnp.array([[0.5, 0.0]]), "bias": jnp.array([0.5, 0.0])}
    updates = one_update(config, gradient, params)
    decayed = np.array([[0.5, 0.0]]) + 0.01 * np.array([[3.0, 4.0]])
    trust = 0.02 * 5.0 / np.linalg.norm(decayed)
    np.testing.assert_allclose(updates["kernel"], -2.0 * trust * decayed, rtol=1e-5)
    np.testing.assert_allclose(updates["bias"], -2.0 * np.array([0.5, 0.0]), rtol=1e-6)


def test_clipping_bounds_the_global_norm():
    config = OptimizerConfig(name="sgd", base_learning_rate=0.5, weight_decay=0, warmup_epochs=0)
    gradient = {"kernel": jnp.array([[30.0, 40.0]])}
    params = jax.tree.map(jnp.ones_like, gradient)
    clipped = one_update(dataclasses.replace(config, clip_norm=1.0), gradient, params)
    np.testing.assert_allclose(clipped["kernel"], -np.array([[0.6, 0.8]]), rtol=1e-6)
    free = one_update(config, gradient, params)
    np.testing.assert_allclose(free["kernel"], -np.array([[30.0, 40.0]]), rtol=1e-6)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("base_learning_rate", 0.0, "base_learning_rate: must be greater than 0; got 0.0"),
        ("trust_coefficient", -1.0, "trust_coefficient: must be greater than 0; got -1.0"),
        ("weight_decay", -0.1, "weight_decay: must not be negative; got -0.1"),
        ("warmup_epochs", -1.0, "warmup_epochs: must not be negative; got -1.0"),
        ("clip_norm", -1.0, "clip_norm: must not be negative; got -1.0"),
        ("momentum", 1.0, r"momentum: must lie in \[0, 1\); got 1.0"),
        ("beta1", 1.0, r"beta1: must lie in \[0, 1\); got 1.0"),
        ("beta2", -0.1, r"beta2: must lie in \[0, 1\); got -0.1"),
        ("final_fraction", 2.0, r"final_fraction: must lie in \[0, 1\]; got 2.0"),
    ],
)
def test_wrong_hyper_parameters_are_named(field, value, text):
    with pytest.raises(ValueError, match=text):
        OptimizerConfig(**{field: value})


def test_warmup_must_be_shorter_than_the_run():
    with pytest.raises(ValueError, match=r"got 100 warm-up steps of 100 in all\. Lower it below"):
        optimizers.schedule(OptimizerConfig(warmup_epochs=10), **PLAN)
