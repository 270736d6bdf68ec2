"""Tiny instances of every method and of the encoders they run on."""

import dataclasses

import numpy as np

from jaxssl import methods, models

SIZE = 16
# What a field's name says about its size; every method is shrunk by these and nothing else.
SMALL = {"width": 16, "dim": 8, "depth": 1, "heads": 2}

ENCODERS = {
    "ViT": models.ViTConfig(width=16, depth=2, num_heads=2, patch_size=4, pool="mean"),
    "ResNet": models.ResNetConfig(
        depth=18, width_multiplier=1 / 16, stem="small", zero_init_residual=False
    ),
    "Lightness": models.ViTConfig(
        width=16, depth=2, num_heads=2, patch_size=4, pool="mean", color_space="lightness"
    ),
    "Split": models.SplitConfig(
        models.ResNetConfig(
            depth=18, width_multiplier=1 / 16, stem="small", zero_init_residual=False
        )
    ),
}
# The encoder each method is tested on, where it is not the ViT. Batch statistics are the hard case
# for several devices; few methods cover them, since compiling a ResNet eight times takes longest.
ENCODER_OF = {
    "SimCLR": "ResNet",
    "Colorization": "Lightness",
    "SplitBrain": "Split",
    "VideoColorization": "Lightness",
}
# Sizes in pixels, which the name of a field does not tell, for images of 16 x 16.
OVERRIDES = {
    "SplitBrain": {"output_stride": 4},
    "ContextPrediction": {"patch_size": 4, "gap": 1, "jitter": 1, "resample_side": 2},
    "Jigsaw": {"cell_size": 5, "tile_size": 4, "channel_shift": 1},
    "CPC": {"patch_size": 8, "stride": 4, "patch_crop": 6, "min_offset": 1, "max_offset": 2},
}
CASES = [(name, ENCODER_OF.get(name, "ViT")) for name in methods.all_configs()]


def changes(config):
    """The fields that make a method small, with their values."""
    by_suffix = {
        field.name: SMALL[field.name.rsplit("_", 1)[-1]]
        for field in dataclasses.fields(config)
        if field.name.rsplit("_", 1)[-1] in SMALL
    }
    return by_suffix | OVERRIDES.get(type(config).__name__, {})


def method(name):
    """The method with default hyper-parameters and small layers on 16 x 16 images, fitted."""
    config = methods.all_configs()[name]()
    augment = dataclasses.replace(config.augment, size=SIZE)
    config = dataclasses.replace(config, augment=augment, **changes(config))
    return config.fitted(images()) if hasattr(config, "fitted") else config


def images(num_images=16):
    """uint8 [B, 16, 16, 3], smooth enough that a crop resembles its image."""
    coarse = np.random.default_rng(0).integers(0, 256, (num_images, 8, 8, 3), dtype=np.uint8)
    return coarse.repeat(2, axis=1).repeat(2, axis=2)
