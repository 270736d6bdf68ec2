"""MaskFeat against a float64 loop over its own prediction, and which shapes it refuses."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxssl import draws, models, schedules
from jaxssl.methods.shared import vits
from jaxssl.pretext import hog

TINY_ENCODER = {"MaskFeat": "ViT"}

KEY = jax.random.key(0)
CLOCK = schedules.clock_at(0, steps_per_epoch=1, total_steps=1)
MODULE = tiny.ENCODERS["ViT"].build()
CONFIG = tiny.method("MaskFeat")


def test_loss_is_the_mean_squared_error_of_the_histograms_of_hidden_patches():
    method = CONFIG.build(MODULE, axis_name=None)
    batch = {"image": tiny.images(3)}
    views = jax.jit(lambda: draws.make_views(method, batch, jax.random.split(KEY, 3)))()
    params, state = jax.jit(method.init)(KEY, views)
    values, _ = jax.jit(method.loss)(params, state, views, KEY, CLOCK)
    network = vits.WithHidden(MODULE, vits.linear_head(MODULE, 2 * 2 * 3 * 9))
    prediction, _ = jax.jit(network.apply)(params, state, views["image"], views["hide"])
    for example in range(3):
        cells = np.asarray(hog.hog(jnp.asarray(views["image"][example]), cell_size=2))
        errors = []
        for patch in np.flatnonzero(views["hide"][example]):
            top, left = 2 * (patch // 4), 2 * (patch % 4)
            of_patch = np.float64(cells[top : top + 2, left : left + 2]).ravel()
            errors.extend((np.float64(prediction[example, patch]) - of_patch) ** 2)
        assert len(errors) == 6 * 108  # 0.4 of 16 patches
        np.testing.assert_allclose(values[example], np.mean(errors), rtol=1e-4)
    titles = [title for title, _ in method.show(params, state, views)]
    assert titles == ["view", "what the encoder sees"]


def test_published_numbers_hide_78_patches_of_108_values(key):
    method = type(CONFIG)().build(models.ViTConfig().build(), axis_name=None)
    views = jax.jit(method.view)(key, {"image": np.zeros((32, 32, 3), np.uint8)})
    assert views["hide"].sum() == 78 and views["target"].shape == (196, 108)


@pytest.mark.parametrize(
    ("changes", "encoder", "text"),
    [
        ({}, models.ResNetConfig(depth=18), "MaskFeat: the encoder must be a ViT, which can have"),
        ({"num_cells": 3}, MODULE.config, "must divide the patch; got 3 cells along a side of 4"),
        ({"num_bins": 0}, MODULE.config, "MaskFeat: num_bins must be at least 1; got 0"),
        ({"mask_ratio": 0.0}, MODULE.config, "hide at least 1 of 16 patches; got 0.0, which hides"),
    ],
)
def test_what_cannot_be_is_refused(changes, encoder, text):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(CONFIG, **changes).build(encoder.build(), axis_name=None)
