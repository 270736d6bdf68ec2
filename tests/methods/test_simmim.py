"""SimMIM against a float64 loop over its own prediction, and what it shows."""

import jax
import numpy as np
import pytest
import tiny

from jaxssl import draws, models, schedules
from jaxssl.methods.shared import vits

TINY = {"SimMIM": {"mask_side": 1}}
TINY_ENCODER = {"SimMIM": "ViT"}

KEY = jax.random.key(0)
CLOCK = schedules.clock_at(0, steps_per_epoch=1, total_steps=1)
MODULE = models.ViTConfig(
    width=16, depth=1, num_heads=2, patch_size=4, pool="mean", mean=(0.4,), std=(0.3,)
).build()


@pytest.fixture(scope="module")
def made():
    """The method, views of four images, params and state."""
    method = tiny.method("SimMIM").build(MODULE, axis_name=None)
    batch = {"image": tiny.images(4)}
    views = jax.jit(lambda: draws.make_views(method, batch, jax.random.split(KEY, 4)))()
    return method, views, *jax.jit(method.init)(KEY, views)


def predict(params, state, views):
    network = vits.WithHidden(MODULE, vits.linear_head(MODULE, 48))
    return jax.jit(network.apply)(params, state, views["image"], views["hide"])[0]


def test_loss_is_the_mean_absolute_error_of_hidden_pixels(made):
    method, views, params, state = made
    values, _ = jax.jit(method.loss)(params, state, views, KEY, CLOCK)
    prediction = np.asarray(predict(params, state, views), np.float64)
    images = (np.asarray(views["image"], np.float64) - 0.4) / 0.3
    for example in range(4):
        errors = []
        for patch in np.flatnonzero(views["hide"][example]):
            top, left = 4 * (patch // 4), 4 * (patch % 4)
            pixels = images[example, top : top + 4, left : left + 4].ravel()
            errors.extend(abs(prediction[example, patch] - pixels))
        assert len(errors) == 10 * 48  # ceil(0.6 · 16) squares
        np.testing.assert_allclose(values[example], np.mean(errors), rtol=1e-5)


def test_seen_patches_are_shown_as_they_are_and_hidden_ones_as_predicted(made):
    method, views, params, state = made
    pictures = method.show(params, state, views)
    assert [title for title, _ in pictures] == ["view", "what the encoder sees", "reconstruction"]
    (_, original), (_, seen), (_, reconstruction) = pictures
    hide = np.kron(np.asarray(views["hide"]).reshape(4, 4, 4), np.ones((1, 4, 4))).astype(bool)
    np.testing.assert_array_equal(seen[~hide], original[~hide])
    np.testing.assert_array_equal(reconstruction[~hide], original[~hide])
    np.testing.assert_array_equal(seen[hide], 0.5)
    first = np.flatnonzero(views["hide"][0])[0]
    patch = np.asarray(predict(params, state, views))[0, first].reshape(4, 4, 3)
    top, left = 4 * (first // 4), 4 * (first % 4)
    got = reconstruction[0, top : top + 4, left : left + 4]
    np.testing.assert_allclose(got, np.clip(patch * 0.3 + 0.4, 0, 1), atol=1e-5)


def test_simmim_refuses_an_encoder_without_patches():
    with pytest.raises(ValueError, match=r"SimMIM: the encoder must be a ViT, which can have"):
        tiny.method("SimMIM").build(models.ResNetConfig(depth=18).build(), axis_name=None)
