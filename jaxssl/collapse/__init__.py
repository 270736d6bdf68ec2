"""Collapse: how it is measured, when a run counts as collapsed, and what is done about it."""

from jaxssl.collapse.measures import (
    PREFIX,
    alignment,
    effective_rank,
    feature_std,
    has_spectrum,
    neighbour_distance,
    spectral_decay,
    uniformity,
    usage_entropy,
)
from jaxssl.collapse.target import target_distance

__all__ = [
    "PREFIX",
    "alignment",
    "effective_rank",
    "feature_std",
    "has_spectrum",
    "neighbour_distance",
    "spectral_decay",
    "target_distance",
    "uniformity",
    "usage_entropy",
]
