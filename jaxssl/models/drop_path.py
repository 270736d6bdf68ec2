"""Stochastic depth: residual branches that are left out at random while training."""

import jax.numpy as jnp
import numpy as np

from jaxssl.types import Array


def branch_scale(draws: Array, *, rate: float) -> Array:
    """What each residual branch of each image is multiplied by.

        scale_l = 0 where u_l < r_l, else 1 / (1 - r_l);   r_l = rate · l / (depth - 1)

    with l = 0 … depth - 1: the first block never loses a branch, the last one loses each with
    probability ``rate``, and the expectation is 1 everywhere. Randomness comes from outside, so
    that it can belong to an example and not to a device.

    Args:
        draws: float32 [B, depth, 2], independent and uniform in [0, 1); 2 for the attention and
            the MLP of a block.
        rate: in [0, 1).

    Returns:
        float32 [depth, 2, B], what ``ViT`` takes.

    Source: Huang et al., Deep Networks with Stochastic Depth, 2016, arXiv:1603.09382, section 3;
        per example and scaled as ``drop_path`` of facebookresearch/dino, vision_transformer.py.
    """
    rates = jnp.asarray(np.linspace(0.0, rate, draws.shape[1]), jnp.float32)[None, :, None]
    return jnp.where(draws < rates, 0.0, 1 / (1 - rates)).transpose(1, 2, 0)
