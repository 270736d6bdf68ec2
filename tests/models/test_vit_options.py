"""Sizes of the ViT, and what its configuration and its inputs must be."""

import doctest
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.models import vit

TINY = vit.ViTConfig(width=16, depth=2, num_heads=2, patch_size=4)
IMAGES = jnp.zeros((2, 12, 8, 3))
HIDE = np.array([[True, False, False, True, True, False], [False] * 6])


@pytest.mark.parametrize(
    ("size", "patch_size", "count"),
    [
        ("Ti", 16, 5_524_416),
        ("S", 16, 21_665_664),
        ("B", 16, 85_798_656),
        ("L", 16, 303_301_632),
        ("H", 14, 630_764_800),
    ],
)
def test_parameter_counts_are_the_published_ones(size, patch_size, count):
    config = vit.ViTConfig(size, patch_size=patch_size, position="learned", scan_layers=True)
    images = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.uint8)
    variables = jax.eval_shape(config.build().init, jax.random.key(0), images)
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables)) == count


def test_nano_is_width_128_depth_4_heads_4():
    assert vit.ViTConfig("Nano").dimensions == (128, 4, 4)
    assert vit.ViTConfig("Nano", depth=2).dimensions == (128, 2, 4)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"size": "M"}, "ViTConfig: size must be one of 'Nano', 'Ti', 'S', 'B', 'L', 'H'; got 'M'"),
        ({"pool": "max"}, "ViTConfig: pool must be one of 'class', 'mean'; got 'max'"),
        ({"position": "polar"}, "position must be one of 'sincos', 'learned', 'rope'; got 'polar'"),
        (
            {"initialization": "timm"},
            "initialization must be one of 'mae', 'moco_v3', 'dino'; got 'timm'",
        ),
        ({"position_grid": 0}, "ViTConfig: position_grid must be at least 1; got 0"),
        (
            {"position": "learned", "position_grid": 14},
            "ViTConfig: position_grid must be None with position 'learned', which spans crops of "
            "any size anyway; got 14.",
        ),
        ({"dtype": "float16"}, "dtype must be one of 'float32', 'bfloat16'; got 'float16'"),
        ({"depth": 0}, "ViTConfig: depth must be at least 1; got 0"),
        ({"patch_size": 0}, "ViTConfig: patch_size must be at least 1; got 0"),
        ({"num_registers": -1}, "ViTConfig: num_registers must be at least 0; got -1"),
        ({"layer_scale": 0.0}, "ViTConfig: layer_scale must be finite and above 0; got 0.0"),
        (
            {"width": 100, "num_heads": 3},
            "ViTConfig: width must be a multiple of num_heads; got width 100, num_heads 3",
        ),
        (
            {"width": 6, "num_heads": 2},
            "ViTConfig: width must be a multiple of 4 with position 'sincos'; got 6",
        ),
    ],
)
def test_config_errors(fields, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        vit.ViTConfig(**fields)


@pytest.mark.parametrize(
    ("shape", "keep", "error", "text"),
    [
        ((8, 8, 3), None, ValueError, "ViT: images must be [B, H, W, C]; got shape (8, 8, 3)"),
        ((1, 9, 9, 3), None, ValueError, "ViT: height and width must be multiples of the patch"),
        ((1, 9, 9, 3), None, ValueError, "got image 9x9, patch 4; nearest sizes 8 or 12."),
        ((1, 8, 8, 3), jnp.zeros((1, 2)), TypeError, "integer patch indices; got float32"),
        (
            (1, 8, 8, 3),
            jnp.zeros((1, 5), jnp.int32),
            ValueError,
            "with B = 1 images and 0 < K <= 4 patches; got shape (1, 5)",
        ),
        ((1, 8, 8, 3), jnp.zeros((2, 1), jnp.int32), ValueError, "got shape (2, 1)"),
        ((1, 8, 8, 3), jnp.zeros((1,), jnp.int32), ValueError, "got shape (1,)"),
    ],
)
def test_input_errors(shape, keep, error, text):
    with pytest.raises(error, match=re.escape(text)):
        jax.eval_shape(TINY.build().init, jax.random.key(0), jnp.zeros(shape), keep=keep)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"hide": HIDE}, "hide and mask_token must come together, and without keep; got hide."),
        ({"mask_token": jnp.ones(16)}, "and without keep; got mask_token."),
        (
            {"hide": HIDE, "mask_token": jnp.ones(16), "keep": jnp.zeros((2, 1), jnp.int32)},
            "and without keep; got hide, mask_token, keep.",
        ),
        (
            {"hide": HIDE[:1], "mask_token": jnp.ones(16)},
            "hide must be bool [B, N], here [2, 6]; got bool [1, 6].",
        ),
        (
            {"hide": jnp.ones((2, 6)), "mask_token": jnp.ones(16)},
            "hide must be bool [B, N], here [2, 6]; got float32 [2, 6].",
        ),
        ({"hide": HIDE, "mask_token": jnp.ones(8)}, "mask_token must be [D], here [16]; got [8]."),
    ],
)
def test_errors_of_what_is_hidden(given, text):
    with pytest.raises(ValueError, match=re.escape(f"ViT: {text}" if "must" in text else text)):
        jax.eval_shape(lambda: TINY.build().init(jax.random.key(0), IMAGES, **given))


def test_docstring_example():
    assert doctest.testmod(vit).failed == 0
