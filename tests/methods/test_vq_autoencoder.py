"""The VQ autoencoder against a float64 loop over patches, and where its gradients go."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxssl import draws, models, schedules
from jaxssl.models import residual_mlp

TINY = {"VQAutoencoder": {"num_words": 8}}
TINY_ENCODER = {"VQAutoencoder": "ViT"}

KEY = jax.random.key(0)
CLOCK = schedules.clock_at(4, steps_per_epoch=4, total_steps=12)
MODULE = dataclasses.replace(tiny.ENCODERS["ViT"], mean=(0.4,), std=(0.2,)).build()
CONFIG = dataclasses.replace(tiny.method("VQAutoencoder"), commitment=0.3, codebook_weight=2.0)
HEAD = residual_mlp.ResidualMLP(48, CONFIG.decoder_width, CONFIG.decoder_depth)


@pytest.fixture(scope="module")
def made():
    method = CONFIG.build(MODULE, axis_name=None)
    batch = {"image": tiny.images(6)}
    views = jax.jit(lambda: draws.make_views(method, batch, jax.random.split(KEY, 6)))()
    params, state = jax.jit(method.init)(KEY, views)
    random = np.random.default_rng(1)
    params = jax.tree.map(lambda x: x + np.float32(0.1 * random.normal(size=x.shape)), params)
    return method, views, params, state


def coded(params, images):
    """Unit rows [B, N, d], unit codes [M, d] and each row's word, nearest by distance."""
    tokens = jax.jit(MODULE.apply)({"params": params["encoder"]}, images).tokens
    layer = params["narrow"]["layer1"]
    rows = np.float64(tokens) @ np.float64(layer["kernel"]) + np.float64(layer["bias"])
    rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
    codes = np.float64(params["codebook"]["codes"])
    codes /= np.linalg.norm(codes, axis=-1, keepdims=True)
    words = [[np.argmin([np.linalg.norm(z - e) for e in codes]) for z in row] for row in rows]
    return rows, codes, np.array(words)


def test_loss_is_what_the_words_do_not_say_and_how_far_they_are(made):
    method, views, params, state = made
    values, (_, metrics) = jax.jit(method.loss)(params, state, views, KEY, CLOCK)
    rows, codes, words = coded(params, views["image"])
    assert len(np.unique(words)) > 1
    painted = jax.jit(HEAD.apply)({"params": params["decoder"]}, np.float32(codes[words]))
    rebuilt = np.zeros(6)
    for b in range(6):
        image = (np.float64(views["image"][b]) - 0.4) / 0.2
        distance = 0.0
        for n in range(16):
            row, column = (4 * i for i in divmod(n, 4))
            patch = image[row : row + 4, column : column + 4].ravel()
            rebuilt[b] += np.mean((np.float64(painted[b, n]) - patch) ** 2) / 16
            distance += np.sum((rows[b, n] - codes[words[b, n]]) ** 2) / 16
        np.testing.assert_allclose(values[b], rebuilt[b] + 2.3 * distance, rtol=1e-4)
    np.testing.assert_allclose(metrics["reconstruction_loss"], rebuilt.mean(), rtol=1e-4)


def test_the_decoders_gradient_goes_straight_to_the_encoder_and_not_to_the_codes(made):
    _, views, params, state = made

    def gradient(**weights):
        method = dataclasses.replace(CONFIG, **weights).build(MODULE, axis_name=None)
        loss = lambda params: method.loss(params, state, views, KEY, CLOCK)[0].mean()  # noqa: E731
        return jax.jit(jax.grad(loss))(params)

    plain = gradient(commitment=0.0, codebook_weight=0.0)
    assert np.any(plain["narrow"]["layer1"]["kernel"] != 0)
    assert not np.any(plain["codebook"]["codes"])
    pulled = gradient(commitment=0.0)
    np.testing.assert_array_equal(
        pulled["narrow"]["layer1"]["kernel"], plain["narrow"]["layer1"]["kernel"]
    )
    # Codes are pulled towards their rows: only those that have any.
    _, _, words = coded(params, views["image"])
    moved = np.any(np.asarray(pulled["codebook"]["codes"]) != 0, axis=1)
    np.testing.assert_array_equal(moved, np.isin(np.arange(8), words))


def test_pictures_are_what_the_words_say(made):
    method, views, params, state = made
    (_, view), (title, rebuilt) = method.show(params, state, views)
    assert title == "reconstruction"
    np.testing.assert_array_equal(view, views["image"])
    _, codes, words = coded(params, views["image"])
    painted = jax.jit(HEAD.apply)({"params": params["decoder"]}, np.float32(codes[words]))
    corner = jnp.clip(painted[0, 0] * 0.2 + 0.4, 0, 1).reshape(4, 4, 3)
    np.testing.assert_allclose(rebuilt[0, :4, :4], corner, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "encoder", "text"),
    [
        ({}, models.ResNetConfig(depth=18), "VQAutoencoder: the encoder must be a ViT, which can"),
        ({}, tiny.ENCODERS["Lightness"], "VQAutoencoder: the encoder must see the pixels"),
        ({"num_words": 1}, MODULE.config, "VQAutoencoder: num_words must be at least 2; got 1"),
        ({"commitment": -1.0}, MODULE.config, "VQAutoencoder: commitment must be at least 0; got"),
    ],
)
def test_what_cannot_be_is_refused(changes, encoder, text):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(CONFIG, **changes).build(encoder.build(), axis_name=None)
