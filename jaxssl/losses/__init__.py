"""Pure losses: arrays in, one value per example out; no state, no modules, no reduction."""

from jaxssl.losses.classification import cross_entropy
from jaxssl.losses.contrastive import info_nce, nt_xent
from jaxssl.losses.reconstruction import masked_mse, normalize_patches

__all__ = ["cross_entropy", "info_nce", "masked_mse", "normalize_patches", "nt_xent"]
