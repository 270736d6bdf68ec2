"""LeJEPA: views that agree, and embeddings that are an isotropic Gaussian, so never collapse."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxssl import collectives
from jaxssl.losses import checks, numerics
from jaxssl.losses.meshes import on_any_mesh
from jaxssl.types import Array


@on_any_mesh(per_example=False)
def sigreg(
    key: Array,
    embeddings: Array,
    *,
    num_slices: int = 1024,
    num_knots: int = 17,
    max_frequency: float = 3.0,
    axis_name: str | None = None,
) -> Array:
    """How far the embeddings of the global batch are from a standard normal distribution.

        phi_a(t) = mean_b exp(i t a . x_b)         empirical characteristic function of a slice
        T_a = G int |phi_a(t) - exp(-t^2 / 2)|^2 exp(-t^2 / 2) dt
        value = mean of T_a over random unit directions a

    The Epps-Pulley statistic, by the trapezoidal rule with ``num_knots`` frequencies on
    [0, max_frequency], mirrored to negative ones, as in the official code; the paper's listing
    has 17 on [-5, 5]. One frequency is held in memory at a time. LeJEPA adds 0.05 of this to 0.95
    of ``view_invariance``.

    Args:
        key: PRNG key of the directions, equal on all devices, fresh at every step.
        embeddings: [B, ..., D] floating; their scale matters. Axes between (views) are compared
            with the normal distribution one by one, along the same directions, and averaged.
        num_slices: number of directions, at least 1.
        num_knots: number of frequencies, at least 2.
        max_frequency: largest frequency, above 0.
        axis_name: device axis, or None.

    Returns:
        Scalar, equal on all devices, float32 or wider, at least 0. About 1.06 on average for
        normal samples of any G (sqrt(2 pi) (1 - 1 / sqrt 3)); grows as G for other distributions.

    Raises:
        TypeError: embeddings not floating.
        ValueError: fewer than 2 axes, or a number out of range.

    Source: Balestriero, LeCun: LeJEPA: Provable and Scalable Self-Supervised Learning Without the
    Heuristics, 2025, arXiv 2511.08544, algorithm 1; Epps, Pulley: A test for normality based on
    the empirical characteristic function, 1983.
    """
    checks.floating("sigreg", embeddings=embeddings)
    checks.at_least("sigreg", 1, num_slices=num_slices)
    checks.at_least("sigreg", 2, num_knots=num_knots)
    checks.above_zero("sigreg", max_frequency=max_frequency)
    if embeddings.ndim < 2:
        raise ValueError(
            f"sigreg: embeddings must be [B, ..., D]; got shape {embeddings.shape}. "
            "Put the batch first and the features last."
        )
    (embeddings,) = numerics.at_least_float32(embeddings)
    dtype = embeddings.dtype
    directions = jax.random.normal(key, (num_slices, embeddings.shape[-1]), dtype)
    directions = numerics.unit_rows(directions)
    slices = jnp.einsum("b...d,sd->b...s", embeddings, directions, precision=lax.Precision.HIGHEST)

    def characteristic(frequency: Array) -> tuple[Array, Array]:
        angles = frequency * slices
        return jnp.mean(jnp.cos(angles), axis=0), jnp.mean(jnp.sin(angles), axis=0)

    frequencies = jnp.linspace(0, max_frequency, num_knots, dtype=dtype)
    # Recomputed in the backward pass: it would otherwise keep the angles of all frequencies.
    cosine, sine = lax.map(jax.checkpoint(characteristic), frequencies)
    cosine, sine = collectives.pmean((cosine, sine), axis_name)
    normal = jnp.exp(-jnp.square(frequencies) / 2)
    by_slice = (num_knots,) + (1,) * (cosine.ndim - 1)
    error = jnp.square(cosine - normal.reshape(by_slice)) + jnp.square(sine)
    step = 2 * max_frequency / (num_knots - 1)  # twice: negative frequencies mirror positive ones
    widths = jnp.full(num_knots, step, dtype).at[jnp.array([0, -1])].multiply(0.5)
    statistic = jnp.tensordot(widths * normal, error, axes=1, precision=lax.Precision.HIGHEST)
    num_rows = embeddings.shape[0] * collectives.axis_size(axis_name)
    return num_rows * jnp.mean(statistic)


def view_invariance(projections: Array, *, num_global: int) -> Array:
    """Mean squared distance of every view of an example to the mean of its global views.

        center_bd = mean over v < num_global of z_bvd
        value_b = mean over v, d of  (z_bvd - center_bd)^2

    LeJEPA's prediction loss. The gradient flows through the centre too; alone, the loss collapses:
    add ``sigreg``.

    Args:
        projections: [B, V, D] floating, global views first; their scale matters.
        num_global: views that make the centre, 1 to V.

    Returns:
        [B], local, per example, float32 or wider, at least 0.

    Raises:
        TypeError: projections not floating.
        ValueError: a wrong rank, or num_global outside 1 to V.

    Source: Balestriero, LeCun: LeJEPA, 2025, arXiv 2511.08544, algorithm 2.
    """
    checks.axes("view_invariance", "B V D", projections=projections)
    checks.floating("view_invariance", projections=projections)
    checks.at_least("view_invariance", 1, num_global=num_global)
    if num_global > projections.shape[1]:
        raise ValueError(
            f"view_invariance: num_global must be at most the number of views; got {num_global} "
            f"for {projections.shape[1]} views. Are the axes [B, V, D]?"
        )
    (projections,) = numerics.at_least_float32(projections)
    center = jnp.mean(projections[:, :num_global], axis=1, keepdims=True)
    return jnp.mean(jnp.square(projections - center), axis=(1, 2))
