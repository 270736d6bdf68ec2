"""DeepCluster-v2 against float64 loops over its own projections: targets, memory, clusterings."""

import dataclasses

import embedding_oracles
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import parity
import pytest
import small_encoder
import tiny

from jaxssl import schedules
from jaxssl.methods import deep_cluster_v2
from jaxssl.methods.shared import clusters, kmeans

TINY = {"DeepClusterV2": {"num_prototypes": 8}}
UNCHANGED = {"DeepClusterV2": {"key"}}

KEY = jax.random.key(0)
BATCH, IMAGES, PROTOTYPES, HEADS = 4, 10, 3, 3
CONFIG = dataclasses.replace(
    tiny.method("DeepClusterV2"),
    num_prototypes=PROTOTYPES,
    num_heads=HEADS,
    kmeans_iterations=2,
    cluster_every=0.5,
    temperature=0.2,
    num_examples=IMAGES,
)
# Eight of ten images are seen before the clustering at epoch 0.5; then two of them and the others.
STEPS = ((0.0, (0, 1, 2, 3)), (0.25, (7, 6, 5, 4)), (0.5, (8, 2, 9, 5)), (0.75, (0, 9, 8, 4)))


def built(axis_name=None):
    encoder = small_encoder.SmallConfig().build(axis_name=axis_name)
    return CONFIG.build(encoder, axis_name=axis_name), CONFIG._network(encoder, axis_name)


def crops(seed, index):
    """Noise instead of crops: what the network sees does not matter here."""
    random = np.random.default_rng(seed)
    return {
        "global": random.uniform(size=(BATCH, 2, 16, 16, 3)).astype(np.float32),
        "local": random.uniform(size=(BATCH, 1, 8, 8, 3)).astype(np.float32),
        "index": np.asarray(index, np.int32),
    }


def clock_at(epoch):
    return schedules.clock_at(round(epoch * 4), steps_per_epoch=4, total_steps=12)


@pytest.fixture(scope="module")
def initial():
    return jax.jit(built()[0].init)(KEY, crops(0, range(4)))


@pytest.fixture(scope="module")
def steps(initial):
    """State before, projections, values, embeddings and state after of each step."""
    params, state = initial
    method, network = built()

    @jax.jit
    def step(state, views, clock):
        projections, _ = clusters.project(network, params, state, views)
        values, (new_state, _) = method.loss(params, state, views, KEY, clock)
        return state, projections, values, method.embed(params, state, views), new_state

    taken = []
    for seed, (epoch, index) in enumerate(STEPS):
        taken.append(step(state, crops(seed, index), clock_at(epoch)))
        state = taken[-1][-1]
    return jax.device_get(taken)


def spread(projections, prototypes):
    """Targets of images nothing is known of: each prototype has its share of the batch."""
    scores = projections @ prototypes.T
    return embedding_oracles.sinkhorn(scores, num_iterations=3, epsilon=0.05).argmax(axis=1)


def nearest(row, prototypes):
    """Target of an image whose projection of the last time is known, after a clustering."""
    return max(range(PROTOTYPES), key=lambda m: np.dot(prototypes[m], row))


def test_values_are_cross_entropies_at_the_prototypes_of_the_images(steps):
    for (epoch, index), (before, projections, values, _, after) in zip(STEPS, steps, strict=True):
        projections = projections.astype(np.float64)
        expected = np.zeros(BATCH)
        for head, prototypes in enumerate(after["prototypes"].astype(np.float64)):
            targets = spread(projections[:, head % 2], prototypes)
            for row, image in enumerate(index):
                held = before["bank"][head % 2, image]
                is_known = epoch >= 0.5 and np.any(held)
                target = nearest(held, prototypes) if is_known else targets[row]
                logits = np.array([[np.dot(c, z) for c in prototypes] for z in projections[row]])
                entropies = oracles.cross_entropy(
                    logits / 0.2, np.full(len(logits), target), label_smoothing=0
                )
                expected[row] += np.mean(entropies) / HEADS
        np.testing.assert_allclose(values, expected, rtol=2e-5)


def test_memory_holds_both_global_crops_of_the_images_seen(steps):
    bank = np.zeros((2, IMAGES, tiny.SMALL["dim"]))
    for (_, index), (_, projections, *_, after) in zip(STEPS, steps, strict=True):
        for row, image in enumerate(index):
            bank[0, image], bank[1, image] = projections[row, 0], projections[row, 1]
        np.testing.assert_array_equal(after["bank"], bank)


def test_prototypes_change_at_the_clustering_alone_and_are_its_centroids(steps):
    first, _, third, fourth = (step[-1] for step in steps)
    start = steps[0][0]
    np.testing.assert_array_equal(first["prototypes"], start["prototypes"])
    np.testing.assert_array_equal(steps[1][-1]["prototypes"], start["prototypes"])
    np.testing.assert_array_equal(fourth["prototypes"], third["prototypes"])
    assert [step[-1]["num_clusterings"] for step in steps] == [0, 0, 1, 1]
    bank = steps[2][0]["bank"]
    keys = jax.random.split(
        jax.random.fold_in(jax.random.wrap_key_data(jnp.asarray(start["key"])), 1), HEADS
    )
    for head in range(HEADS):
        expected = kmeans.fit(
            keys[head],
            jnp.asarray(bank[head % 2]),
            jnp.asarray(start["prototypes"][head]),
            num_iterations=2,
        )
        np.testing.assert_allclose(third["prototypes"][head], expected, atol=1e-6)
    assert np.any(third["prototypes"][0] != third["prototypes"][2])  # one memory, other starts


def test_a_clustering_that_was_missed_is_made_at_the_next_step(steps):
    """As after a resume with another number of steps in an epoch."""
    state = jax.tree.map(jnp.asarray, steps[1][-1])
    clock = schedules.clock_at(3, steps_per_epoch=2, total_steps=12)
    assert CONFIG._cluster(state, clock)["num_clusterings"] == 3


def test_assignments_are_those_of_the_first_head(steps):
    for _, _, _, embedded, _ in steps:
        assert embedded.first.shape == embedded.second.shape == (BATCH, tiny.SMALL["dim"])
        assert embedded.assignments.shape == (BATCH, PROTOTYPES)
        np.testing.assert_array_equal(np.sort(embedded.assignments, axis=1)[:, -2:], [[0, 1]] * 4)
    before, *_, embedded, _ = steps[3]
    for row, image in enumerate(STEPS[3][1]):
        cosines = before["prototypes"][0] @ before["bank"][0, image]
        assert np.argmax(embedded.assignments[row]) == np.argmax(cosines)


@pytest.mark.slow
def test_a_clustering_gives_the_same_on_two_devices(initial, steps):
    params, _ = initial
    state = jax.tree.map(jnp.asarray, steps[1][-1])
    views = crops(2, STEPS[2][1])

    def values(params, views, axis_name):
        return built(axis_name)[0].loss(params, state, views, KEY, clock_at(0.5))[0]

    expected = parity.unmapped(values, params, views)
    np.testing.assert_allclose(expected.values, steps[2][2], rtol=1e-5)
    outcome = parity.value_and_grad(values, params, views, devices=2, backend="shard_map")
    parity.assert_close(outcome, expected, tolerance=1e-4)


def test_views_bring_the_number_of_their_image():
    method, _ = built()
    example = {"image": tiny.images(1)[0], "index": np.int32(7)}
    views = jax.eval_shape(method.view, KEY, example)
    assert views.keys() == {"global", "local", "index"}
    assert views["index"].dtype == jnp.int32


def test_wrong_fields_are_named():
    config = deep_cluster_v2.DeepClusterV2
    encoder = small_encoder.SmallConfig().build()
    for name, least in (("num_prototypes", 2), ("num_heads", 1), ("kmeans_iterations", 1)):
        with pytest.raises(ValueError, match=rf"DeepClusterV2: {name} must be at least {least}; g"):
            config(**{name: least - 1})
    with pytest.raises(ValueError, match=r"DeepClusterV2: cluster_every must be finite and abo"):
        config(cluster_every=0.0)
    with pytest.raises(ValueError, match=r"num_examples must be the number of .* images; got 0\."):
        config().build(encoder, axis_name=None)
    with pytest.raises(ValueError, match=r"at most the number of training images, 10; got 3000\."):
        config().prepare(10, None).build(encoder, axis_name=None)
