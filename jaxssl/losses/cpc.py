"""Contrastive predictive coding on a grid of patches: which patch stands some rows below?

InfoNCE as published, ``cross_entropy(*grid_logits(...))``: raw dot products, neither normalised nor
divided by a temperature (their scale is learnt), every patch of every image a candidate. That is
where it differs from ``contrastive.info_nce``.
"""

import jax.numpy as jnp
from jax import lax

from jaxssl import collectives
from jaxssl.losses import checks, numerics
from jaxssl.losses.meshes import on_any_mesh
from jaxssl.types import Array


@on_any_mesh
def grid_logits(
    prediction: Array, target: Array, *, offset: int, axis_name: str | None = None
) -> tuple[Array, Array]:
    """Scores of all patches of the global batch, for every prediction ``offset`` rows down.

        score(b, r, s; g, r', s') = prediction_brs . target_gr's'
        label(b, r, s) = (global(b) R + r + offset) S + s

    with R rows and S columns of patches, r in 0 ... R - offset - 1, and candidates in the order
    (g, r', s'). The negatives are all other patches: of the same image and of all others, those
    that the context has seen included. With ``axis_name`` the candidates are those of all devices
    in device order, with exact gradients through the gather: take ``pmean`` of the mean inside the
    differentiated function and of the gradients outside it.

    Args:
        prediction: [B, R, S, D] floating, W_k c at every position; the last ``offset`` rows, which
            look beyond the grid, are not read.
        target: [B, R, S, D] floating, z.
        offset: k, rows between a context and the patch it predicts, 1 ... R - 1.
        axis_name: device axis, or None.

    Returns:
        Logits [B, (R - offset) S, G R S], local rows of float32 or wider, and labels int32
        [B, (R - offset) S] for ``cross_entropy``, whose values average log(G R S) where all scores
        are equal.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: a wrong rank, unequal shapes, an offset outside 1 ... R - 1.

    Source: van den Oord, Li, Vinyals: Representation Learning with Contrastive Predictive Coding,
    2018, arXiv 1807.03748, eq. 3 and 4, section 3.3 for images.
    """
    checks.axes("grid_logits", "B R S D", prediction=prediction, target=target)
    checks.equal_shapes("grid_logits", prediction=prediction.shape, target=target.shape)
    checks.floating("grid_logits", prediction=prediction, target=target)
    batch, rows, columns, features = target.shape
    if not 1 <= offset < rows:
        raise ValueError(
            f"grid_logits: offset must be in 1 ... rows - 1; got {offset} for {rows} rows. "
            "Predict fewer rows ahead, or cut the image into more rows of patches."
        )
    prediction, target = numerics.at_least_float32(prediction, target)
    candidates = collectives.all_gather(target, axis_name).reshape(-1, features)
    queries = prediction[:, : rows - offset].reshape(-1, features)
    # Full float32 products, as in the other contrastive losses: see ``tiled.logits``.
    logits = jnp.matmul(queries, candidates.T, precision=lax.Precision.HIGHEST)
    first = collectives.axis_index(axis_name) * batch
    images = first + jnp.arange(batch, dtype=jnp.int32)
    within = jnp.arange(offset * columns, rows * columns, dtype=jnp.int32)
    labels = images[:, None] * (rows * columns) + within[None, :]
    return logits.reshape(*labels.shape, -1), labels
