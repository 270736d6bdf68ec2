"""DINOv3 beside DINOv2, and its anchor."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxssl import draws, schedules
from jaxssl.methods.shared import hidden_crops

TINY = {
    "DINOv3": {"num_prototypes": 8, "patch_prototypes": 8, "gram_epoch": 0.0, "gram_every": 0.3}
}
TINY_ENCODER = {"DINOv3": "ViTRope"}

KEY = jax.random.key(0)
MODULE = tiny.ENCODERS["ViTRope"].build()
CONFIG = dataclasses.replace(
    tiny.method("DINOv3"),
    warmup_epochs=0.0,
    gram_weight=3.0,
    gram_epoch=2.0,
    gram_every=0.5,
    gram_updates=2,
)


def clock(step):
    return schedules.clock_at(step, steps_per_epoch=4, total_steps=24)


@pytest.fixture(scope="module")
def made():
    method = CONFIG.build(MODULE, axis_name=None)
    batch = {"image": tiny.images(6)}
    views = jax.jit(lambda: draws.make_views(method, batch, jax.random.split(KEY, 6)))()
    params, state = jax.jit(method.init)(KEY, views)
    random = np.random.default_rng(1)
    params = jax.tree.map(lambda x: x + np.float32(0.1 * random.normal(size=x.shape)), params)
    return method, views, params, state


def test_patches_are_held_to_the_anchors_from_an_epoch_on(made):
    method, views, params, state, *_ = made
    loss = jax.jit(method.loss)
    early, (_, metrics) = loss(params, state, views, KEY, clock(7))
    late, _ = loss(params, state, views, KEY, clock(8))
    tokens = [
        np.float64(features.tokens)
        for features in (
            jax.jit(lambda: hidden_crops.encode_seen(MODULE, params, views)[0])(),
            jax.jit(
                lambda: hidden_crops.encode(MODULE, {"encoder": state["anchor"]}, views["global"])
            )(),
        )
    ]
    expected = np.zeros(6)
    for crop in range(12):
        units = [x[crop] / np.linalg.norm(x[crop], axis=1, keepdims=True) for x in tokens]
        student, anchor = ([[a @ b for b in x] for a in x] for x in units)
        expected[crop // 2] += np.mean((np.array(student) - np.array(anchor)) ** 2) / 2
    np.testing.assert_allclose(late - early, 3 * expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(metrics["gram_loss"], expected.mean(), rtol=1e-4)


def test_the_anchor_is_the_teacher_at_a_few_times(made):
    """Steps of a quarter of an epoch: as it is until 2.0, and again from 2.5 and 3.0 on."""
    method, _, params, state = made
    advance = jax.jit(method.advance)
    taken = []
    for step in range(20):
        before = state["anchor"]["class_token"]
        params = jax.tree.map(lambda x: x + 0.1, params)
        state = advance(params, state, clock(step))
        teacher = state["target"]["params"]["encoder"]["class_token"]
        is_teacher = jnp.array_equal(state["anchor"]["class_token"], teacher)
        assert is_teacher or jnp.array_equal(state["anchor"]["class_token"], before)
        if is_teacher:
            taken.append(step)
    assert taken == [*range(8), 10, 12]


@pytest.mark.slow
def test_without_weight_it_is_dino_v2(made):
    _, views, params, state = made
    fields = {
        field.name: getattr(CONFIG, field.name)
        for field in dataclasses.fields(type(CONFIG).__base__)
    }
    plain = type(CONFIG).__base__(**fields).build(MODULE, axis_name=None)
    without = dataclasses.replace(CONFIG, gram_weight=0.0).build(MODULE, axis_name=None)
    kept = {name: state[name] for name in state.keys() - {"anchor", "anchored"}}
    expected, _ = jax.jit(plain.loss)(params, kept, views, KEY, clock(8))
    got, _ = jax.jit(without.loss)(params, state, views, KEY, clock(8))
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"gram_weight": -1.0}, "DINOv3: gram_weight must be at least 0; got -1.0"),
        ({"gram_every": 0.0}, "DINOv3: gram_every must be finite and above 0; got 0.0"),
        ({"gram_updates": -1}, "DINOv3: gram_updates must be at least 0; got -1"),
        ({"koleo_weight": -1.0}, "DINOv3: koleo_weight must be at least 0; got -1.0"),
    ],
)
def test_what_cannot_be_is_refused(changes, text):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(CONFIG, **changes)
