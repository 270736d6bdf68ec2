"""SwAV against a float64 loop over its own projections: codes, loss and queue of four steps."""

import dataclasses
import types

import embedding_oracles
import jax
import jax.numpy as jnp
import numpy as np
import parity
import pytest
import small_encoder
import tiny

from jaxssl import schedules
from jaxssl.methods import swav
from jaxssl.methods.shared import clusters

TINY = {"SwAV": {"num_prototypes": 8, "queue_size": 16, "queue_epochs": 0}}

KEY = jax.random.key(0)
BATCH, QUEUE, PROTOTYPES = 4, 8, 6
EPOCHS = (0.5, 1.0, 1.25, 1.5)  # the queue fills in the two in the middle, and then counts
CONFIG = dataclasses.replace(
    tiny.method("SwAV"),
    num_prototypes=PROTOTYPES,
    queue_size=QUEUE,
    queue_epochs=1.0,
    epsilon=0.1,
    temperature=0.2,
)


def built(axis_name=None, **changes):
    encoder = small_encoder.SmallConfig().build(axis_name=axis_name)
    config = dataclasses.replace(CONFIG, **changes)
    return config.build(encoder, axis_name=axis_name), config._network(encoder, axis_name)


def crops(seed, *, num_local=2):
    """Noise instead of crops: what the network sees does not matter here."""
    random = np.random.default_rng(seed)
    views = {"global": random.uniform(size=(BATCH, 2, 16, 16, 3)).astype(np.float32)}
    if num_local:
        views["local"] = random.uniform(size=(BATCH, num_local, 8, 8, 3)).astype(np.float32)
    return views


def clock_at(epoch):
    return schedules.clock_at(round(epoch * 4), steps_per_epoch=4, total_steps=12)


@pytest.fixture(scope="module")
def initial():
    params, state = jax.jit(built()[0].init)(KEY, crops(0))
    # Prototypes of any length: they are normalised where they are used.
    params["prototypes"]["kernel"] *= jnp.arange(1, PROTOTYPES + 1, dtype=jnp.float32)[None]
    return params, state


@pytest.fixture(scope="module")
def steps(initial):
    """Projections, values and queue after each of four steps with fixed parameters."""
    params, state = initial
    method, network = built()

    @jax.jit
    def step(state, views, clock):
        projections, _ = clusters.project(network, params, state, views)
        values, (new_state, _) = method.loss(params, state, views, KEY, clock)
        return projections, values, method.embed(params, state, views), new_state

    taken = []
    for seed, epoch in enumerate(EPOCHS):
        projections, values, embedded, state = step(state, crops(seed), clock_at(epoch))
        taken.append((projections, values, embedded, state["queue"]))
    return jax.device_get(taken)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def expected_steps(params, steps):
    """Values and queue of each step, and the first codes, by a loop over crops and steps."""
    prototypes = unit(np.asarray(params["prototypes"]["kernel"], np.float64).T)
    memories = [np.zeros((0, prototypes.shape[1])) for _ in range(2)]
    for epoch, (projections, *_) in zip(EPOCHS, steps, strict=True):
        projections = projections.astype(np.float64)
        codes = []
        for index, memory in enumerate(memories):
            rows = projections[:, index]
            if len(memory) == QUEUE:
                rows = np.concatenate([rows, memory])
            assigned = embedding_oracles.sinkhorn(
                rows @ prototypes.T, num_iterations=3, epsilon=0.1
            )
            codes.append(assigned[:BATCH])
            if epoch >= 1:
                memories[index] = np.concatenate([projections[:, index], memory])[:QUEUE]
        scores = projections @ prototypes.T
        values = embedding_oracles.swapped(scores / 0.2, np.stack(codes, axis=1))
        yield values, [memory.copy() for memory in memories]


def test_values_are_those_of_the_loop_with_and_without_a_full_queue(initial, steps):
    for (values, _), (_, got, *_) in zip(expected_steps(initial[0], steps), steps, strict=True):
        np.testing.assert_allclose(got, values, rtol=2e-5)


def test_queue_fills_from_its_epoch_on_newest_first(initial, steps):
    for (_, memories), (*_, got) in zip(expected_steps(initial[0], steps), steps, strict=True):
        assert got.shape == (2, QUEUE, tiny.SMALL["dim"])
        for rows, memory in zip(got, memories, strict=True):
            np.testing.assert_array_equal(rows[: len(memory)], memory)
            np.testing.assert_array_equal(rows[len(memory) :], 0)
    assert [np.any(step[-1][0], axis=1).sum() for step in steps] == [0, BATCH, QUEUE, QUEUE]


def test_projections_have_unit_length_and_codes_are_probabilities(steps):
    for projections, _, embedded, _ in steps:
        np.testing.assert_allclose(np.linalg.norm(projections, axis=-1), 1, rtol=1e-5)
        assert embedded.first.shape == embedded.second.shape == (BATCH, tiny.SMALL["dim"])
        assert embedded.assignments.shape == (BATCH, PROTOTYPES)
        np.testing.assert_allclose(embedded.assignments.sum(axis=1), 1, rtol=1e-5)


def test_a_full_queue_gives_the_same_on_two_devices(initial):
    params, state = initial
    memory = unit(np.random.default_rng(5).normal(size=state["queue"].shape)).astype(np.float32)
    state = state | {"queue": jnp.asarray(memory)}

    def values(params, views, axis_name):
        return built(axis_name)[0].loss(params, state, views, KEY, clock_at(1.5))[0]

    expected = parity.unmapped(values, params, crops(0))
    outcome = parity.value_and_grad(values, params, crops(0), devices=2, backend="shard_map")
    parity.assert_close(outcome, expected, tolerance=1e-4)


def test_prototypes_stand_still_at_first(initial):
    params, _ = initial
    method, _ = built()
    for epoch, expected in ((0.0, True), (0.75, True), (1.0, False)):
        frozen = method.frozen(params, clock_at(epoch))
        assert jax.tree.structure(frozen) == jax.tree.structure(params)
        assert frozen["prototypes"]["kernel"] == expected
        assert not any(jax.tree.leaves(frozen | {"prototypes": False}))


def test_without_queue_nothing_is_kept():
    method, _ = built(queue_size=0)
    params, state = jax.eval_shape(method.init, KEY, crops(0))
    assert state.keys() == {"encoder", "projector"}
    loss = jax.eval_shape(method.loss, params, state, crops(0, num_local=0), KEY, clock_at(1))
    assert loss[0].shape == (BATCH,)


def test_pictures_put_the_images_of_a_prototype_together():
    """Images of one grey each, which the network gives the prototypes 2, 0, 0, 1 and 0."""
    greys = np.array([0.2, 0.4, 0.6, 0.8, 0.9], np.float32)
    prototypes = np.eye(3, dtype=np.float32) * 2
    projections = jnp.asarray(prototypes[[2, 0, 0, 1, 0]])
    network = types.SimpleNamespace(
        predict=lambda params, state, images: projections[np.arange(len(images)) % 5]
    )
    views = {"global": jnp.broadcast_to(greys[:, None, None, None, None], (5, 2, 4, 4, 3))}
    title, images = clusters.show(network, {}, {}, views, jnp.asarray(prototypes))[-1]
    assert title == "sorted by prototype (3 used)"
    np.testing.assert_array_equal(images[:, 0, 0, 0], greys[[1, 2, 4, 3, 0]])


def test_wrong_fields_are_named():
    with pytest.raises(ValueError, match=r"SwAV: num_prototypes must be at least 2; got 1\. The"):
        swav.SwAV(num_prototypes=1)
    with pytest.raises(ValueError, match=r"SwAV: queue_size must be at least 0; got -1\. Use 0"):
        swav.SwAV(queue_size=-1)
