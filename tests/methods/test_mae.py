"""What a masked autoencoder shows of its reconstruction, and which encoders it refuses."""

import dataclasses

import jax
import numpy as np
import pytest
import tiny

from jaxssl import draws, losses, models
from jaxssl.methods import mae

TINY_ENCODER = {"MAE": "ViT"}

NUM_IMAGES = 4


def show(**changes):
    """Views, and the pictures of an untrained network."""
    config = dataclasses.replace(tiny.method("MAE"), **changes)
    # What an encoder subtracts must not show in a picture.
    module = dataclasses.replace(tiny.ENCODERS["ViT"], mean=(0.4,), std=(0.3,)).build()
    method = config.build(module, axis_name=None)
    keys = jax.random.split(jax.random.key(1), NUM_IMAGES)
    batch = {"image": tiny.images(NUM_IMAGES)}
    views = jax.jit(lambda: draws.make_views(method, batch, keys))()
    params, state = jax.jit(method.init)(jax.random.key(0), views)
    return views, method.show(params, state, views)


@pytest.mark.parametrize("normalize_target", [True, False])
def test_reconstruction_pastes_visible_patches_exactly(normalize_target):
    views, pictures = show(normalize_target=normalize_target)
    original, seen, reconstruction = (np.asarray(images) for _, images in pictures)
    np.testing.assert_array_equal(original, views["image"])
    size = tiny.ENCODERS["ViT"].patch_size
    side = tiny.SIZE // size
    for example in range(NUM_IMAGES):
        for patch in range(side**2):
            row, column = divmod(patch, side)
            top, left = size * row, size * column
            place = (example, slice(top, top + size), slice(left, left + size))
            if patch in views["keep"][example]:
                np.testing.assert_array_equal(seen[place], original[place])
                np.testing.assert_array_equal(reconstruction[place], original[place])
            else:
                np.testing.assert_array_equal(seen[place], 0.5)
                assert np.any(reconstruction[place] != original[place])


def test_a_perfect_prediction_reconstructs_the_view(monkeypatch):
    predict = mae.MAE._predict

    def perfect(self, encoder, params, state, views):
        _, target, encoder_state = predict(self, encoder, params, state, views)
        return losses.normalize_patches(target), target, encoder_state

    monkeypatch.setattr(mae.MAE, "_predict", perfect)
    views, pictures = show()
    np.testing.assert_allclose(pictures[-1][1], views["image"], atol=1e-6)


def test_mae_refuses_an_encoder_without_patches():
    encoder = models.ResNetConfig(depth=18).build()
    with pytest.raises(ValueError, match=r"MAE: the encoder must be a ViT.*got ResNet"):
        tiny.method("MAE").build(encoder, axis_name=None)


def test_mae_refuses_an_encoder_that_sees_other_values_than_pixels():
    encoder = dataclasses.replace(tiny.ENCODERS["ViT"], color_space="lab").build()
    with pytest.raises(ValueError, match=r"MAE: the encoder must see the pixels.*got 'lab'"):
        tiny.method("MAE").build(encoder, axis_name=None)
