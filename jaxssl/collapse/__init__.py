"""Collapse: how it is measured, when a run counts as collapsed, and what is done about it."""

from jaxssl.collapse.measures import (
    PREFIX,
    alignment,
    effective_rank,
    feature_std,
    neighbour_distance,
    uniformity,
    usage_entropy,
)

__all__ = [
    "PREFIX",
    "alignment",
    "effective_rank",
    "feature_std",
    "neighbour_distance",
    "uniformity",
    "usage_entropy",
]
