"""What views of no sense are refused with."""

import jax.numpy as jnp
import pytest

from jaxssl.augment import policies


@pytest.mark.parametrize("size, image_size", [(257, 256), (0, 256)])
def test_crops_that_do_not_fit_are_refused(size, image_size):
    message = (
        f"CropFlip.fixed_scale: size must be in [1, {image_size}]; got {size}. "
        "Resize the images larger, or cut smaller crops."
    )
    with pytest.raises(ValueError) as error:
        policies.CropFlip.fixed_scale(size, image_size=image_size)
    assert str(error.value) == message


@pytest.mark.parametrize(
    "augment, fields, message",
    [
        (
            policies.View,
            {"size": 0},
            "View: size must be at least 1; got 0. "
            "Use the side in pixels that the encoder expects, such as 32 or 224.",
        ),
        (
            policies.Resize,
            {"size": 8, "interpolation": "area"},
            "Resize: interpolation must be one of 'linear', 'cubic'; got 'area'. "
            "Use 'linear' unless the policy asks for bicubic crops.",
        ),
        (
            policies.mae,
            {"size": 8, "crop_scale": (1.0, 0.2)},
            "CropFlip: crop_scale must be a pair of areas 0 < low <= high <= 1; got (1.0, 0.2). "
            "For the whole image use (1.0, 1.0).",
        ),
        (
            policies.CropFlip,
            {"size": 8, "crop_ratio": (0.0, 1.0)},
            "CropFlip: crop_ratio must be a pair 0 < low <= high of width/height; got (0.0, 1.0). "
            "The published pair is (3/4, 4/3).",
        ),
        (
            policies.View,
            {"size": 8, "grayscale_prob": 1.2},
            "View: grayscale_prob must be in [0, 1]; got 1.2. "
            "Use 0 to switch it off, 1 to apply it always.",
        ),
        (
            policies.PadCropFlip,
            {"padding": -1},
            "PadCropFlip: padding must be at least 0; got -1. The usual value is 4.",
        ),
        (
            policies.View,
            {"size": 8, "jitter_strength": -1.0},
            "View: jitter_strength must be at least 0; got -1.0. Use 0 to switch a jitter off.",
        ),
        (
            policies.View,
            {"size": 8, "jitter": (0.8, -0.8, 0.8, 0.2)},
            "View: jitter must be at least 0; got (0.8, -0.8, 0.8, 0.2). "
            "Use 0 to switch a jitter off.",
        ),
        (
            policies.View,
            {"size": 8, "jitter_strength": 3.0},
            "View: jitter[3] · jitter_strength must be at most 0.5 turns of hue; got 0.2 · 3.0. "
            "Half a turn reaches every hue.",
        ),
        (
            policies.View,
            {"size": 8, "solarize_threshold": 128},
            "View: solarize_threshold must be in [0, 1]; got 128. The published threshold is 0.5.",
        ),
        (
            policies.View,
            {"size": 8, "solarize_prob": -0.1},
            "View: solarize_prob must be in [0, 1]; got -0.1. "
            "Use 0 to switch it off, 1 to apply it always.",
        ),
        (
            policies.View,
            {"size": 8, "blur_sigma": (2.0, 0.1)},
            "View: blur_sigma must be a pair 0 < low <= high in pixels; got (2.0, 0.1). "
            "The published pair is (0.1, 2.0).",
        ),
    ],
)
def test_impossible_fields_are_refused(augment, fields, message):
    with pytest.raises(ValueError) as error:
        augment(**fields)
    assert str(error.value) == message


def test_a_batch_without_vmap_is_refused(key):
    with pytest.raises(ValueError) as error:
        policies.mae(8)(key, jnp.zeros((2, 8, 8, 3)))
    assert str(error.value) == (
        "CropFlip: an image must be [H, W, C], one example; got shape (2, 8, 8, 3). "
        "Map over a batch with jax.vmap, or add the channel axis."
    )
