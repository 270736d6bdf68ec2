import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import colorspace, models
from jaxssl.models import layers, transformer


def test_standardise_uint8_equals_float():
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 3, 3), dtype=np.uint8)
    mean, std = (0.5, 0.4, 0.3), (0.1, 0.2, 0.3)
    want = (images / 255.0 - np.array(mean)) / np.array(std)
    for given in (jnp.asarray(images), jnp.asarray(images / 255.0, jnp.float32)):
        got = layers.standardise(given, mean, std)
        assert got.dtype == jnp.float32
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_standardise_takes_one_value_for_all_channels():
    got = layers.standardise(jnp.ones((1, 2, 2, 5), jnp.bfloat16), (0.5,), (0.25,))
    np.testing.assert_array_equal(got, np.full((1, 2, 2, 5), 2.0, np.float32))


def test_standardise_errors():
    images = jnp.zeros((1, 2, 2, 3))
    with pytest.raises(ValueError, match=r"mean must have 1 value or one .* got 2 .* 3 channels"):
        layers.standardise(images, (0.0, 0.0), (1.0,))
    with pytest.raises(ValueError, match=r"std must have 1 value or one .* got 2 .* 3 channels"):
        layers.standardise(images, (0.0,), (1.0, 1.0))
    with pytest.raises(TypeError, match="images must be uint8 or floating; got int32"):
        layers.standardise(images.astype(jnp.int32), (0.0,), (1.0,))


def test_standardise_in_a_color_space_has_its_channels_and_units():
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 3, 3), dtype=np.uint8)
    lab = colorspace.rgb_to_lab(images / 255.0)
    for color_space, channels in (("lightness", [0]), ("ab", [1, 2]), ("lab", [0, 1, 2])):
        mean, std = (10.0, 20.0, 30.0)[: len(channels)], (25.0,)
        want = (lab[..., channels] - np.array(mean)) / 25
        for given in (jnp.asarray(images), jnp.asarray(images / 255.0, jnp.float32)):
            got = layers.standardise(given, mean, std, color_space)
            np.testing.assert_allclose(got, want, rtol=0, atol=1e-4)
    grey = jnp.asarray(images[..., :1])
    got = layers.standardise(grey, (50.0,), (1.0,), "lightness")
    want = colorspace.rgb_to_lab(np.repeat(images[..., :1], 3, axis=-1) / 255.0)[..., :1] - 50
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-3)
    message = "images must have 3 channels for color_space '(ab|lab)'; got 1 channels. Use color"
    for color_space in ("ab", "lab"):
        with pytest.raises(ValueError, match=message):
            layers.standardise(grey, (0.0,), (1.0,), color_space)


@pytest.mark.parametrize(
    "config",
    (
        models.ViTConfig(width=16, depth=1, num_heads=2, patch_size=4, color_space="lightness"),
        models.ResNetConfig(18, width_multiplier=1 / 16, color_space="lightness"),
    ),
)
def test_encoders_of_lightness_cannot_tell_a_color_from_its_grey(config):
    """And take RGB images, in any form, as evaluation gives them."""
    module = dataclasses.replace(config, mean=(50.0,), std=(25.0,)).build()
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    lab = colorspace.rgb_to_lab(images / 255.0)
    grey = colorspace.lab_to_rgb(lab * np.array([1, 0, 0]))
    variables = jax.jit(module.init)(jax.random.key(0), images)
    apply = jax.jit(module.apply)
    color, same = (
        apply(variables, x).tokens for x in (jnp.asarray(images), jnp.asarray(grey, jnp.float32))
    )
    np.testing.assert_allclose(color, same, rtol=0, atol=1e-3)


def test_stack_layers_round_trip_sorts_blocks_by_number():
    # Twelve blocks: in alphabetical order block_10 would come before block_2.
    params = {f"block_{i}": {"kernel": jnp.full((2,), i, jnp.float32)} for i in range(12)}
    params["norm"] = {"scale": jnp.ones(3)}
    stacked = transformer.stack_layers(params)
    assert sorted(stacked) == ["blocks", "norm"]
    np.testing.assert_array_equal(stacked["blocks"]["kernel"][:, 0], np.arange(12))
    restored = transformer.unstack_layers(stacked)
    assert jax.tree.structure(restored) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, restored, params)


def test_stack_layers_errors():
    with pytest.raises(ValueError, match=r"stack_layers: params must have block_0.*got blocks"):
        transformer.stack_layers({"blocks": {}})
    with pytest.raises(ValueError, match=r"unstack_layers: params must have blocks; got block_0"):
        transformer.unstack_layers({"block_0": {}})
