"""Jobs of shipped recipes on black images: to be planned, traced and lowered."""

import dataclasses

import numpy as np

from jaxssl import data
from jaxssl.runs import pretrain, recipe


def job(name, *, batch_size=32, shard="none", **encoder):
    """The job of a recipe, with fields of its encoder changed."""
    config = recipe.load(name)
    size, channels = config.data.image_size, config.data.channels
    source = data.from_arrays(np.zeros((batch_size, size, size, channels), np.uint8))
    config = dataclasses.replace(
        config,
        method=pretrain.prepare(config.method, source),
        encoder=dataclasses.replace(config.encoder, **encoder),
        training=dataclasses.replace(config.training, batch_size=batch_size, epochs=1000),
        run=dataclasses.replace(config.run, backend="jit", shard=shard),
    )
    with data.Loader(source, batch_size=batch_size, seed=0) as loader:
        return pretrain.build(config, source, loader)
