"""Tiny instances of every method and of the encoders they run on."""

import dataclasses

import numpy as np
import small_encoder

from jaxssl import data, methods, models, pretraining
from jaxssl.augment import policies

SIZE = 16
# What a field's name says about its size; every method is shrunk by these and nothing else.
SMALL = {"width": 16, "dim": 8, "depth": 1, "heads": 2}

ENCODERS = {
    "Small": small_encoder.SmallConfig(),
    "SmallLightness": small_encoder.SmallConfig(color_space="lightness", mean=(50.0,), std=(25.0,)),
    "SmallSplit": small_encoder.SmallSplitConfig(),
    "ViT": models.ViTConfig(width=16, depth=2, num_heads=2, patch_size=4, pool="mean"),
    "ResNet": models.ResNetConfig(
        depth=10, width_multiplier=1 / 16, stem="small", zero_init_residual=False
    ),
    "Lightness": models.ViTConfig(
        width=16, depth=2, num_heads=2, patch_size=4, pool="mean", color_space="lightness"
    ),
    "Split": models.SplitConfig(
        models.ResNetConfig(
            depth=10, width_multiplier=1 / 16, stem="small", zero_init_residual=False
        )
    ),
}
# The encoder each method is tested on, where it is not the small one: compiling is what takes the
# time, and batch statistics are the hard case for several devices.
ENCODER_OF = {
    "MAE": "ViT",
    "Rotation": "ViT",
    "Colorization": "SmallLightness",
    "SplitBrain": "SmallSplit",
    "VideoColorization": "SmallLightness",
}
# Sizes in pixels, which the name of a field does not tell, for images of 16 x 16.
OVERRIDES = {
    "SplitBrain": {"output_stride": 4},
    "ContextPrediction": {"patch_size": 4, "gap": 1, "jitter": 1, "resample_side": 2},
    "Jigsaw": {"cell_size": 5, "tile_size": 4, "channel_shift": 1},
    "CPC": {"patch_size": 8, "stride": 4, "patch_crop": 6, "min_offset": 1, "max_offset": 2},
    "MoCoV1": {"queue_size": 24},
    "MoCoV2": {"queue_size": 24},
    "NNCLR": {"queue_size": 24},
    "SwAV": {"num_prototypes": 8, "queue_size": 16, "queue_epochs": 0},
    "DeepClusterV2": {"num_prototypes": 8},
    "DINO": {"num_prototypes": 8},
    "WMSE": {"projector_dim": 3, "whitening_size": 8, "num_divisions": 2},
}
CASES = [(name, ENCODER_OF.get(name, "Small")) for name in methods.all_configs()]


def changes(config):
    """The fields that make a method small, with their values."""
    by_suffix = {
        field.name: SMALL[field.name.rsplit("_", 1)[-1]]
        for field in dataclasses.fields(config)
        if field.name.rsplit("_", 1)[-1] in SMALL
    }
    return by_suffix | OVERRIDES.get(type(config).__name__, {})


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
    """The method with default hyper-parameters and small layers on 16 x 16 images, fitted."""
    config = methods.all_configs()[name]()
    config = dataclasses.replace(config, augment=shrunk_views(config.augment), **changes(config))
    return pretraining.fitted(config, data.from_arrays(images()))


def images(num_images=16):
    """uint8 [B, 16, 16, 3], smooth enough that a crop resembles its image."""
    coarse = np.random.default_rng(0).integers(0, 256, (num_images, 8, 8, 3), dtype=np.uint8)
    return coarse.repeat(2, axis=1).repeat(2, axis=2)
