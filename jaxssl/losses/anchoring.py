"""Keeping how alike the tokens of an image are, whatever becomes of the tokens themselves."""

import jax.numpy as jnp
from jax import lax

from jaxssl.losses import checks, numerics
from jaxssl.types import Array


def gram(student: Array, teacher: Array) -> Array:
    """Mean squared difference between the cosines of all pairs of tokens of an image.

        value_b = mean_nm ( s_n . s_m - t_n . t_m )^2,   of normalised tokens

    The student may turn its features, alike for all tokens, at no cost: only which places resemble
    each other is held. The paper prints the sum over pairs, N^2 times this; the official code takes
    the mean, as here. That code can also set negative cosines to 0, which the recipe of the paper's
    7B network leaves off. Both arguments receive gradients: DINOv3 stops that of the teacher, an
    earlier state of the network, as in ``gram(student, jax.lax.stop_gradient(teacher))``.

    Args:
        student: [B, N, D] floating, of any scale: patch tokens, without class token and registers.
        teacher: [B, N, E] floating, of any scale, the same places; E may differ from D.

    Returns:
        [B], local, per example, float32 or wider, from 0 to 4. A zero token is orthogonal to every
        token, itself too, and has a zero gradient.

    Raises:
        TypeError: an array not floating.
        ValueError: a wrong rank, or unequal B or N.

    Source: Siméoni et al.: DINOv3, 2025, arXiv 2508.10104, eq. 2.
    """
    checks.axes("gram", "B N D", student=student)
    checks.axes("gram", "B N E", teacher=teacher)
    checks.floating("gram", student=student, teacher=teacher)
    checks.equal_shapes(
        "gram", **{"B and N of student": student.shape[:2], "of teacher": teacher.shape[:2]}
    )
    student, teacher = numerics.at_least_float32(student, teacher)
    difference = _cosines(student) - _cosines(teacher)
    return jnp.mean(jnp.square(difference), axis=(1, 2))


def _cosines(tokens: Array) -> Array:
    """[B, N, N] of [B, N, D]."""
    tokens = numerics.unit_rows(tokens)
    return jnp.einsum("bnd,bmd->bnm", tokens, tokens, precision=lax.Precision.HIGHEST)
