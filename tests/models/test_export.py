"""Encoders leave for other programs by ``jax.export``, for batches of any number of images."""

import dataclasses
import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import parity
import pytest
from jax import export

from jaxssl import models

RESNET = models.ResNetConfig(depth=10, width_multiplier=0.125, stem="small", num_stages=2)

ENCODERS = {
    "resnet": RESNET,
    # Convolutions whose gradient is summed over pieces of the batch.
    "resnet, wide": models.ResNetConfig(depth=10, width_multiplier=0.5, num_stages=1),
    "resnet, patches": dataclasses.replace(RESNET, stem="patch"),
    "convnext": models.ConvNeXtConfig(depths=(1, 1, 1, 1), dims=(4, 8, 8, 16), stem_patch=2),
    "vit": models.ViTConfig("Nano", depth=2, patch_size=8),
    "vit, learned": models.ViTConfig(
        "Nano", depth=1, patch_size=8, pool="mean", position="learned", num_registers=2
    ),
    "vit, scan": models.ViTConfig("Nano", depth=2, patch_size=8, scan_layers=True, remat="block"),
    "split": models.SplitConfig(half=RESNET),
    "text": models.TextTransformerConfig(width=16, depth=2, num_heads=2, length=8),
    "dual, of images": models.DualConfig(
        image=RESNET,
        text=models.TextTransformerConfig(
            width=16, depth=1, num_heads=2, length=8, causal=True, pool="last"
        ),
        dim=8,
    ),
}
EVERY = pytest.mark.parametrize(
    "name",
    [parity.group(name, usual=["resnet", "vit"], slow=ENCODERS) for name in ENCODERS],
)


def encode(module):
    """Features and their gradient, of any number of images."""

    def total(variables, images):
        features = module.apply(variables, images)
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(features)), features

    return jax.jit(jax.grad(total, has_aux=True))


def examples(name, count):
    """What an encoder is fed: images, or texts."""
    random = np.random.default_rng(0)
    if name == "text":
        return random.integers(0, 256, (count, 8), np.int32)
    return random.uniform(size=(count, 32, 32, 3)).astype(np.float32)


def any_batch(name):
    one = examples(name, 1)
    return jax.ShapeDtypeStruct((*export.symbolic_shape("batch"), *one.shape[1:]), one.dtype)


def sent(exported):
    """Through bytes and back, where the package that JAX needs for them is there."""
    if importlib.util.find_spec("flatbuffers") is None:
        return exported
    return export.deserialize(exported.serialize())


def test_every_encoder_is_here():
    configs = {getattr(models, name) for name in models.__all__ if name.endswith("Config")}
    assert {type(config) for config in ENCODERS.values()} == configs


@EVERY
def test_an_exported_encoder_takes_any_number_of_images(name):
    module = ENCODERS[name].build()
    images = examples(name, 3)
    variables = jax.jit(module.init)(jax.random.key(0), images)
    gradient, features = encode(module)(variables, images)
    received = jax.jit(sent(export.export(encode(module))(variables, any_batch(name))).call)

    for count in (1, 3):
        got_gradient, got = received(variables, images[:count])
        for expected, leaf in zip(*map(jax.tree.leaves, (features, got)), strict=True):
            np.testing.assert_allclose(leaf, expected[:count], rtol=1e-4, atol=1e-5)
    for expected, leaf in zip(*map(jax.tree.leaves, (gradient, got_gradient)), strict=True):
        np.testing.assert_allclose(leaf, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_is_exported_for_other_devices_in_bfloat16(name):
    module = dataclasses.replace(ENCODERS[name], dtype="bfloat16").build()
    variables = jax.eval_shape(module.init, jax.random.key(0), examples(name, 1))
    exported = export.export(encode(module), platforms=("cpu", "cuda"))(variables, any_batch(name))
    assert exported.platforms == ("cpu", "cuda")
