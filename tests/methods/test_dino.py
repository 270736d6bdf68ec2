"""DINO against float64 loops over its own features: losses, centre and teacher of three steps."""

import dataclasses
import math

import embedding_oracles
import jax
import jax.numpy as jnp
import numpy as np
import parity
import pytest
import small_encoder
import tiny

from jaxssl import draws, schedules
from jaxssl.methods import dino
from jaxssl.methods.shared import multi_crop
from jaxssl.models import vit

TINY = {"DINO": {"num_prototypes": 8}}

KEY = jax.random.key(0)
BATCH, PROTOTYPES = 4, 6
CONFIG = dataclasses.replace(
    tiny.method("DINO"),
    num_prototypes=PROTOTYPES,
    student_temperature=0.2,
    teacher_temperature=0.5,
    warmup_temperature=0.1,
    warmup_epochs=2.0,
    teacher_momentum=0.8,
)
STEPS = (0, 4, 9)  # of 12, 4 an epoch
TEMPERATURES = (0.1, 0.3, 0.5)  # half way after one epoch of two
ENCODER = small_encoder.SmallConfig().build()
METHOD, NETWORK = CONFIG.build(ENCODER, axis_name=None), CONFIG._network(ENCODER, None)


def clock_at(step):
    return schedules.clock_at(step, steps_per_epoch=4, total_steps=12)


def crops(seed):
    """Noise instead of crops: what the network sees does not matter here."""
    random = np.random.default_rng(seed)
    return {
        "global": random.uniform(size=(BATCH, 2, 16, 16, 3)).astype(np.float32),
        "local": random.uniform(size=(BATCH, 2, 8, 8, 3)).astype(np.float32),
    }


def moved(tree, seed):
    """The tree after a step in a direction of no meaning."""
    random = np.random.default_rng(seed)
    return jax.tree.map(lambda x: x + np.float32(0.1 * random.normal(size=x.shape)), tree)


@pytest.fixture(scope="module")
def initial():
    return jax.jit(METHOD.init)(KEY, crops(0))


@pytest.fixture(scope="module")
def steps(initial):
    """What goes into and comes out of three steps, the parameters moved by noise."""

    @jax.jit
    def step(params, state, views, clock):
        target = state["target"]
        student, _ = multi_crop.apply(NETWORK, params, state, views)
        only_global = {"global": views["global"]}
        teacher, _ = multi_crop.apply(NETWORK, target["params"], target["state"], only_global)
        values, (new_state, metrics) = METHOD.loss(params, state, views, KEY, clock)
        return student, teacher, values, metrics, METHOD.embed(params, state, views), new_state

    advance = jax.jit(METHOD.advance)
    params, state = initial
    params = moved(params, 99)  # else student and teacher are one
    taken = []
    for index, when in enumerate(STEPS):
        outcome = step(params, state, crops(index), clock_at(when))
        after = moved(params, index)
        advanced = advance(after, outcome[-1], clock_at(when))
        taken.append((params, state, *outcome, after, advanced))
        params, state = after, advanced
    return jax.device_get(taken)


def cosines(rows, params):
    kernel = np.float64(params["prototypes"]["kernel"])
    rows = np.float64(rows)
    rows = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows @ (kernel / np.linalg.norm(kernel, axis=0))


@pytest.mark.parametrize("index", range(len(STEPS)))
def test_loss_metrics_and_embeddings_are_those_of_the_loop(steps, index):
    params, state, student, teacher, values, metrics, embedded, *_ = steps[index]
    targets = cosines(teacher, state["target"]["params"]) - np.float64(state["center"])
    sharp = embedding_oracles.softmax(targets / TEMPERATURES[index])
    expected = embedding_oracles.swapped(cosines(student, params) / 0.2, sharp)
    np.testing.assert_allclose(values, expected, rtol=1e-4)
    entropies = [-sum(p * math.log(p) for p in row) for row in sharp.reshape(-1, PROTOTYPES)]
    np.testing.assert_allclose(metrics["teacher_entropy"], np.mean(entropies), rtol=1e-4)
    divergence = np.mean(expected) - np.mean(entropies)
    np.testing.assert_allclose(metrics["teacher_student_kl"], divergence, rtol=1e-3)
    np.testing.assert_allclose(embedded.first, teacher[:, 0], rtol=1e-5)
    np.testing.assert_allclose(embedded.second, teacher[:, 1], rtol=1e-5)
    final = embedding_oracles.softmax(targets[:, 0] / 0.5)
    np.testing.assert_allclose(embedded.assignments, final, rtol=1e-4)


def test_the_centre_follows_the_scores_of_the_teacher(steps):
    center = np.zeros(PROTOTYPES)
    for _, state, _, teacher, *_, new_state, _, _ in steps:
        scores = cosines(teacher, state["target"]["params"]).reshape(-1, PROTOTYPES)
        center = 0.9 * center + 0.1 * sum(scores) / len(scores)
        np.testing.assert_allclose(new_state["center"], center, rtol=1e-4, atol=1e-6)


def test_the_teacher_follows_every_parameter_of_the_student(steps):
    for step, (_, state, *_, after, advanced) in zip(STEPS, steps):
        momentum = 1 - 0.2 * (1 + math.cos(math.pi * step / 12)) / 2
        expected = jax.tree.map(
            lambda old, new, m=momentum: m * np.float64(old) + (1 - m) * np.float64(new),
            state["target"]["params"],
            after,
        )
        jax.tree.map(
            lambda got, want: np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6),
            advanced["target"]["params"],
            expected,
        )


def test_the_exported_encoder_is_the_teachers_with_statistics_of_its_own(steps):
    params, state, *_, new_state, _, _ = steps[0]
    exported = METHOD.encoder(params, new_state)
    target = new_state["target"]["params"]["encoder"]
    jax.tree.map(np.testing.assert_array_equal, exported["params"], target)
    mean = exported["batch_stats"]["norm1"]["mean"]
    np.testing.assert_array_equal(mean, statistics(new_state["target"]["state"]))
    assert np.any(mean != statistics(state["target"]["state"]))
    assert np.any(mean != statistics(new_state))


def statistics(state):
    """A running mean of the encoder."""
    return state["encoder"]["batch_stats"]["norm1"]["mean"]


def test_teacher_and_centre_get_no_gradient(initial):
    params, state = initial
    params = moved(params, 0)

    def price(params, moving):
        return METHOD.loss(params, state | moving, crops(0), KEY, clock_at(0))[0].mean()

    moving = {
        "target": {"params": state["target"]["params"], "state": state["target"]["state"]},
        "center": state["center"],
    }
    gradients, none = jax.jit(jax.grad(price, argnums=(0, 1)))(params, moving)
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(gradients))
    assert not any(np.any(leaf != 0) for leaf in jax.tree.leaves(none))


def test_prototypes_alone_are_frozen_in_the_first_epoch(initial):
    params, _ = initial
    for step, is_frozen in ((0, True), (3, True), (4, False), (11, False)):
        frozen = METHOD.frozen(params, clock_at(step))
        assert jax.tree.structure(frozen) == jax.tree.structure(params)
        assert bool(frozen.pop("prototypes")["kernel"]) == is_frozen
        assert not any(jax.tree.leaves(frozen))


def test_the_projector_begins_with_the_published_deviation():
    widths = dataclasses.replace(CONFIG, projector_width=200)
    network = widths._network(ENCODER, None)
    params = network.head.init(KEY, jnp.zeros((1, 200)))["params"]
    for layer in ("layer1", "layer2"):
        np.testing.assert_allclose(params[layer]["kernel"].std(), 0.02, rtol=0.02)
        assert not np.any(params[layer]["bias"])


def test_local_crops_share_no_statistics_with_global_ones(initial):
    params, state = initial
    project = jax.jit(lambda views: multi_crop.apply(NETWORK, params, state, views)[0])
    views, other = crops(0), crops(1)
    expected = project(views)
    got = project(views | {"local": other["local"]})
    np.testing.assert_array_equal(got[:, :2], expected[:, :2])
    assert np.all(got[:, 2:] != expected[:, 2:])
    mixed = np.concatenate([views["global"][:, :1], other["global"][:, 1:]], axis=1)
    assert np.all(project(views | {"global": mixed})[:, 0] != expected[:, 0])


def test_a_vit_sees_crops_of_any_multiple_of_its_patch():
    encoder = dataclasses.replace(VIT, depth=1).build()

    def values_of(local_size):
        local = dataclasses.replace(CONFIG.augment.local, size=local_size)
        augment = dataclasses.replace(CONFIG.augment, local=local)
        method = dataclasses.replace(CONFIG, augment=augment).build(encoder, axis_name=None)

        def values(images):
            views = draws.make_views(method, {"image": images}, jax.random.split(KEY, 4))
            params, state = method.init(KEY, views)
            return method.loss(params, state, views, KEY, clock_at(0))[0]

        return jax.eval_shape(values, tiny.images(4)).shape

    assert values_of(8) == (4,)
    with pytest.raises(ValueError, match=r"ViT: .*multiple.*6"):
        values_of(6)


VIT = vit.ViTConfig(width=16, depth=2, num_heads=2, patch_size=4)
DROPPING = dataclasses.replace(CONFIG, drop_path=0.7)


@pytest.fixture(scope="module")
def dropped():
    """Method, views with draws, and parameters of a student that has left its teacher."""
    method = DROPPING.build(VIT.build(), axis_name=None)
    keys = draws.example_keys(0, jnp.int32(3), BATCH, None)
    batch = {"image": tiny.images(BATCH)}
    views = jax.jit(lambda: draws.make_views(method, batch, keys))()
    params, state = jax.jit(method.init)(KEY, views)
    return method, views, moved(params, 1), state


@pytest.mark.slow
def test_the_student_loses_branches_by_the_draws_of_its_example_and_the_teacher_none(dropped):
    method, views, params, state = dropped
    encoder, network = VIT.build(), DROPPING._network(VIT.build(), None)

    @jax.jit
    def row(params, image, scale):
        features = encoder.apply({"params": params["encoder"]}, image[None], branch_scale=scale)
        return network.head.apply({"params": params["projector"]}, features.pooled)[0]

    student = np.zeros((BATCH, 4, CONFIG.projector_dim))
    teacher = np.zeros((BATCH, 2, CONFIG.projector_dim))
    for b in range(BATCH):
        crops = [*views["global"][b], *views["local"][b]]
        for v, crop in enumerate(crops):
            scale = np.ones((2, 2, 1), np.float32)  # the first block keeps its branches
            for branch in range(2):
                is_kept = float(views["branch"][b, v, 1, branch]) >= 0.7
                scale[1, branch] = is_kept / np.float32(0.3)
            student[b, v] = row(params, crop, scale)
            if v < 2:
                target = state["target"]["params"]
                teacher[b, v] = row(target, crop, np.ones((2, 2, 1), np.float32))
    sharp = embedding_oracles.softmax(cosines(teacher, state["target"]["params"]) / 0.1)
    expected = embedding_oracles.swapped(cosines(student, params) / 0.2, sharp)
    values, _ = jax.jit(method.loss)(params, state, views, KEY, clock_at(0))
    np.testing.assert_allclose(values, expected, rtol=1e-3)
    embedded = jax.jit(method.embed)(params, state, views)
    np.testing.assert_allclose(embedded.first, teacher[:, 0], rtol=1e-3, atol=1e-5)


def test_draws_of_dropped_branches_follow_the_example_over_devices(dropped):
    method, views, _, _ = dropped

    def drawn(images):
        keys = draws.example_keys(0, jnp.int32(3), len(images), "data")
        return draws.make_views(method, {"image": images}, keys)["branch"]

    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("data",))
    sharded = {"mesh": mesh, "in_specs": jax.P("data"), "out_specs": jax.P("data")}
    got = jax.jit(jax.shard_map(drawn, **sharded))(tiny.images(BATCH))
    np.testing.assert_array_equal(got, views["branch"])
    assert len(np.unique(got)) == got.size == BATCH * 4 * 2 * 2


@pytest.mark.slow
def test_loss_with_dropped_branches_of_two_devices_is_that_of_one(dropped):
    _, views, params, state = dropped

    def values(params, views, axis_name):
        method = DROPPING.build(VIT.build(axis_name=axis_name), axis_name=axis_name)
        return method.loss(params, state, views, KEY, clock_at(0))[0]

    outcome = parity.value_and_grad(values, params, views, devices=2, backend="shard_map")
    parity.assert_close(outcome, parity.unmapped(values, params, views), tolerance=1e-4)


def test_only_a_vit_can_lose_branches():
    message = r"DINO: drop_path must be 0 where the encoder is no ViT; got 0\.7 and Small\."
    with pytest.raises(ValueError, match=message):
        DROPPING.build(ENCODER, axis_name=None)
    views = jax.eval_shape(METHOD.view, KEY, {"image": tiny.images(1)[0]})
    assert views.keys() == {"global", "local"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"center_momentum": 1.5}, r"DINO: center_momentum must be in \[0, 1\]; got 1\.5\."),
        ({"teacher_momentum": -1}, r"DINO: teacher_momentum must be in \[0, 1\]; got -1\."),
        (
            {"teacher_temperature": 0},
            r"teacher_temperature must be finite and above 0; got 0\. Publ",
        ),
        (
            {"student_temperature": -0.1},
            r"student_temperature must be finite and above 0; got -0\.1",
        ),
        (
            {"warmup_temperature": 0.0},
            r"warmup_temperature must be finite and above 0; got 0\.0",
        ),
        ({"warmup_epochs": -1}, r"DINO: warmup_epochs must be at least 0; got -1\. Use 0"),
        ({"freeze_epochs": -2.0}, r"DINO: freeze_epochs must be at least 0; got -2\.0\. Use 0"),
        ({"drop_path": 1.0}, r"DINO: drop_path must be in \[0, 1\); got 1\.0\. The published"),
        ({"num_prototypes": 1}, r"DINO: num_prototypes must be at least 2; got 1\. The paper"),
    ],
)
def test_mistakes_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        dino.DINO(**changes)
