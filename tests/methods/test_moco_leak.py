"""Can a key be recognised by the statistics it was normalised with, instead of by its content?

On every device one example of each batch, the probe, is the same image in both views, on all
devices and at all steps: nothing in it tells whose key is whose, so that an honest network finds
the right one of N keys of probes once in N. The rest of a device's batch, its companions, are
images of their own in two slightly different views. They are in neither the query nor the key, but
in the mean and variance by which batch norm divides both.

- Statistics of each device: the companions of query and key are the same images, those of any other
  key are others. The right key is recognised, by a network that was never trained. This is the leak
  against which the authors shuffle.
- Synchronised statistics: the keys of one step were all normalised alike, and the device of a key
  cannot be told. That suffices for MoCo v3, which compares keys of one step. It does not for a
  queue, whose keys are of other steps and were normalised with other companions.
- Moving averages, which MoCo v1 and v2 use here for keys: those know nothing of the batch.
"""

import dataclasses

import jax
import numpy as np
import pytest
import tiny

from jaxssl import schedules

NUM_DEVICES = 8
BATCH_SIZE = 4  # of one device, the probe among them
NUM_STEPS = 6
CLOCK = schedules.clock_at(0, steps_per_epoch=1, total_steps=8)


def batches():
    """Views of each step, [devices, B, H, W, C], with the probe in front."""
    random = np.random.default_rng(0)
    shape = (NUM_DEVICES, BATCH_SIZE, tiny.SIZE, tiny.SIZE, 3)
    probe = random.uniform(size=shape[2:])
    for _ in range(NUM_STEPS):
        low, high = np.sort(random.uniform(size=(2, *shape[:2], 1, 1, 3)), axis=0)
        image = low + (high - low) * random.uniform(size=shape)
        views = {}
        for name in ("a", "b"):
            view = image + 0.02 * random.normal(size=shape)
            view[:, 0] = probe
            views[name] = view.astype(np.float32)
        yield views


def probes(name, *, synchronised, **changes):
    """Queries and keys of the probes, [steps, devices, D], of an untrained network."""
    config = dataclasses.replace(tiny.method(name), **changes)
    if name == "MoCoV1":
        config = dataclasses.replace(config, queue_size=NUM_DEVICES * BATCH_SIZE)
    encoder = tiny.ENCODERS["Small"].build(axis_name="data" if synchronised else None)
    method = config.build(encoder, axis_name="data")
    # Outside of a mapping no axis has a name; parameters do not depend on it.
    alone = config.build(tiny.ENCODERS["Small"].build(), axis_name=None)

    def encode(params, state, views):
        embedded = method.embed(params, state, views)
        if "queue" not in state:
            return embedded.first[0], embedded.second[0]  # the target still is the online network
        _, (state, _) = method.loss(params, state, views, jax.random.key(0), CLOCK)
        own = jax.lax.axis_index("data") * BATCH_SIZE  # the queue holds the keys of this step
        return embedded.first[0], state["queue"][own]

    mapped = jax.pmap(encode, axis_name="data", in_axes=(None, None, 0))
    found, made = [], None
    for views in batches():
        if made is None:
            made = jax.jit(alone.init)(
                jax.random.key(1), jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:2], views)
            )
        found.append(jax.device_get(mapped(*made, views)))
    return (np.stack(side).astype(np.float64) for side in zip(*found))


def accuracy(query, keys):
    """How often a query [N, D] is most similar to its own of keys [N, D]; ties are guesses."""
    query, keys = (side / np.linalg.norm(side, axis=-1, keepdims=True) for side in (query, keys))
    similarity = query @ keys.T
    is_best = similarity >= similarity.max(axis=1, keepdims=True) - 1e-6
    return np.mean(np.diagonal(is_best) / is_best.sum(axis=1))


def accuracies(name, **changes):
    """Among the keys of the same step, and among those of all steps."""
    query, keys = probes(name, **changes)
    within = np.mean([accuracy(*each) for each in zip(query, keys)])
    return within, accuracy(query.reshape(-1, query.shape[-1]), keys.reshape(-1, keys.shape[-1]))


CHANCE = 1 / NUM_DEVICES
CHANCE_OF_ALL = CHANCE / NUM_STEPS


@pytest.mark.parametrize("name, changes", [("MoCoV1", {"key_statistics": "batch"}), ("MoCoV3", {})])
def test_statistics_of_each_device_give_the_key_away(name, changes):
    within, among_all = accuracies(name, synchronised=False, **changes)
    assert within > 0.75
    assert among_all > 0.5


def test_synchronised_statistics_hide_the_device_of_a_key():
    """All that MoCo v3 needs, since it compares keys of one step."""
    within, _ = accuracies("MoCoV3", synchronised=True)
    assert within == pytest.approx(CHANCE)


def test_synchronised_statistics_give_the_step_of_a_key_away():
    """Why a queue needs more than them."""
    within, among_all = accuracies("MoCoV1", synchronised=True, key_statistics="batch")
    assert within == pytest.approx(CHANCE)
    assert among_all > 4 * CHANCE_OF_ALL


@pytest.mark.parametrize("synchronised", [True, False])
def test_moving_averages_hide_device_and_step(synchronised):
    within, among_all = accuracies("MoCoV1", synchronised=synchronised)
    assert within == pytest.approx(CHANCE)
    assert among_all == pytest.approx(CHANCE_OF_ALL)
