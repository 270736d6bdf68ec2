"""Encoders with random weights, as they are restored, whose features keep their size."""

import jax
import numpy as np
import weight_files

from jaxssl import inputs, named
from jaxssl.checkpoints import RestoredEncoder

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)


def encoder_of(config, size=16, channels=3):
    """An encoder with random variables, as it is restored."""

    def draw(generator, shape):
        if len(shape) > 1:  # kernels that keep the size of what they are given
            return generator.normal(size=shape) / np.sqrt(np.prod(shape[:-1]))
        return generator.uniform(0.1, 0.3, shape)

    return drawn(config, draw, size, channels)


def drawn(config, draw, size=16, channels=3):
    """An encoder as it is restored, each of its leaves ``draw(generator, shape)``."""
    module = config.build()
    fed = inputs.of_image(size, channels)
    like = jax.eval_shape(module.init, jax.random.key(0), *inputs.shapes(fed).values())
    generator = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: draw(generator, leaf.shape).astype(np.float32), like)
    meta = {
        "encoder": named.to_json(config),
        "inputs": inputs.to_json(fed),
        "example": inputs.to_json(fed),
        "versions": {"jaxssl": "0", "jax": "0"},
        "step": 0,
        "origin": {"imported": {"file": "", "sha256": "", "layout": "", "prefix": ""}},
    }
    return RestoredEncoder(module, variables, meta)


def vit(**fields):
    fields = {"mean": MEAN, "std": STD, "position": "sincos"} | fields
    return weight_files.vit(**fields).config
