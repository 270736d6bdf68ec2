"""What colorization asks for, and what it makes of grey images, against a loop."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxssl import colorspace, models
from jaxssl.methods import colorization
from jaxssl.methods.shared import functional
from jaxssl.pretext import color

TINY_ENCODER = {"Colorization": "SmallLightness"}

KEY = jax.random.key(0)
STRIDE = 4


@pytest.fixture(scope="module")
def config():
    return tiny.method("Colorization")


@pytest.fixture(scope="module")
def setting(config):
    """Images of which the last is grey, method, parameters and state."""
    images = tiny.images(4)
    images[-1] = images[-1][..., :1]
    images = jnp.asarray(images / 255.0, jnp.float32)
    method = config.build(tiny.ENCODERS["Lightness"].build(), axis_name=None)
    return images, method, *jax.jit(method.init)(KEY, {"image": images})


def test_loss_is_that_of_the_loop(config, setting, monkeypatch):
    """A uniform answer with a preference for one bin, so that the loop needs no network."""
    images, method, params, state = setting
    scores = np.zeros(313)
    scores[100] = 2.0
    monkeypatch.setattr(
        functional.WithHead,
        "apply",
        lambda *_: (jnp.broadcast_to(jnp.float32(scores), (4, 4, 4, 313)), state),
    )
    values, (_, metrics) = method.loss(params, state, {"image": images}, KEY, 0)
    weights = color.rebalancing_weights(np.array(config.prior))
    log_prob = scores - np.log(np.sum(np.exp(scores)))
    unweighted = []
    for image, value in zip(np.float64(images), values):
        total = 0.0
        for row in range(2, 16, STRIDE):
            for column in range(2, 16, STRIDE):
                ab = jnp.float32(colorspace.rgb_to_lab(image[row, column])[1:])
                code = np.float64(color.soft_ab(ab))
                unweighted.append(-np.sum(code * log_prob))
                total += weights[code.argmax()] * unweighted[-1]
        is_grey = np.all(image == image[..., :1])
        np.testing.assert_allclose(value, 0 if is_grey else total / 16, rtol=1e-4)
    np.testing.assert_allclose(metrics["cross_entropy"], np.mean(unweighted), rtol=1e-4)


def test_grey_images_cost_nothing_and_give_no_gradient(setting):
    images, method, params, state = setting
    grey = jnp.tile(images[..., :1], (1, 1, 1, 3))

    def objective(params):
        return method.loss(params, state, {"image": grey}, KEY, 0)[0].sum()

    value, gradient = jax.jit(jax.value_and_grad(objective))(params)
    assert value == 0
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(gradient))


def test_the_prior_is_that_of_the_images(config):
    prior = color.ab_prior(tiny.images())
    np.testing.assert_array_equal(config.prior, prior)
    assert all(type(value) is float for value in config.prior)


def test_a_perfect_answer_shows_the_colors_of_the_view(config, setting, monkeypatch):
    images, _, params, state = setting
    module = tiny.ENCODERS["Lightness"].build()
    method = dataclasses.replace(config, temperature=1.0).build(module, axis_name=None)
    flat = jnp.broadcast_to(images[:, :1, :1], images.shape)  # so that enlarging changes nothing
    code = color.soft_ab(colorspace.rgb_to_lab(flat[:, ::STRIDE, ::STRIDE])[..., 1:])
    monkeypatch.setattr(functional.WithHead, "predict", lambda *_: jnp.log(code + 1e-12))
    (_, view), (_, grey), (title, colored) = method.show(params, state, {"image": flat})
    np.testing.assert_array_equal(view, flat)
    lab, lab_grey, lab_colored = map(colorspace.rgb_to_lab, (view, grey, colored))
    np.testing.assert_allclose(lab_grey[..., 0], lab[..., 0], rtol=0, atol=0.1)
    np.testing.assert_allclose(lab_grey[..., 1:], 0, rtol=0, atol=0.1)
    assert np.mean(np.abs(lab_colored - lab)) < 3  # bins are 10 apart
    assert "(64 of 64 places right)" in title


def test_mistakes_are_named(config):
    message = r"Colorization: the encoder must see lightness alone, or it .*; got 'rgb'\. Set color"
    with pytest.raises(ValueError, match=message):
        config.build(tiny.ENCODERS["ViT"].build(), axis_name=None)
    with pytest.raises(ValueError, match=r"lightness alone, .*; got 'Split'\. Set color_space="):
        config.build(tiny.ENCODERS["Split"].build(), axis_name=None)
    unprepared = dataclasses.replace(config, prior=())
    message = r"Colorization: prior must be that of a data set; got none\. Call prepare\(n"
    with pytest.raises(ValueError, match=message):
        unprepared.build(models.ViTConfig(color_space="lightness").build(), axis_name=None)
    message = r"Colorization: output_stride must divide the image size 176; got 5\. The paper's is"
    with pytest.raises(ValueError, match=message):
        colorization.Colorization(output_stride=5)
