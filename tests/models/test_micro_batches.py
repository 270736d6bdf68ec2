"""An encoder over micro-batches: the numbers of the whole batch, the memory of a part."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_encoder
import tiny

from jaxssl import models
from jaxssl.models import drop_path

KEY = jax.random.key(0)
VIT = models.ViTConfig(width=16, depth=2, num_heads=2, patch_size=4)


def images(count=8):
    return jnp.asarray(tiny.images(count))


def options_of(name):
    """What a ViT may be given beside images; 16 rows of them, as wide as the tokens are."""
    draws = jax.random.uniform(KEY, (16, 2, 2))
    orders = jax.vmap(lambda key: jax.random.permutation(key, 16))(jax.random.split(KEY, 16))
    return {
        "keep": {"keep": orders[:, :5]},
        "hide": {
            "hide": orders < 6,
            "mask_token": jnp.arange(16.0),
            "branch_scale": drop_path.branch_scale(draws, rate=0.5),
        },
        "prefix": {"prefix": jnp.arange(16, dtype=jnp.int32)},
    }[name]


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=pytest.mark.slow) for each in ("keep", "prefix")] + ["hide"]
)
def test_a_vit_gives_the_same_features_and_gradients(name):
    module, options = VIT.build(), options_of(name)
    parted = models.over_micro_batches(module, 4)
    assert type(parted) is type(module) and parted.config is module.config
    variables = jax.jit(module.init)(KEY, images(2))

    def objective(variables, of):
        features = of.apply(variables, images(16), train=True, **options)
        weights = jnp.cos(jnp.arange(16.0))  # another one for each row
        leaves = (leaf.reshape(16, -1) for leaf in jax.tree.leaves(features))
        return sum(jnp.mean(weights[:, None] * jnp.sin(leaf)) for leaf in leaves), features

    outcomes = [
        jax.jit(jax.value_and_grad(functools.partial(objective, of=of), has_aux=True))(variables)
        for of in (module, parted)
    ]
    for expected, got in zip(*map(jax.tree.leaves, outcomes), strict=True):
        scale = max(1, np.abs(expected).max())
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * scale)


def test_statistics_are_those_of_a_part_and_move_by_the_mean_over_parts():
    module = small_encoder.SmallConfig().build()
    variables = jax.jit(module.init)(KEY, images(2))
    parted = models.over_micro_batches(module, 2)

    def apply(of):
        return jax.jit(lambda rows: of.apply(variables, rows, train=True, mutable=["batch_stats"]))

    got, moved = apply(parted)(images())
    parts = [apply(module)(images()[start::2]) for start in (0, 1)]
    for start, (features, _) in enumerate(parts):
        np.testing.assert_allclose(got.pooled[start::2], features.pooled, rtol=1e-5, atol=1e-6)
    mean = jax.tree.map(lambda a, b: (a + b) / 2, *(state for _, state in parts))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), moved, mean)


@pytest.mark.slow
def test_a_pair_of_towers_goes_over_images_and_texts_at_once():
    module = tiny.ENCODERS["SmallDual"].build()
    batch = tiny.batch("SmallDual")
    fed = batch["image"], batch["tokens"]
    variables = jax.jit(module.init)(KEY, *(rows[:2] for rows in fed))
    parted = models.over_micro_batches(module, 4)
    for given in ({"tokens": fed[1]}, {"image": fed[0], "tokens": fed[1]}):
        expected, got = (
            jax.jit(functools.partial(of.apply, train=False, method="embed"))(variables, **given)
            for of in (module, parted)
        )
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), got, expected)


def test_a_batch_that_does_not_divide_goes_through_whole():
    module = small_encoder.SmallConfig().build()
    variables = jax.jit(module.init)(KEY, images(2))
    parted = models.over_micro_batches(module, 4)
    for count, loops in ((2, 0), (8, 1)):
        jaxpr = jax.make_jaxpr(lambda rows: parted.apply(variables, rows))(images(count))
        assert str(jaxpr).count("scan[") == loops


def test_memory_falls_with_the_size_of_a_part():
    module = models.ViTConfig(width=32, depth=2, num_heads=2, patch_size=2).build()
    rows = jnp.zeros((64, 16, 16, 3))
    variables = jax.eval_shape(lambda: module.init(KEY, rows[:1]))

    def temporaries(num_micro_batches):
        of = module
        if num_micro_batches > 1:
            of = models.over_micro_batches(module, num_micro_batches)
        gradient = jax.grad(lambda v, x: jnp.sum(of.apply(v, x, train=True).pooled ** 2))
        compiled = jax.jit(gradient).lower(variables, rows).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporaries(8) < temporaries(1) / 5
