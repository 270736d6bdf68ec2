"""Decoupled contrastive losses: NT-Xent without the pair itself among the candidates.

The contract is that of the contrastive losses: rows of any scale, normalised inside, paired by
position; values per example, local, in nats, float32 or wider; ``axis_name`` makes the rows of
all devices the candidates, exactly; ``block_size`` chooses the tiled form. Unlike theirs the
values can be negative.
"""

import jax
import jax.numpy as jnp
from jax import lax

from jaxssl import collectives
from jaxssl.losses import checks, contrastive, numerics
from jaxssl.losses.meshes import on_any_mesh
from jaxssl.types import Array


@on_any_mesh
def dcl(
    view_a: Array,
    view_b: Array,
    *,
    temperature: float | Array = 0.1,
    block_size: int | None = None,
    axis_name: str | None = None,
) -> Array:
    """Contrasts each pair with the views of other examples only, in both directions.

        l(a_i) = -a_i . b_i / T + log sum_n exp(a_i . n / T)
        value_i = ( l(a_i) + l(b_i) ) / 2

    n runs over the 2G - 2 views of other examples. Without the pair in the sum, an easy pair no
    longer weakens the gradient of its negatives, so that small batches lose less.

    Args:
        view_a: [B, D] floating, one view of each example.
        view_b: [B, D] floating, the other view, row i belonging to row i.
        temperature: T, above 0, unitless; may be traced.
        block_size: rows priced at a time (there are 2B), or None for the dense form.
        axis_name: device axis, or None.

    Returns:
        [B], local, per example, float32 or wider, from log(2G - 2) - 2/T to log(2G - 2) + 2/T.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: a wrong rank, unequal shapes, temperature not above 0, block_size below 1, or
            a global batch of one, which has no negative.

    Source: Yeh et al.: Decoupled Contrastive Learning, 2021, arXiv 2110.06848, section 3.
    """
    own, from_a, from_b = _terms(
        "dcl", view_a, view_b, temperature=temperature, block_size=block_size, axis_name=axis_name
    )
    return (from_a + from_b) / 2 - own


@on_any_mesh
def dclw(
    view_a: Array,
    view_b: Array,
    *,
    temperature: float | Array = 0.1,
    sigma: float = 0.5,
    block_size: int | None = None,
    axis_name: str | None = None,
) -> Array:
    """Decoupled contrast that pulls hard pairs more: the positive term weighed by difficulty.

        w_i = 2 - exp(a_i . b_i / sigma) / mean_j exp(a_j . b_j / sigma)
        value_i = -w_i a_i . b_i / T + the negatives' part of ``dcl``

    The weights (negative von Mises-Fisher) have mean 1 over the global batch. They are constants
    here: no gradient flows through them, as in lightly's DCLWLoss. In the code that it follows,
    raminnakhli/Decoupled-Contrastive-Learning (loss/dcl.py), the gradient does flow.

    Args:
        view_a: [B, D] floating, one view of each example.
        view_b: [B, D] floating, the other view, row i belonging to row i.
        temperature: T, above 0, unitless; may be traced.
        sigma: width of the weighting, above 0; large values give ``dcl``.
        block_size: rows priced at a time (there are 2B), or None for the dense form.
        axis_name: device axis, or None.

    Returns:
        [B], local, per example, float32 or wider.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: as ``dcl``, and sigma not above 0.

    Source: Yeh et al.: Decoupled Contrastive Learning, 2021, arXiv 2110.06848, section 3.
    """
    checks.above_zero("dclw", sigma=sigma)
    own, from_a, from_b = _terms(
        "dclw", view_a, view_b, temperature=temperature, block_size=block_size, axis_name=axis_name
    )
    cosine = jnp.sum(
        numerics.unit_rows(view_a.astype(own.dtype)) * numerics.unit_rows(view_b.astype(own.dtype)),
        axis=1,
    )
    score = lax.stop_gradient(cosine) / sigma
    everyone = collectives.all_gather(score, axis_name)
    mean = jax.nn.logsumexp(everyone) - jnp.log(jnp.asarray(everyone.shape[0], score.dtype))
    return (from_a + from_b) / 2 - (2 - jnp.exp(score - mean)) * own


def _terms(
    function: str, view_a: Array, view_b: Array, *, axis_name: str | None, **options
) -> tuple[Array, Array, Array]:
    terms = contrastive.pair_logits(function, view_a, view_b, axis_name=axis_name, **options)
    checks.global_batch(function, view_a.shape[0] * collectives.axis_size(axis_name), 2)
    return terms
