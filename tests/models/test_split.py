"""The Split encoder, the heads that read its halves, and the dense head they are made of."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxssl import models
from jaxssl.models import dense, split

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def encoded():
    config = tiny.ENCODERS["Split"]
    images = jnp.asarray(tiny.images(2))
    module = config.build()
    variables = jax.jit(module.init)(KEY, images)
    return config, images, variables, jax.jit(module.apply)(variables, images)


def test_every_feature_is_both_halves_side_by_side(encoded):
    config, images, variables, features = encoded
    halves = [
        half.build().apply(
            {kind: tree[half.color_space] for kind, tree in variables.items()}, images
        )
        for half in config.halves
    ]
    assert [half.color_space for half in config.halves] == ["lightness", "ab"]
    expected = jax.tree.map(lambda *both: np.concatenate(both, axis=-1), *halves)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), features, expected
    )
    assert features.tokens.shape == (2, 4, 64) and features.pooled.shape == (2, 64)


def test_halves_take_their_channels_of_mean_and_std():
    config = models.SplitConfig(mean=(50.0, 1.0, 2.0), std=(25.0,), dtype="bfloat16")
    lightness, ab = config.halves
    assert (lightness.mean, ab.mean) == ((50.0,), (1.0, 2.0))
    assert (lightness.std, ab.std) == ((25.0,), (25.0, 25.0))
    assert lightness.dtype == ab.dtype == "bfloat16"
    assert lightness.width_multiplier == config.half.width_multiplier


def test_mistakes_in_a_split_are_named():
    message = r"SplitConfig: mean must have 1 value or one for each of L, a and b; got 2 values\."
    with pytest.raises(ValueError, match=message):
        models.SplitConfig(mean=(0.0, 1.0))
    for name, value in (("color_space", "lab"), ("dtype", "bfloat16"), ("std", (2.0,))):
        half = dataclasses.replace(models.ResNetConfig(), **{name: value})
        with pytest.raises(
            ValueError, match=rf"SplitConfig: half must leave its {name} alone; got"
        ):
            models.SplitConfig(half)
    grey = jnp.zeros((1, 16, 16, 1), jnp.uint8)
    with pytest.raises(
        ValueError, match=r"images must have 3 channels for color_space 'ab'; got 1"
    ):
        jax.eval_shape(tiny.ENCODERS["Split"].build().init, KEY, grey)


def test_cross_heads_read_one_half_each():
    heads = split.CrossHeads(side=4, num_ab=5, num_lightness=3, width=8)
    tokens = jax.random.normal(KEY, (2, 4, 12))
    variables = jax.jit(heads.init)(KEY, tokens)
    apply = jax.jit(heads.apply)
    ab, lightness = apply(variables, tokens)
    assert ab.shape == (2, 4, 4, 5) and lightness.shape == (2, 4, 4, 3)
    other_ab, same_lightness = apply(variables, tokens.at[..., :6].add(1.0))
    np.testing.assert_array_equal(lightness, same_lightness)
    assert np.any(ab != other_ab)


def test_dense_head_keeps_places_where_they_are():
    """The receptive field of two 3x3 convolutions: a change of one cell stays near it."""
    head = dense.DenseHead(side=8, num_classes=5, width=8)
    tokens = jax.random.normal(KEY, (1, 16, 6))
    variables = jax.jit(head.init)(KEY, tokens)
    apply = jax.jit(head.apply)
    logits = apply(variables, tokens)
    assert logits.shape == (1, 8, 8, 5) and logits.dtype == jnp.float32
    changed = apply(variables, tokens.at[0, 1].add(1.0))  # the cell in row 0, column 1
    rows, columns = np.nonzero(np.any(np.asarray(logits != changed)[0], axis=-1))
    # Cells of rows 0 to 1 and columns 0 to 2, twice as fine, and one place more on each side.
    assert set(rows) == set(range(5)) and set(columns) == set(range(7))
    same = dense.DenseHead(side=4, num_classes=5, width=8)
    assert "conv1" not in same.init(KEY, tokens)["params"]


def test_mistakes_in_a_dense_head_are_named():
    head = dense.DenseHead(side=8, num_classes=5)
    with pytest.raises(ValueError, match=r"DenseHead: tokens must be .* square number; got shape"):
        head.init(KEY, jnp.zeros((1, 6, 2)))
    for grid in (3, 16):
        message = rf"DenseHead: side must be the side of the encoder's last map, {grid}, times 1, 2"
        with pytest.raises(ValueError, match=message):
            head.init(KEY, jnp.zeros((1, grid * grid, 2)))
