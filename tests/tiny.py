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
}
# The encoder each method is tested on. Batch statistics are the hard case for several devices; one
# method on a ResNet covers them, since compiling eight mappings of it takes longest of all.
ENCODER_OF = {"SimCLR": "ResNet"}
CASES = [(name, ENCODER_OF.get(name, "ViT")) for name in methods.all_configs()]


def method(name):
    """The method with default hyper-parameters and small layers on 16 x 16 images."""
    config = methods.all_configs()[name]()
    changes = {
        field.name: SMALL[field.name.rsplit("_", 1)[-1]]
        for field in dataclasses.fields(config)
        if field.name.rsplit("_", 1)[-1] in SMALL
    }
    augment = dataclasses.replace(config.augment, size=SIZE)
    return dataclasses.replace(config, augment=augment, **changes)


def images(num_images=16):
    """uint8 [B, 16, 16, 3], smooth enough that a crop resembles its image."""
    coarse = np.random.default_rng(0).integers(0, 256, (num_images, 8, 8, 3), dtype=np.uint8)
    return coarse.repeat(2, axis=1).repeat(2, axis=2)
