"""Pure losses: arrays in, one value per example out; no state, no modules, no reduction."""

from jaxssl.losses.adversarial import gan_discriminator, gan_generator
from jaxssl.losses.classification import cross_entropy, soft_cross_entropy
from jaxssl.losses.contrastive import info_nce, nt_xent
from jaxssl.losses.cpc import grid_logits
from jaxssl.losses.reconstruction import masked_mse, normalize_patches, weighted_mse

__all__ = [
    "cross_entropy",
    "gan_discriminator",
    "gan_generator",
    "grid_logits",
    "info_nce",
    "masked_mse",
    "normalize_patches",
    "nt_xent",
    "soft_cross_entropy",
    "weighted_mse",
]
