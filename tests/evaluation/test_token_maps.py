"""Attention against float64 loops over queries and keys; colours against scikit-learn's PCA."""

import types

import jax
import numpy as np
import pytest
from sklearn import decomposition

from jaxssl import models
from jaxssl.evaluation import token_maps

IMAGES = np.random.default_rng(0).uniform(size=(2, 8, 12, 3)).astype(np.float32)  # 2 x 3 patches


def restored(config):
    """A network with random parameters all over, so that no bias is 0."""
    module = config.build()
    shapes = jax.eval_shape(module.init, jax.random.key(0), IMAGES)
    random = np.random.default_rng(1)
    variables = jax.tree.map(lambda x: np.float32(0.3 * random.normal(size=x.shape)), shapes)
    # Only what the maps need of a RestoredEncoder.
    return types.SimpleNamespace(module=module, variables=variables)


def vit(**fields):
    return models.ViTConfig(width=16, depth=2, num_heads=2, patch_size=4, **fields)


def softmaxed(scores):
    scores = np.exp(scores - scores.max())
    return scores / scores.sum()


def attention_of(encoder, extra):
    """Weights of the second block [B, heads, Q, K], from the tokens that enter it, by loops."""
    params = jax.tree.map(np.float64, encoder.variables["params"])
    _, kept = encoder.module.apply(
        encoder.variables, IMAGES, capture_intermediates=lambda m, _: m.name == "block_0"
    )
    tokens = np.float64(kept["intermediates"]["block_0"]["__call__"][0])
    block = params["block_1"]
    weights = np.zeros((2, 2, extra + 6, extra + 6))
    for example in range(2):
        x = tokens[example]
        x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-6)
        x = x * block["norm1"]["scale"] + block["norm1"]["bias"]
        qkv = x @ block["attention"]["qkv"]["kernel"] + block["attention"]["qkv"]["bias"]
        for head in range(2):
            q, k = (qkv[:, start + 8 * head :][:, :8] for start in (0, 16))
            for query in range(extra + 6):
                scores = np.array([q[query] @ key / np.sqrt(8) for key in k])
                weights[example, head, query] = softmaxed(scores)
    return weights


@pytest.mark.parametrize(("pool", "registers"), [("class", 2), ("mean", 0)])
def test_attention_is_that_of_the_token_that_is_pooled(pool, registers):
    encoder = restored(vit(pool=pool, num_registers=registers))
    extra = registers + (1 if "class_token" in encoder.variables["params"] else 0)
    weights = attention_of(encoder, extra)
    queries = [0] if pool == "class" else range(extra, extra + 6)
    expected = np.mean([weights[:, :, query, extra:] for query in queries], axis=0)
    maps = token_maps.attention_maps(encoder, IMAGES)
    assert maps.shape == (2, 2, 2, 3)
    np.testing.assert_allclose(maps.reshape(2, 2, 6), expected, rtol=1e-4, atol=1e-6)


def test_attention_of_a_scan_and_of_the_library_is_that_of_the_loop():
    plain = restored(vit())
    expected = token_maps.attention_maps(plain, IMAGES, block=0)
    stacked = {"params": models.stack_layers(plain.variables["params"])}
    module = vit(scan_layers=True, library_attention=True).build()
    encoder = types.SimpleNamespace(module=module, variables=stacked)
    np.testing.assert_array_equal(token_maps.attention_maps(encoder, IMAGES, block=-2), expected)


def test_weights_are_handed_out_to_nobody_else():
    encoder = restored(vit())
    _, kept = encoder.module.apply(encoder.variables, IMAGES, mutable=["batch_stats"])
    assert not kept


def test_colours_are_the_scores_of_three_principal_components():
    maps = np.random.default_rng(2).normal(size=(3, 4, 5, 6)) * np.arange(1, 7)
    rows = maps.reshape(-1, 6)
    scores = decomposition.PCA(3).fit_transform(rows)
    low, high = np.percentile(scores, [1, 99], axis=0)
    expected = np.clip((scores - low) / (high - low), 0, 1)
    got = token_maps.principal_colors(maps).reshape(-1, 3)
    for channel in range(3):  # up to the sign
        either = (expected[:, channel], 1 - expected[:, channel])
        assert min(np.abs(got[:, channel] - each).max() for each in either) < 1e-4


def test_patches_that_are_all_alike_give_finite_colours():
    assert np.isfinite(token_maps.principal_colors(np.ones((1, 2, 2, 4)))).all()


def test_what_has_no_attention_is_refused():
    encoder = restored(models.ResNetConfig(depth=10, width_multiplier=0.25))
    with pytest.raises(ValueError, match="must be a ViT; got ResNet, which has no attention"):
        token_maps.attention_maps(encoder, IMAGES)
    with pytest.raises(ValueError, match=r"block must be in \[-2, 1\]; got 2"):
        token_maps.attention_maps(restored(vit()), IMAGES, block=2)
    with pytest.raises(ValueError, match=r"with D at least 3; got \(1, 2, 2, 2\)"):
        token_maps.principal_colors(np.zeros((1, 2, 2, 2)))
