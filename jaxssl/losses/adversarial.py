"""Adversarial losses: the logistic game between a generator and a discriminator.

Logits are [B], the discriminator's log-odds that an image is real. Values are per example, local,
in nats, float32 (float64 for float64 input), and no example looks at another. Who may change is
the caller's affair: stop the gradient of the images in the discriminator's loss, and that of the
discriminator's parameters in the generator's.
"""

import jax

from jaxssl.losses import checks, numerics
from jaxssl.types import Array


def gan_discriminator(real_logits: Array, fake_logits: Array) -> Array:
    """What a discriminator pays for one real and one made image.

        value_b = -log D(real_b) - log(1 - D(fake_b)),   D = sigmoid(logit)

    Args:
        real_logits: [B] floating, of real images.
        fake_logits: [B] floating, of made images.

    Returns:
        [B], local, per example, at least 0; 2 log 2 where it cannot tell.

    Raises:
        TypeError: logits not floating.
        ValueError: a wrong rank or unequal shapes.

    Source: Goodfellow et al.: Generative Adversarial Networks, 2014, arXiv 1406.2661, eq. 1.
    """
    checks.axes("gan_discriminator", "B", real_logits=real_logits, fake_logits=fake_logits)
    checks.equal_shapes(
        "gan_discriminator", real_logits=real_logits.shape, fake_logits=fake_logits.shape
    )
    checks.floating("gan_discriminator", real_logits=real_logits, fake_logits=fake_logits)
    real_logits, fake_logits = numerics.at_least_float32(real_logits, fake_logits)
    return jax.nn.softplus(-real_logits) + jax.nn.softplus(fake_logits)


def gan_generator(fake_logits: Array) -> Array:
    """What a generator pays for a made image, the non-saturating form.

        value_b = -log D(fake_b),   D = sigmoid(logit)

    Args:
        fake_logits: [B] floating, of made images.

    Returns:
        [B], local, per example, at least 0.

    Raises:
        TypeError: logits not floating.
        ValueError: a wrong rank.

    Source: Goodfellow et al.: Generative Adversarial Networks, 2014, arXiv 1406.2661, section 3.
    """
    checks.axes("gan_generator", "B", fake_logits=fake_logits)
    checks.floating("gan_generator", fake_logits=fake_logits)
    (fake_logits,) = numerics.at_least_float32(fake_logits)
    return jax.nn.softplus(-fake_logits)
