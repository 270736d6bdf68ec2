"""Mixup and cutmix: an image is mixed with a partner, and so are their labels.

What is drawn belongs to one example and follows from its key; who the partner is, the caller says.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxssl.types import Array


class Mix(NamedTuple):
    """How one image is mixed with its partner.

    Attributes:
        weight: float32 scalar in [0, 1], of the image itself outside the box.
        box: float32 [4], top, bottom, left and right in pixels: what of the partner is pasted in;
            empty where top is bottom.
    """

    weight: Array
    box: Array


def draw(key: Array, *, mixup: float, cutmix: float, size: int) -> Mix:
    """How one image of ``size`` pixels a side is mixed: by mixup or cutmix, whichever is on.

    With both on, either with probability one half. The weight of mixup is drawn from
    Beta(mixup, mixup). The box of cutmix has 1 - Beta(cutmix, cutmix) of the area, lies anywhere,
    and loses what is beyond the border.

    Args:
        key: PRNG key.
        mixup: alpha of mixup, above 0, or 0 to leave it out.
        cutmix: alpha of cutmix, the same; one of both is above 0.
        size: pixels.

    Source: Zhang et al., mixup: Beyond Empirical Risk Minimization, 2017, arXiv:1710.09412,
        section 2; Yun et al., CutMix: Regularization Strategy to Train Strong Classifiers with
        Localizable Features, 2019, arXiv:1905.04899, eq. 1 and 2.
    """
    choice_key, mixup_key, cutmix_key, place_key = jax.random.split(key, 4)
    nothing = Mix(jnp.float32(1), jnp.zeros(4, jnp.float32))
    mixed = cut = nothing
    if mixup:
        weight = jax.random.beta(mixup_key, mixup, mixup, dtype=jnp.float32)
        mixed = nothing._replace(weight=weight)
    if cutmix:
        kept = jax.random.beta(cutmix_key, cutmix, cutmix, dtype=jnp.float32)
        half = jnp.floor(size * jnp.sqrt(1 - kept)) / 2
        middle = jnp.floor(jax.random.uniform(place_key, (2,), jnp.float32) * size)
        ends = jnp.stack([jnp.floor(middle - half), jnp.floor(middle + half)], axis=1)
        cut = nothing._replace(box=jnp.clip(ends, 0.0, size).ravel())
    if not (mixup and cutmix):
        return mixed if mixup else cut
    is_cut = jax.random.bernoulli(choice_key)
    return jax.tree.map(lambda a, b: jnp.where(is_cut, a, b), cut, mixed)


def apply(images: Array, partners: Array, mixes: Mix) -> tuple[Array, Array]:
    """Mixes a batch.

    Args:
        images: [B, H, W, C] float32.
        partners: [B, H, W, C] float32.
        mixes: [B] of what ``draw`` gives.

    Returns:
        The mixed images, and float32 [B], the share of each that is its own.
    """
    return jax.vmap(_apply)(images, partners, mixes)


def _apply(image: Array, partner: Array, mix: Mix) -> tuple[Array, Array]:
    height, width, _ = image.shape
    top, bottom, left, right = mix.box
    rows = jnp.arange(height, dtype=jnp.float32)[:, None, None]
    columns = jnp.arange(width, dtype=jnp.float32)[None, :, None]
    inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
    blended = mix.weight * image + (1 - mix.weight) * partner
    area = (bottom - top) * (right - left) / (height * width)
    return jnp.where(inside, partner, blended), mix.weight * (1 - area)
