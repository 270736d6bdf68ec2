"""Every method's defaults, at the paper's size on a published encoder, are traced as a whole."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import parity
import pytest
import tiny

from jaxssl import methods, models
from jaxssl.runs import tokenizer
from jaxssl.training import step as training_step

BATCH_SIZE, NUM_EXAMPLES = 8, 10_000
# Blocks under scan are traced once, not twelve times.
ENCODERS = {"ResNet-50": models.ResNetConfig(), "ViT-B/16": models.ViTConfig(scan_layers=True)}
# BERT-base and the small GPT-2, of 30,522 and 50,257 pieces in windows of 512 and 1,024.
TEXT = {
    "BERT": models.TextTransformerConfig(30_524, 512, width=768, depth=12, num_heads=12),
    "GPT": models.TextTransformerConfig(
        50_259, 1024, width=768, depth=12, num_heads=12, causal=True
    ),
}
# Beside what a method is tested on: the published networks of these see finer maps.
LIGHTNESS = {"color_space": "lightness", "mean": (50.0,), "std": (25.0,)}
REFUSED = {
    ("MAE", "ResNet-50"): r"MAE: the encoder must be a ViT",
    ("SimMIM", "ResNet-50"): r"SimMIM: the encoder must be a ViT",
    ("Data2Vec", "ResNet-50"): r"Data2Vec: the encoder must be a ViT",
    ("Data2VecV2", "ResNet-50"): r"Data2VecV2: the encoder must be a ViT",
    ("CAE", "ResNet-50"): r"CAE: the encoder must be a ViT",
    ("IGPT", "ResNet-50"): r"IGPT: the encoder must be a ViT",
    ("IGPT", "ViT-B/16"): r"IGPT: the encoder's patches must be single pixels",
    ("BEiT", "ResNet-50"): r"BEiT: the encoder must be a ViT",
    ("AIM", "ResNet-50"): r"AIM: the encoder must be a ViT",
    ("DINOv2", "ResNet-50"): r"DINOv2: the encoder must be a ViT",
    ("DINOv3", "ResNet-50"): r"DINOv3: the encoder must be a ViT",
    ("IBOT", "ResNet-50"): r"IBOT: the encoder must be a ViT",
    ("MSN", "ResNet-50"): r"MSN: the encoder must be a ViT",
    ("MaskFeat", "ResNet-50"): r"MaskFeat: the encoder must be a ViT",
    ("IJEPA", "ResNet-50"): r"IJEPA: the encoder must be a ViT",
    ("VQAutoencoder", "ResNet-50"): r"VQAutoencoder: the encoder must be a ViT",
    ("SplitBrain", "ViT-B/16"): r"SplitBrain: the encoder must be a Split",
    ("Jigsaw", "ViT-B/16"): r"multiples of the patch size; got image 255x255, patch 16",
    # The authors' transformers have patches of 14 pixels.
    ("LeJEPA", "ViT-B/16"): r"multiples of the patch size; got image 98x98, patch 16",
}


def encoder_for(name, architecture):
    """The encoder at its defaults, seeing what the method demands."""
    config = ENCODERS[architecture]
    if tiny.encoder_of(name) == "SmallLightness":
        stem = {"stem": "small"} if architecture == "ResNet-50" else {}
        return dataclasses.replace(config, **LIGHTNESS, **stem)
    if tiny.encoder_of(name) == "SmallDual":
        return models.DualConfig(config)
    if tiny.encoder_of(name) == "SmallSplit" and architecture == "ResNet-50":
        return models.SplitConfig(config)
    return config


def trace(name, encoder):
    """Shapes of the state before and after a step, and of its metrics.

    Images have 256 pixels, texts the length of the encoder.
    """
    config = methods.all_configs()[name]()
    labels = {}
    if tiny.reads_label(name):
        config = config.with_classes(tuple(map(str, range(1000))))
        labels = {"label": jax.ShapeDtypeStruct((BATCH_SIZE,), np.int32)}
    if tokenizer.names(config):
        words = methods.all_configs()["VQAutoencoder"]()
        config = config.with_tokenizer(words, ENCODERS["ViT-B/16"])
    if hasattr(config, "prepare"):
        images = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
        config = config.prepare(NUM_EXAMPLES, lambda *_: images)
    method = config.build(encoder.build(), axis_name=None)
    images = jax.ShapeDtypeStruct((BATCH_SIZE, 256, 256, 3), np.uint8)
    batch = {"image": images, "index": jax.ShapeDtypeStruct((BATCH_SIZE,), np.int32), **labels}
    if isinstance(encoder, models.TextTransformerConfig):
        batch = {"index": batch["index"]}
        batch["tokens"] = jax.ShapeDtypeStruct((BATCH_SIZE, encoder.length), np.uint16)
    if isinstance(encoder, models.DualConfig):
        batch["tokens"] = jax.ShapeDtypeStruct((BATCH_SIZE, encoder.text.length), np.uint16)
    optimizer = optax.sgd(0.1)

    def take_a_step(batch):
        state = training_step.init_state(method, optimizer, batch, seed=0)
        step = training_step.make_step(
            method, optimizer, seed=0, steps_per_epoch=10, total_steps=100
        )
        return state, *step(state, batch)

    return jax.eval_shape(take_a_step, batch)


NAMES = sorted(methods.all_configs().keys() - TEXT.keys())


def is_slow(name, architecture):
    """What is refused, and the first architecture that is not; the second is for "exhaustive"."""
    others = [each for each in reversed(ENCODERS) if (name, each) not in REFUSED]
    return (name, architecture) in REFUSED or architecture == others[0]


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        parity.group(*each, slow=[each] if is_slow(*each) else ())
        for each in itertools.product(NAMES, ENCODERS)
    ],
)
def test_defaults_are_traced_on_published_encoders(name, architecture):
    encoder = encoder_for(name, architecture)
    if (name, architecture) in REFUSED:
        with pytest.raises(ValueError, match=REFUSED[name, architecture]):
            trace(name, encoder)
        return
    before, after, metrics = trace(name, encoder)
    assert jax.tree.structure(before) == jax.tree.structure(after)
    assert metrics["loss"].shape == () and metrics["loss"].dtype == jnp.float32
    sizes = [leaf.size for leaf in jax.tree.leaves(before.params["encoder"])]
    assert sum(sizes) > 20_000_000


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXT)
def test_methods_of_text_are_traced_on_published_encoders(name):
    before, after, metrics = trace(name, TEXT[name])
    assert jax.tree.structure(before) == jax.tree.structure(after)
    assert metrics["loss"].shape == ()
    sizes = [leaf.size for leaf in jax.tree.leaves(before.params["encoder"])]
    assert 100_000_000 < sum(sizes) < 130_000_000


@pytest.mark.slow
def test_lejepa_is_traced_on_patches_of_14_pixels():
    *_, metrics = trace("LeJEPA", models.ViTConfig(patch_size=14, scan_layers=True))
    assert metrics["loss"].shape == ()


@pytest.mark.slow
def test_igpt_is_traced_at_the_size_of_the_small_one():
    encoder = models.ViTConfig(
        width=512,
        depth=24,
        num_heads=8,
        patch_size=1,
        pool="mean",
        position="learned",
        causal=True,
        scan_layers=True,
    )
    before, after, metrics = trace("IGPT", encoder)
    assert jax.tree.structure(before) == jax.tree.structure(after)
    assert metrics["loss"].shape == ()
    sizes = [leaf.size for leaf in jax.tree.leaves(before.params)]
    assert 75_000_000 < sum(sizes) < 78_000_000  # the paper: 76 million
