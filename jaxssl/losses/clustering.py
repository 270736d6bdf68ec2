"""Losses of soft or hard assignments to prototypes: SwAV, DINO, DeepCluster.

Scores (logits) are [B, V, M]: V views of an example against M prototypes, the views that make
targets first. Targets receive no gradient. Values are per example, local, in nats, float32 or
wider, and no example looks at another: only ``sinkhorn`` and ``dino_center``, which make the
targets, take an ``axis_name``.
"""

import jax
import jax.numpy as jnp
from jax import lax

from jaxssl import collectives
from jaxssl.losses import checks, classification, numerics
from jaxssl.losses.meshes import on_any_mesh
from jaxssl.types import Array


@on_any_mesh
def sinkhorn(
    scores: Array,
    *,
    num_iterations: int = 3,
    epsilon: float | Array = 0.05,
    where: Array | None = None,
    axis_name: str | None = None,
) -> Array:
    """Soft assignments that use all prototypes equally, over the global batch.

        Q = exp(scores / epsilon); repeat: Q <- Q over its sum over the batch, for each prototype;
        Q <- Q over its sum over prototypes, for each example

    Runs on logarithms, so that no score overflows and no prototype is divided by an underflowed
    0. To steady small batches, append a queue's scores to each device's rows (its own share of
    the queue) and drop their assignments. Differentiable; ``swav`` stops the gradient.

    Args:
        scores: [B, ..., M] floating, cosines of features and prototypes. Axes between (views) are
            assigned one by one.
        num_iterations: at least 1.
        epsilon: softness, above 0; large values tend to uniform assignments. May be traced.
        where: bool [B], the rows among which prototypes are balanced; the others are assigned by
            what comes out. None: all.
        axis_name: device axis, or None.

    Returns:
        [B, ..., M], local, float32 or wider; rows sum to 1, and after many iterations each
        prototype's share of the global batch is 1/M.

    Raises:
        TypeError: scores not floating.
        ValueError: fewer than 2 axes, ``where`` of another length, or a number out of range.

    Source: Caron et al.: Unsupervised Learning of Visual Features by Contrasting Cluster
    Assignments, 2020, arXiv 2006.09882, eqs. 3 to 5; Cuturi: Sinkhorn Distances, 2013, arXiv
    1306.0895.
    """
    checks.floating("sinkhorn", scores=scores)
    checks.at_least("sinkhorn", 1, num_iterations=num_iterations)
    checks.above_zero("sinkhorn", epsilon=epsilon)
    if scores.ndim < 2:
        raise ValueError(
            f"sinkhorn: scores must be [B, ..., M]; got shape {scores.shape}. "
            "Put the batch first and the prototypes last."
        )
    (scores,) = numerics.at_least_float32(scores)
    if where is not None:
        shapes = {"rows of scores": scores.shape[:1], "where": where.shape}
        checks.equal_shapes("sinkhorn", **shapes)
        where = where.reshape(-1, *(1,) * (scores.ndim - 1))

    def balance(_: Array, log_codes: Array) -> Array:
        local = jax.nn.logsumexp(log_codes, axis=0, keepdims=True, where=where)
        usage = jax.nn.logsumexp(collectives.all_gather(local, axis_name), axis=0, keepdims=True)
        if where is not None:  # no row at all: nothing to balance
            usage = jnp.where(jnp.isfinite(usage), usage, 0)
        return jax.nn.log_softmax(log_codes - usage, axis=-1)

    log_codes = collectives.varying(scores, axis_name) / epsilon
    log_codes = lax.fori_loop(0, num_iterations, balance, log_codes)
    return jnp.exp(log_codes)


def swav(scores: Array, codes: Array, *, temperature: float | Array = 0.1) -> Array:
    """Predicts the assignment of one view from another view, over all such pairs.

        value_b = mean over i < U, v != i of  -sum_m codes_bim log softmax(scores_bv / T)_m

    Args:
        scores: [B, V, M] floating, cosines of all V views with the prototypes; full-size crops
            first.
        codes: [B, U, M] floating, assignments of the first U views, rows that sum to 1:
            ``sinkhorn(scores[:, :U])``. No gradient flows into them.
        temperature: T, above 0, unitless; may be traced.

    Returns:
        [B], local, per example, float32 or wider, at least the mean entropy of the codes.

    Raises:
        TypeError: an array not floating.
        ValueError: a wrong rank, shapes that do not fit, fewer than 2 views, temperature not
            above 0.

    Source: Caron et al.: Unsupervised Learning of Visual Features by Contrasting Cluster
    Assignments, 2020, arXiv 2006.09882, eqs. 1, 2 and 6.
    """
    checks.temperature("swav", temperature)
    _check_views("swav", scores=scores, codes=codes)
    scores, codes = numerics.at_least_float32(scores, codes)
    return _swapped(scores / jnp.asarray(temperature, scores.dtype), codes)


def dino(
    student: Array,
    teacher: Array,
    *,
    center: Array,
    student_temperature: float | Array = 0.1,
    teacher_temperature: float | Array = 0.04,
) -> Array:
    """Cross-entropy of a student's views against a teacher's centred, sharpened other views.

        P_t = softmax( (teacher - center) / T_t ),   P_s = softmax( student / T_s )
        value_b = mean over t < U, s != t of  -sum_m P_t(b, t)_m log P_s(b, s)_m

    Args:
        student: [B, V, M] floating, the student's logits of all views, global crops first.
        teacher: [B, U, M] floating, the teacher's logits of the first U views. No gradient.
        center: [M] floating, equal on all devices; see ``dino_center``. No gradient.
        student_temperature: T_s, above 0, unitless; may be traced.
        teacher_temperature: T_t, above 0, unitless; may be traced, as a schedule needs.

    Returns:
        [B], local, per example, float32 or wider, at least the mean entropy of P_t.

    Raises:
        TypeError: an array not floating.
        ValueError: a wrong rank, shapes that do not fit, fewer than 2 views, a temperature not
            above 0.

    Source: Caron et al.: Emerging Properties in Self-Supervised Vision Transformers, 2021, arXiv
    2104.14294, eqs. 1 to 3.
    """
    checks.temperature("dino", student_temperature, name="student_temperature")
    checks.temperature("dino", teacher_temperature, name="teacher_temperature")
    _check_views("dino", student=student, teacher=teacher)
    _check_center("dino", center, teacher)
    student, teacher, center = numerics.at_least_float32(student, teacher, center)
    sharp = (teacher - center[None, None]) / jnp.asarray(teacher_temperature, teacher.dtype)
    targets = jax.nn.softmax(sharp, axis=-1)
    return _swapped(student / jnp.asarray(student_temperature, student.dtype), targets)


@on_any_mesh(per_example=False)
def dino_center(
    center: Array, teacher: Array, *, momentum: float = 0.9, axis_name: str | None = None
) -> Array:
    """The next centre: a moving average of the teacher's mean logits over the global batch.

        center <- m center + (1 - m) mean_bu teacher_bu

    Args:
        center: [M] floating, the present centre; zeros at first.
        teacher: [B, U, M] floating, the teacher's logits of this step.
        momentum: m, in [0, 1].
        axis_name: device axis, or None.

    Returns:
        [M], equal on all devices, float32 or wider. No gradient.

    Raises:
        TypeError: an array not floating.
        ValueError: a wrong rank, unequal M, or momentum outside [0, 1].

    Source: Caron et al., 2021, arXiv 2104.14294, eq. 4.
    """
    checks.axes("dino_center", "B U M", teacher=teacher)
    checks.floating("dino_center", teacher=teacher)
    _check_center("dino_center", center, teacher)
    if not 0 <= momentum <= 1:
        raise ValueError(
            f"dino_center: momentum must be in [0, 1]; got {momentum}. 0.9 is the published value."
        )
    center, teacher = lax.stop_gradient(numerics.at_least_float32(center, teacher))
    mean = collectives.pmean(jnp.mean(teacher, axis=(0, 1)), axis_name)
    return momentum * center + (1 - momentum) * mean


def prototype_cross_entropy(
    features: Array,
    prototypes: Array,
    assignments: Array,
    *,
    temperature: float | Array = 0.1,
) -> Array:
    """Classifies features into the clusters they were assigned to, by cosine.

        value_b = -log softmax( x_b . c_m / T )_m at m = assignment_b,   of normalised rows

    DeepCluster-v2 sets the prototypes to the centroids of a spherical k-means once an epoch and
    averages this over several clusterings and over all crops.

    Args:
        features: [B, D] floating.
        prototypes: [M, D] floating, equal on all devices; they receive gradients unless the
            caller stops them, as DeepCluster-v2 does.
        assignments: [B] integers in 0 ... M - 1; one out of range gives NaN.
        temperature: T, above 0, unitless; may be traced.

    Returns:
        [B], local, per example, float32 or wider, at least 0.

    Raises:
        TypeError: features or prototypes not floating, or assignments not integers.
        ValueError: a wrong rank, shapes that do not fit, temperature not above 0.

    Source: Caron et al., 2020, arXiv 2006.09882, appendix (DeepCluster-v2).
    """
    checks.axes("prototype_cross_entropy", "B D", features=features)
    checks.axes("prototype_cross_entropy", "M D", prototypes=prototypes)
    checks.floating("prototype_cross_entropy", features=features, prototypes=prototypes)
    checks.equal_shapes(
        "prototype_cross_entropy",
        **{"rows of features": features.shape[1:], "rows of prototypes": prototypes.shape[1:]},
    )
    checks.integers("prototype_cross_entropy", assignments=assignments)
    checks.equal_shapes(
        "prototype_cross_entropy",
        **{"batch of features": features.shape[:1], "assignments": assignments.shape},
    )
    checks.temperature("prototype_cross_entropy", temperature)
    features, prototypes = numerics.at_least_float32(features, prototypes)
    features, prototypes = numerics.unit_rows(features), numerics.unit_rows(prototypes)
    cosines = jnp.matmul(features, prototypes.T, precision=lax.Precision.HIGHEST)
    logits = cosines / jnp.asarray(temperature, cosines.dtype)
    return classification.cross_entropy(logits, assignments)


def _swapped(logits: Array, targets: Array) -> Array:
    """Mean cross-entropy [B] over the pairs of a target view and another view."""
    log_prob = jax.nn.log_softmax(logits, axis=-1)
    targets = lax.stop_gradient(targets)
    pairs = -jnp.einsum("bum,bvm->buv", targets, log_prob, precision=lax.Precision.HIGHEST)
    num_targets, num_views = pairs.shape[1:]
    is_same = jnp.eye(num_targets, num_views, dtype=bool)[None]
    return jnp.sum(jnp.where(is_same, 0, pairs), axis=(1, 2)) / (num_targets * (num_views - 1))


def _check_views(function: str, **arrays: Array) -> None:
    (name, logits), (target_name, targets) = arrays.items()
    checks.axes(function, "B V M", **{name: logits})
    checks.axes(function, "B U M", **{target_name: targets})
    checks.floating(function, **arrays)
    batch, num_views, num_prototypes = logits.shape
    if num_views < 2 or not 1 <= targets.shape[1] <= num_views:
        raise ValueError(
            f"{function}: {name} must hold at least 2 views, the first of them those of "
            f"{target_name}; got {num_views} and {targets.shape[1]}. "
            "A view is never its own target."
        )
    checks.equal_shapes(
        function,
        **{
            f"{name} without views": (batch, num_prototypes),
            f"{target_name} without views": (targets.shape[0], targets.shape[2]),
        },
    )


def _check_center(function: str, center: Array, teacher: Array) -> None:
    checks.axes(function, "M", center=center)
    checks.floating(function, center=center)
    checks.equal_shapes(
        function, **{"center": center.shape, "prototypes of teacher": teacher.shape[-1:]}
    )
