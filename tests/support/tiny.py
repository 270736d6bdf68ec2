"""Tiny instances of every method and of the encoders they run on."""

import ast
import dataclasses
import functools
import json
from pathlib import Path

import jax
import numpy as np
import small_encoder

from jaxssl import data, draws, inputs, methods, models, named
from jaxssl.augment import policies
from jaxssl.runs import pretrain, tokenizer

SIZE = 16
# What a field's name says about its size; methods are shrunk by these, and by what their own tests
# say beside that.
SMALL = {"width": 16, "dim": 8, "depth": 1, "heads": 2}

ENCODERS = {
    "Small": small_encoder.SmallConfig(),
    "SmallLightness": small_encoder.SmallConfig(color_space="lightness", mean=(50.0,), std=(25.0,)),
    "SmallSplit": small_encoder.SmallSplitConfig(),
    "ViT": models.ViTConfig(width=16, depth=2, num_heads=2, patch_size=4, pool="mean"),
    "ViTClass": models.ViTConfig(width=16, depth=2, num_heads=2, patch_size=4),
    "Pixels": models.ViTConfig(
        width=16, depth=2, num_heads=2, patch_size=1, pool="mean", causal=True
    ),
    "ViTRope": models.ViTConfig(
        width=16, depth=2, num_heads=2, patch_size=4, position="rope", num_registers=1
    ),
    "ResNet": models.ResNetConfig(
        depth=10, width_multiplier=1 / 16, stem="small", zero_init_residual=False
    ),
    "Lightness": models.ViTConfig(
        width=16, depth=2, num_heads=2, patch_size=4, pool="mean", color_space="lightness"
    ),
    "Text": models.TextTransformerConfig(width=16, depth=2, num_heads=2, length=16),
    "CausalText": models.TextTransformerConfig(
        width=16, depth=2, num_heads=2, length=16, causal=True
    ),
    "SmallDual": small_encoder.SmallDualConfig(
        text=models.TextTransformerConfig(width=16, depth=1, num_heads=2, length=16, causal=True),
        dim=8,
    ),
    "Split": models.SplitConfig(
        models.ResNetConfig(
            depth=10, width_multiplier=1 / 16, stem="small", zero_init_residual=False
        )
    ),
}


@functools.cache
def _declared(variable):
    """What the tests of methods say of them, by name of the method.

    A test file in tests/methods may set, each to a literal {name of the method: value}:

        TINY: fields that make it small on images of 16 x 16, where their names do not tell
        TINY_ENCODER: the name in ``ENCODERS`` of what it is tested on, if not the small one
        UNCHANGED: entries of its state that no step changes

    They are read from the syntax: importing a test to read a number would run it.
    """
    declared = {}
    for path in sorted((Path(__file__).parents[1] / "methods").glob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if name == variable:
                    declared |= ast.literal_eval(value)
    return declared


def encoder_of(name):
    """The name of the encoder that a method is tested on.

    By default the small one: compiling is what takes the time, and batch statistics are the hard
    case for several devices.
    """
    return _declared("TINY_ENCODER").get(name, "Small")


def unchanged(name):
    """Entries of a method's state that no step changes."""
    return _declared("UNCHANGED").get(name, set())


CASES = [(name, encoder_of(name)) for name in methods.all_configs()]
# Methods like another that is not among them: their contract is read among the slow tests. A new
# method's is among the usual ones until its name is here.
SLOW = {
    "AIM", "BEiT", "BERT", "BarlowTwins", "CAE", "CPC", "ContextPrediction", "DCL", "DCLW", "DINO",
    "DINOv2", "DINOv3", "Data2Vec", "Data2VecV2", "DenoisingAutoencoder", "IGPT", "IJEPA",
    "LeJEPA", "MSN", "MaskFeat", "MoCoV1", "MoCoV3", "NNCLR", "SigLIP", "SimMIM", "SimSiam",
    "SplitBrain", "Supervised", "VICReg", "VideoColorization", "WMSE",
}  # fmt: skip


def changes(config):
    """The fields that make a method small, with their values."""
    by_suffix = {
        field.name: SMALL[field.name.rsplit("_", 1)[-1]]
        for field in dataclasses.fields(config)
        if field.name.rsplit("_", 1)[-1] in SMALL
    }
    return by_suffix | _declared("TINY").get(type(config).__name__, {})


def view_sizes(augment):
    """The fields of an augmentation that make its views small, by dotted name, with values."""
    if isinstance(augment, policies.MultiCrop):
        pair = {f"pair.{name}": size for name, size in view_sizes(augment.pair).items()}
        return pair | {"local.size": SIZE // 2, "num_local": 2}
    if isinstance(augment, policies.Pair):
        second = {} if augment.second is None else {"second.size": SIZE}
        return {"first.size": SIZE} | second
    return {"size": SIZE}


def shrunk_views(augment):
    """The augmentation with small views."""
    if isinstance(augment, policies.MultiCrop):
        local = dataclasses.replace(augment.local, size=SIZE // 2)
        return policies.MultiCrop(augment.pair.change_views(size=SIZE), local, num_local=2)
    if isinstance(augment, policies.Pair):
        return augment.change_views(size=SIZE)
    return dataclasses.replace(augment, size=SIZE)


def method(name):
    """The method with default hyper-parameters and small layers on small examples, prepared."""
    config = methods.all_configs()[name]()
    views = {"augment": shrunk_views(config.augment)} if hasattr(config, "augment") else {}
    config = dataclasses.replace(config, **views, **changes(config))
    if tokenizer.names(config):
        words = "VQAutoencoder"
        config = config.with_tokenizer(method(words), ENCODERS[encoder_of(words)])
    labels = np.arange(16) % 4 if reads_label(name) else None
    return pretrain.prepare(config, data.from_arrays(images(), labels))


def begun(method, batch, key):
    """Views, params and state of a method, compiled as one: op by op takes ten times as long."""

    def begin(batch):
        keys = jax.random.split(key, len(next(iter(batch.values()))))
        views = draws.make_views(method, batch, keys)
        return views, *method.init(key, views)

    return jax.jit(begin)(batch)


def reads_label(name):
    """Whether the method of that name is shown labels."""
    return getattr(methods.all_configs()[name], "READS_LABEL", False)


def meta(encoder, **more):
    """What a checkpoint records of an encoder's config, whatever it was trained on."""
    plain = {"name": "module:Class", "fields": {}}
    recorded = {
        "encoder": named.to_json(encoder),
        "inputs": inputs.to_json(inputs.of_image(SIZE, images(1).shape[-1])),
        "example": [],
        "config": {"method": plain, "encoder": plain, "data": {}}
        | {"optimizer": {}, "training": {}, "run": {}},
        "plan": {"batch_size": 8, "steps_per_epoch": 2, "total_steps": 4},
        "dataset": {"name": "tiny", "split": "train", "size": 16, "fingerprint": "00"},
        "versions": {"jaxssl": "0", "jax": "0"},
        **more,
    }
    return json.loads(json.dumps(recorded))


def is_text(encoder):
    """Whether the encoder of that name reads texts."""
    return isinstance(ENCODERS[encoder], models.TextTransformerConfig)


def batch(encoder, *, labelled=False):
    """A batch of what the encoder is trained on: 16 images, texts of 16 bytes, or both."""
    examples = {} if is_text(encoder) else {"image": images()}
    if is_text(encoder) or isinstance(ENCODERS[encoder], models.DualConfig):
        examples["tokens"] = texts()
    if labelled:
        examples["label"] = np.arange(16, dtype=np.int32) % 4
    return examples | {"index": np.arange(16, dtype=np.int32)}


def texts(num_texts=16):
    """uint16 [B, 16], words of letters with separators between some of them."""
    generator = np.random.default_rng(0)
    letters = generator.integers(ord("a"), ord("e"), (num_texts, SIZE), dtype=np.uint16)
    between = generator.random((num_texts, SIZE))
    return np.where(between < 0.2, ord(" "), np.where(between > 0.95, 256, letters)).astype(
        np.uint16
    )


def images(num_images=16):
    """uint8 [B, 16, 16, 3], smooth enough that a crop resembles its image."""
    coarse = np.random.default_rng(0).integers(0, 256, (num_images, 8, 8, 3), dtype=np.uint8)
    return coarse.repeat(2, axis=1).repeat(2, axis=2)
