"""Contrastive losses: recognise the row's own pair among the rows of the whole batch.

Contract of every function here. Rows have any scale and are L2-normalised inside; a zero row
counts as orthogonal to everything and receives a zero gradient. Rows are paired by position.
Values are per example, for the local rows, not reduced, in nats, at least 0, and float32 (float64
for float64 input) whatever comes in. With ``axis_name`` the candidates are the rows of all devices,
with exact gradients through the gather: take ``pmean`` of the mean inside the differentiated
function and of the gradients outside it. ``block_size`` chooses the tiled form, which computes
the same numbers with memory linear in the batch instead of quadratic (reverse mode only). The
temperature may be a traced array, which then receives a gradient.
"""

import jax
import jax.numpy as jnp

from jaxssl import collectives
from jaxssl.losses import checks, numerics, tiled
from jaxssl.losses.meshes import on_any_mesh
from jaxssl.types import Array


@on_any_mesh
def info_nce(
    query: Array,
    positive: Array,
    *,
    negatives: Array | None = None,
    temperature: float | Array = 0.1,
    block_size: int | None = None,
    axis_name: str | None = None,
) -> Array:
    """Prices how well each query picks its own positive among the others, in one direction.

        value_i = -log( exp(q_i . p_i / T) / (exp(q_i . p_i / T) + sum_n exp(q_i . n / T)) )

    The negatives n are the other positives of the global batch or, where ``negatives`` is given,
    exactly those rows and no others, as MoCo does with its queue. Evaluated as
    softplus(logsumexp of the negatives - own logit), which keeps its relative precision where the
    value is tiny. Values average about log G for random embeddings and a large T.

    Args:
        query: [B, D] floating, the rows that ask.
        positive: [B, D] floating, row i belonging to query i.
        negatives: [M, D] floating or None, equal on all devices; they receive gradients unless
            the caller stops them.
        temperature: T, above 0, unitless.
        block_size: rows priced at a time, or None for the dense form.
        axis_name: device axis, or None.

    Returns:
        [B], local, per example, float32 or wider, at least 0.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: a wrong rank, unequal shapes, temperature not above 0, block_size below 1, or,
            without ``negatives``, a global batch of one.

    Source: van den Oord, Li, Vinyals: Representation Learning with Contrastive Predictive Coding,
    2018, arXiv 1807.03748, eq. 4; with a queue He et al.: Momentum Contrast for Unsupervised
    Visual Representation Learning, 2019, arXiv 1911.05722, eq. 1.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxssl import losses
        >>> rows = jnp.eye(3)
        >>> [f"{value:.4f}" for value in losses.info_nce(rows, rows, temperature=1.0)]
        ['0.5514', '0.5514', '0.5514']
    """
    checks.axes("info_nce", "B D", query=query, positive=positive)
    checks.equal_shapes("info_nce", query=query.shape, positive=positive.shape)
    checks.floating("info_nce", query=query, positive=positive)
    checks.temperature("info_nce", temperature)
    checks.block_size("info_nce", block_size)
    ids = global_ids(query.shape[0], axis_name)
    if negatives is None:
        _check_batch("info_nce", query, axis_name)
        query, positive = _unit_rows(query, positive)
        columns, column_ids = positive, ids
        if block_size is None:
            columns, column_ids = collectives.all_gather((positive, ids), axis_name)
    else:
        checks.axes("info_nce", "M D", negatives=negatives)
        checks.equal_shapes(
            "info_nce", **{"query rows": query.shape[1:], "negatives rows": negatives.shape[1:]}
        )
        checks.floating("info_nce", negatives=negatives)
        query, positive, columns = _unit_rows(query, positive, negatives)
        column_ids = jnp.full(columns.shape[0], -1, ids.dtype)  # nobody's own
    rows = query / jnp.asarray(temperature, query.dtype)
    own = jnp.sum(rows * positive, axis=1)
    if block_size is None:
        others = jax.nn.logsumexp(tiled.logits(rows, columns, ids, column_ids), axis=1)
    else:
        others = tiled.across(
            rows,
            columns,
            ids,
            column_ids,
            block_size=block_size,
            axis_name=axis_name,
            shared=negatives is not None,
        )
    return jax.nn.softplus(others - own)


@on_any_mesh
def nt_xent(
    view_a: Array,
    view_b: Array,
    *,
    temperature: float | Array = 0.1,
    block_size: int | None = None,
    axis_name: str | None = None,
) -> Array:
    """Prices how well the two views of an example find each other among all 2G views.

        l(i, j) = -log( exp(z_i . z_j / T) / sum_{k != i} exp(z_i . z_k / T) )
        value_i = ( l(a_i, b_i) + l(b_i, a_i) ) / 2

    Each view has the 2G - 2 views of other examples as negatives. The paper's loss is the mean of
    the values. Symmetric in its two arguments. Evaluated as softplus(logsumexp of the negatives -
    own logit), which keeps its relative precision where the value is tiny.

    Args:
        view_a: [B, D] floating, one view of each example.
        view_b: [B, D] floating, the other view, row i belonging to row i.
        temperature: T, above 0, unitless.
        block_size: rows priced at a time (there are 2B), or None for the dense form.
        axis_name: device axis, or None.

    Returns:
        [B], local, per example, float32 or wider, at least 0.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: a wrong rank, unequal shapes, temperature not above 0, block_size below 1, or a
            global batch of one, which has no negative.

    Source: Chen et al.: A Simple Framework for Contrastive Learning of Visual Representations,
    2020, arXiv 2002.05709, eq. 1.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxssl import losses
        >>> rows = jnp.eye(3)
        >>> [f"{value:.4f}" for value in losses.nt_xent(rows, rows, temperature=1.0)]
        ['0.9048', '0.9048', '0.9048']
    """
    _check_batch("nt_xent", view_a, axis_name)
    own, from_a, from_b = pair_logits(
        "nt_xent",
        view_a,
        view_b,
        temperature=temperature,
        block_size=block_size,
        axis_name=axis_name,
    )
    return (jax.nn.softplus(from_a - own) + jax.nn.softplus(from_b - own)) / 2


def _check_batch(function: str, rows: Array, axis_name: str | None) -> None:
    """Raises a ValueError for a global batch without a negative: its loss would be 0, and still."""
    # Where the rank is wrong, that is said first.
    if rows.ndim:
        checks.global_batch(function, rows.shape[0] * collectives.axis_size(axis_name), 2)


def pair_logits(
    function: str,
    view_a: Array,
    view_b: Array,
    *,
    temperature: float | Array,
    block_size: int | None,
    axis_name: str | None,
) -> tuple[Array, Array, Array]:
    """What losses on pairs against the 2G - 2 views of other examples are made of.

    Args:
        function: the public loss, which errors name.
        view_a: [B, D] floating.
        view_b: [B, D] floating.
        temperature: T, above 0.
        block_size: rows priced at a time, or None for the dense form.
        axis_name: device axis, or None.

    Returns:
        Three [B]: the logit of each pair, and the log-sum-exp of the negatives' logits from a and
        from b, hugely negative where there are none.
    """
    checks.axes(function, "B D", view_a=view_a, view_b=view_b)
    checks.equal_shapes(function, view_a=view_a.shape, view_b=view_b.shape)
    checks.floating(function, view_a=view_a, view_b=view_b)
    checks.temperature(function, temperature)
    checks.block_size(function, block_size)
    view_a, view_b = _unit_rows(view_a, view_b)
    # Half of 1/T on each side keeps the matrix of logits symmetric, as the tiled form needs.
    scale = jnp.sqrt(jnp.asarray(temperature, view_a.dtype))
    view_a, view_b = view_a / scale, view_b / scale
    ids = global_ids(view_a.shape[0], axis_name)
    if block_size is None:
        rows, ids = jnp.concatenate([view_a, view_b]), jnp.tile(ids, 2)
        columns, column_ids = collectives.all_gather((rows, ids), axis_name)
        others = jax.nn.logsumexp(tiled.logits(rows, columns, ids, column_ids), axis=1)
        from_a, from_b = jnp.split(others, 2)
    else:
        others = tiled.within(view_a, view_b, ids=ids, block_size=block_size, axis_name=axis_name)
        from_a, from_b = others.T
    return jnp.sum(view_a * view_b, axis=1), from_a, from_b


def global_ids(num_rows: int, axis_name: str | None) -> Array:
    """Positions of this device's rows in the global batch, int32 [B]."""
    return collectives.axis_index(axis_name) * num_rows + jnp.arange(num_rows, dtype=jnp.int32)


def _unit_rows(*arrays: Array) -> tuple[Array, ...]:
    return tuple(numerics.unit_rows(array) for array in numerics.at_least_float32(*arrays))
