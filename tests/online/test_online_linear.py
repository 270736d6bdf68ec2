"""The linear probe that learns beside an encoder: SGD against float64 loops, on any devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import parallel
from jaxssl.online import linear

NUM_FEATURES, NUM_CLASSES, BATCH = 5, 3, 16


def batches(count):
    generator = np.random.default_rng(0)
    for _ in range(count):
        labels = generator.integers(0, NUM_CLASSES, BATCH).astype(np.int32)
        features = generator.normal(size=(BATCH, NUM_FEATURES)) * [1, 10, 0.1, 1, 0] + 4
        features[:, 0] += 2 * labels
        yield {"features": features.astype(np.float32), "label": labels}


def expected(given):
    """Weights, bias, running mean and variance, and losses, of float64 loops."""
    weights, bias = np.zeros((NUM_FEATURES, NUM_CLASSES)), np.zeros(NUM_CLASSES)
    velocity = [np.zeros_like(weights), np.zeros_like(bias)]
    running, losses = [np.zeros(NUM_FEATURES), np.zeros(NUM_FEATURES)], []
    for step, batch in enumerate(given):
        features = np.float64(batch["features"])
        mean, variance = features.mean(0), features.var(0)
        inputs = (features - mean) / np.sqrt(variance + 1e-6) / np.sqrt(NUM_FEATURES)
        gradients, loss = [np.zeros_like(weights), np.zeros_like(bias)], 0.0
        for row, label in zip(inputs, batch["label"]):
            scores = np.exp(row @ weights + bias)
            shares = scores / scores.sum()
            loss -= np.log(shares[label]) / BATCH
            shares[label] -= 1
            gradients[0] += np.outer(row, shares) / BATCH
            gradients[1] += shares / BATCH
        velocity = [0.9 * v + g for v, g in zip(velocity, gradients)]
        weights, bias = weights - velocity[0], bias - velocity[1]
        rate = max(0.1, 1 / (step + 1))
        running = [r + rate * (new - r) for r, new in zip(running, (mean, variance))]
        losses.append(loss)
    return weights, bias, running, losses


def update(probe, batch, axis_name=None):
    return linear.update(probe, batch["features"], batch["label"], axis_name=axis_name)


def trained(step, probe, given):
    losses = []
    for batch in given:
        probe, loss = step(probe, batch)
        losses.append(float(loss))
    return probe, losses


@pytest.mark.parametrize("num_devices", [None, 1, 8])
def test_learns_as_the_loops_do(num_devices):
    begun, given = linear.begin(NUM_FEATURES, NUM_CLASSES), list(batches(12))
    if num_devices is None:
        step = jax.jit(update)
    else:
        devices = jax.devices()[:num_devices]
        begun = parallel.replicate(begun, devices)
        step = parallel.map_measurement(
            lambda probe, batch: update(probe, batch, parallel.AXIS),
            backend="shard_map",
            devices=devices,
        )
    probe, losses = trained(step, begun, given)
    weights, bias, (mean, variance), expected_losses = expected(given)
    for got, wanted in (
        (probe.weights, weights), (probe.bias, bias), (probe.mean, mean),
        (probe.variance, variance), (losses, expected_losses),
    ):  # fmt: skip
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)
    assert probe.step == 12 and losses[0] == pytest.approx(np.log(NUM_CLASSES))
    features = given[-1]["features"]
    rows = (features - mean) / np.sqrt(variance + 1e-6) / np.sqrt(NUM_FEATURES)
    answers = linear.predict(jax.device_get(probe), jnp.asarray(features))
    np.testing.assert_array_equal(answers, (rows @ weights + bias).argmax(1))


def test_no_gradient_reaches_the_features():
    (batch,) = batches(1)
    batch = {"features": jnp.asarray(batch["features"]), "label": jnp.asarray(batch["label"])}
    probe, _ = trained(jax.jit(update), linear.begin(NUM_FEATURES, NUM_CLASSES), [batch])

    def loss(features):
        return update(probe, batch | {"features": features})[1]

    assert not np.any(jax.grad(loss)(batch["features"]))


@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e3])
def test_stays_stable_where_all_features_are_one(scale):
    """The steepest case: all of the rows' variance lies in one direction."""
    labels = (np.arange(BATCH) % 2).astype(np.int32)
    features = scale * np.repeat(2.0 * labels[:, None] - 1, 64, axis=1).astype(np.float32)
    batch = {"features": jnp.asarray(features), "label": jnp.asarray(labels)}
    _, losses = trained(jax.jit(update), linear.begin(64, 2), [batch] * 60)
    assert np.all(np.isfinite(losses)) and losses[-1] < 0.02
