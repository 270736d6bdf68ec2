"""Pure losses: arrays in, one value per example out; no state, no modules, no reduction."""

from jaxssl.losses.adversarial import gan_discriminator, gan_generator
from jaxssl.losses.anchoring import gram
from jaxssl.losses.classification import cross_entropy, soft_cross_entropy
from jaxssl.losses.clustering import (
    dino,
    dino_center,
    prototype_cross_entropy,
    sinkhorn,
    swav,
)
from jaxssl.losses.contrastive import info_nce, nt_xent
from jaxssl.losses.copying import copy_cross_entropy, copy_values
from jaxssl.losses.cpc import grid_logits
from jaxssl.losses.decoupled import dcl, dclw
from jaxssl.losses.distribution import sigreg, view_invariance
from jaxssl.losses.hidden import hidden_cross_entropy, ibot
from jaxssl.losses.neighbours import koleo, nearest_neighbours
from jaxssl.losses.reconstruction import (
    masked_mse,
    masked_smooth_l1,
    normalize_patches,
    weighted_mse,
)
from jaxssl.losses.redundancy import VICRegTerms, barlow_twins, standardise, vicreg, vicreg_terms
from jaxssl.losses.sigmoid import siglip
from jaxssl.losses.similarity import cosine_regression
from jaxssl.losses.usage import mean_entropy
from jaxssl.losses.whitening import whiten, whitening_mse

__all__ = [
    "VICRegTerms",
    "barlow_twins",
    "copy_cross_entropy",
    "copy_values",
    "cosine_regression",
    "cross_entropy",
    "dcl",
    "dclw",
    "dino",
    "dino_center",
    "gan_discriminator",
    "gan_generator",
    "gram",
    "grid_logits",
    "hidden_cross_entropy",
    "ibot",
    "info_nce",
    "koleo",
    "masked_mse",
    "masked_smooth_l1",
    "mean_entropy",
    "nearest_neighbours",
    "normalize_patches",
    "nt_xent",
    "prototype_cross_entropy",
    "siglip",
    "sigreg",
    "sinkhorn",
    "soft_cross_entropy",
    "standardise",
    "swav",
    "vicreg",
    "vicreg_terms",
    "view_invariance",
    "weighted_mse",
    "whiten",
    "whitening_mse",
]
