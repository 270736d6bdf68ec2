"""Every public function of the losses and how to call it: the table of their contract."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxssl import losses

# Axes by letter; no two are alike, so that one taken for another shows.
SIZES = {"B": 16, "C": 2, "D": 5, "H": 4, "K": 3, "M": 7, "N": 6, "Q": 24, "R": 9, "U": 2, "V": 3,
         "W": 8}  # fmt: skip


class Loss(NamedTuple):
    """A public function and how to call it.

    Attributes:
        function: of ``jaxssl.losses``.
        inputs: argument to its axes, e.g. ``"B D"``: floating numbers, those without a B equal on
            all devices. A last word tells of others: ``<K`` integers below K, ``+`` numbers of at
            least 0, ``?`` booleans.
        output: axes of what it returns, a tuple of them for several arrays.
        across: whether an example's value depends on the other examples; then there must be an
            ``axis_name``.
        options: its other arguments.
        then: applied to what the function returns.
    """

    function: Callable
    inputs: Mapping[str, str]
    output: str | tuple[str, ...] = "B"
    across: bool = False
    options: Mapping = {}
    then: Callable = lambda output: output


QUERIES = {"query": "B D", "positive": "B D"}
QUEUE = QUERIES | {"negatives": "M D"}
CAPTIONED = {"image": "B D", "text": "B D"}
SCALARS = {"temperature": 0.2, "bias": -1.0}
MASKED = {"prediction": "B N C", "target": "B N C", "mask": "B N ?"}
PAIR = {"view_a": "B D", "view_b": "B D"}
TILED = {"block_size": 3}  # divides neither the rows of a device nor those of all

LOSSES = {
    "barlow_twins": Loss(losses.barlow_twins, PAIR, "", across=True),
    "copy_cross_entropy": Loss(
        losses.copy_cross_entropy,
        {"targets": "B N D", "references": "B R D", "target_labels": "B N <K",
         "reference_labels": "B R <K"}, "B N",
    ),
    "copy_values": Loss(
        losses.copy_values, {"targets": "B N D", "references": "B R D", "values": "B R C"}, "B N C",
    ),
    "cosine_regression": Loss(losses.cosine_regression, {"prediction": "B D", "target": "B D"}),
    "cross_entropy": Loss(
        losses.cross_entropy, {"logits": "B M", "labels": "B <M"}, options={"label_smoothing": 0.1}
    ),
    "dcl": Loss(losses.dcl, PAIR, across=True),
    "dcl, tiled": Loss(losses.dcl, PAIR, across=True, options=TILED),
    "dclw": Loss(losses.dclw, PAIR, across=True),
    "dclw, tiled": Loss(losses.dclw, PAIR, across=True, options=TILED),
    "dino": Loss(losses.dino, {"student": "B V M", "teacher": "B U M", "center": "M"}),
    "dino_center": Loss(losses.dino_center, {"center": "M", "teacher": "B U M"}, "M", across=True),
    "gan_discriminator": Loss(losses.gan_discriminator, {"real_logits": "B", "fake_logits": "B"}),
    "gan_generator": Loss(losses.gan_generator, {"fake_logits": "B"}),
    "gram": Loss(losses.gram, {"student": "B N D", "teacher": "B N C"}),
    "grid_logits": Loss(
        losses.grid_logits, {"prediction": "B H W D", "target": "B H W D"}, "B Q", across=True,
        options={"offset": 1}, then=lambda output: losses.cross_entropy(*output),
    ),
    "hidden_cross_entropy": Loss(
        losses.hidden_cross_entropy, {"logits": "B N M", "targets": "B N M", "mask": "B N ?"}
    ),
    "ibot": Loss(
        losses.ibot, {"student": "B N M", "teacher": "B N M", "mask": "B N ?", "center": "M"}
    ),
    "info_nce": Loss(losses.info_nce, QUERIES, across=True),
    "info_nce, tiled": Loss(losses.info_nce, QUERIES, across=True, options=TILED),
    "info_nce, queue": Loss(losses.info_nce, QUEUE),
    "info_nce, queue, tiled": Loss(losses.info_nce, QUEUE, options=TILED),
    "koleo": Loss(losses.koleo, {"features": "B D"}, across=True),
    "masked_mse": Loss(losses.masked_mse, MASKED),
    "masked_smooth_l1": Loss(losses.masked_smooth_l1, MASKED, options={"beta": 0.5}),
    "mean_entropy": Loss(losses.mean_entropy, {"scores": "B V M"}, "", across=True),
    "nearest_neighbours": Loss(losses.nearest_neighbours, {"query": "B D", "bank": "M D"}),
    "normalize_patches": Loss(losses.normalize_patches, {"patches": "B N D"}, "B N D"),
    "nt_xent": Loss(losses.nt_xent, PAIR, across=True),
    "nt_xent, tiled": Loss(losses.nt_xent, PAIR, across=True, options=TILED),
    "prototype_cross_entropy": Loss(
        losses.prototype_cross_entropy,
        {"features": "B D", "prototypes": "M D", "assignments": "B <M"},
    ),
    "siglip": Loss(losses.siglip, CAPTIONED, across=True, options=SCALARS),
    "siglip, tiled": Loss(losses.siglip, CAPTIONED, across=True, options=SCALARS | TILED),
    "sigreg": Loss(
        losses.sigreg, {"embeddings": "B V D"}, "", across=True,
        options={"key": jax.random.key(0), "num_slices": 8},
    ),
    "sinkhorn": Loss(
        losses.sinkhorn, {"scores": "B V M"}, "B V M", across=True, options={"epsilon": 0.5}
    ),
    "sinkhorn, some rows": Loss(
        losses.sinkhorn, {"scores": "B V M", "where": "B ?"}, "B V M", across=True,
        options={"epsilon": 0.5},
    ),
    "soft_cross_entropy": Loss(losses.soft_cross_entropy, {"logits": "B M", "targets": "B M"}),
    "standardise": Loss(
        losses.standardise, {"rows": "B D"}, "B D", across=True, then=jnp.abs  # of a mean above 0
    ),
    "swav": Loss(losses.swav, {"scores": "B V M", "codes": "B U M"}),
    "vicreg": Loss(losses.vicreg, PAIR, "", across=True),
    "vicreg_terms": Loss(losses.vicreg_terms, PAIR, ("", "", ""), across=True),
    "view_invariance": Loss(
        losses.view_invariance, {"projections": "B V D"}, options={"num_global": 2}
    ),
    "weighted_mse": Loss(
        losses.weighted_mse, {"prediction": "B H W C", "target": "B H W C", "weights": "B H W +"}
    ),
    "whiten": Loss(
        losses.whiten, {"rows": "B D"}, "B D", across=True, options={"epsilon": 0.1}, then=jnp.abs
    ),
    "whitening_mse": Loss(losses.whitening_mse, PAIR, across=True, options={"epsilon": 0.1}),
    "whitening_mse, groups": Loss(
        losses.whitening_mse, PAIR | {"groups": "B <U"}, across=True,
        options={"epsilon": 0.1, "num_groups": SIZES["U"]},
    ),
}  # fmt: skip
