"""Losses of patches that are hidden from a student and not from its teacher: iBOT, DINOv2."""

import jax
import jax.numpy as jnp

from jaxssl.losses import checks, numerics
from jaxssl.types import Array


def ibot(
    student: Array,
    teacher: Array,
    mask: Array,
    *,
    center: Array,
    student_temperature: float | Array = 0.1,
    teacher_temperature: float | Array = 0.04,
) -> Array:
    """Cross-entropy of a student's hidden patches against its teacher's centred, sharpened ones.

        P_t = softmax( (teacher - center) / T_t ),   P_s = softmax( student / T_s )
        value_b = sum_n mask_bn (-sum_m P_t(b, n)_m log P_s(b, n)_m) / max(sum_n mask_bn, 1)

    An empty mask gives 0, and no example looks at another. The next centre is ``dino_center`` of
    the teacher's logits of all patches, hidden or not.

    Args:
        student: [B, N, M] floating, the student's logits of all patches.
        teacher: [B, N, M] floating, the teacher's. No gradient.
        mask: [B, N] bool, integer or floating; 1 = hidden, 0 = left out.
        center: [M] floating, equal on all devices. No gradient.
        student_temperature: T_s, above 0, unitless; may be traced.
        teacher_temperature: T_t, above 0, unitless; may be traced, as a schedule needs.

    Returns:
        [B], local, per example, in nats, float32 or wider, at least 0.

    Raises:
        TypeError: an array not floating.
        ValueError: a wrong rank, shapes that do not fit, a temperature not above 0.

    Source: Zhou et al.: iBOT: Image BERT Pre-Training with Online Tokenizer, 2021, arXiv
    2111.07832, eq. 2; main_ibot.py of bytedance/ibot.
    """
    checks.temperature("ibot", student_temperature, name="student_temperature")
    checks.temperature("ibot", teacher_temperature, name="teacher_temperature")
    checks.axes("ibot", "B N M", student=student, teacher=teacher)
    checks.axes("ibot", "M", center=center)
    checks.floating("ibot", student=student, teacher=teacher, center=center)
    checks.equal_shapes("ibot", student=student.shape, teacher=teacher.shape)
    checks.equal_shapes("ibot", patches=student.shape[:2], mask=mask.shape)
    checks.equal_shapes("ibot", prototypes=student.shape[2:], center=center.shape)
    student, teacher, center = numerics.at_least_float32(student, teacher, center)
    sharp = (teacher - center[None, None]) / jnp.asarray(teacher_temperature, teacher.dtype)
    targets = jax.nn.softmax(sharp, axis=-1)
    return hidden_cross_entropy(student, targets, mask, temperature=student_temperature)


def hidden_cross_entropy(
    logits: Array, targets: Array, mask: Array, *, temperature: float | Array = 0.1
) -> Array:
    """Cross-entropy of hidden patches against given distributions, mean over the hidden ones.

        value_b = sum_n mask_bn (-sum_m targets_bnm log softmax(logits_bn / T)_m)
                  / max(sum_n mask_bn, 1)

    An empty mask gives 0. With ``sinkhorn`` of a teacher's logits for targets it is DINOv2's loss.

    Args:
        logits: [B, N, M] floating, a student's.
        targets: [B, N, M] floating, rows that sum to 1. No gradient.
        mask: [B, N] bool, integer or floating; 1 = hidden, 0 = left out.
        temperature: T, above 0, unitless; may be traced.

    Returns:
        [B], local, per example, in nats, float32 or wider, at least 0.

    Raises:
        TypeError: an array not floating.
        ValueError: a wrong rank, shapes that do not fit, temperature not above 0.

    Source: Oquab et al.: DINOv2, 2023, arXiv 2304.07193, section 4; ibot_patch_loss.py of
    facebookresearch/dinov2.
    """
    function = "hidden_cross_entropy"
    checks.temperature(function, temperature)
    checks.axes(function, "B N M", logits=logits, targets=targets)
    checks.floating(function, logits=logits, targets=targets)
    checks.equal_shapes(function, logits=logits.shape, targets=targets.shape)
    checks.equal_shapes(function, patches=logits.shape[:2], mask=mask.shape)
    logits, targets = numerics.at_least_float32(logits, targets)
    targets = jax.lax.stop_gradient(targets)
    log_prob = jax.nn.log_softmax(logits / jnp.asarray(temperature, logits.dtype), axis=-1)
    values = -jnp.sum(targets * log_prob, axis=-1)
    weight = mask.astype(values.dtype)
    return jnp.sum(weight * values, axis=1) / jnp.maximum(jnp.sum(weight, axis=1), 1)
