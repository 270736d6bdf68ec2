"""The operations of RandAugment against Pillow's, and what is drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from jaxssl.augment import policies, rand_augment

RNG = np.random.default_rng(0)
# Of uneven histogram, smooth enough to be resampled.
IMAGE = np.uint8(255 * np.kron(RNG.random((6, 6, 3)) ** 2, np.ones((4, 4, 1))))
FLOAT = jnp.float32(IMAGE) / 255
LEVEL = 0.5
apply = jax.jit(rand_augment.apply, static_argnames="level")


def operation(name, sign=1.0, level=LEVEL, image=FLOAT):
    place = jnp.int32(rand_augment.OPERATIONS.index(name))
    return np.asarray(apply(image, place, level=level, sign=jnp.float32(sign)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("identity", lambda image: image),
        ("autocontrast", ImageOps.autocontrast),
        ("equalize", ImageOps.equalize),
        ("posterize", lambda image: ImageOps.posterize(image, 6)),
        ("solarize", lambda image: ImageOps.solarize(image, 128)),
        ("brightness", lambda image: ImageEnhance.Brightness(image).enhance(1.45)),
        ("color", lambda image: ImageEnhance.Color(image).enhance(1.45)),
        ("contrast", lambda image: ImageEnhance.Contrast(image).enhance(1.45)),
        ("sharpness", lambda image: ImageEnhance.Sharpness(image).enhance(1.45)),
    ],
)
def test_colours_are_pillows(name, expected):
    expected = np.float32(expected(Image.fromarray(IMAGE)))
    rounding = 0 if name in ("identity", "equalize", "posterize", "solarize") else 1.5
    np.testing.assert_allclose(255 * operation(name), expected, atol=rounding + 1e-3)


def test_a_plane_of_one_value_is_left_by_equalize_and_autocontrast():
    flat = jnp.full((4, 4, 1), 0.2, jnp.float32)
    for name in ("equalize", "autocontrast"):
        np.testing.assert_allclose(operation(name, image=flat), flat, atol=1e-6)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_moves_are_pillows_affine_maps(sign):
    """Where both are smooth: Pillow places pixels by their centres, as the turn does here."""
    shear, shift = 0.3 * LEVEL * sign, round(150 / 331 * LEVEL * 24) * sign
    image = Image.fromarray(IMAGE)
    expected = np.asarray(image.transform((24, 24), Image.Transform.AFFINE, (1, 0, shift, 0, 1, 0)))
    got = operation("translate_x", sign, level=shift * sign / 24 * 331 / 150)
    np.testing.assert_allclose(255 * got, expected, atol=0.01)
    ramp = jnp.broadcast_to(jnp.arange(24.0, dtype=jnp.float32)[None, :, None] / 32, (24, 24, 1))
    sheared = operation("shear_x", sign, image=ramp)
    rows, columns = np.mgrid[:24, :24]
    source = columns + shear * rows
    inside = (source >= 0) & (source <= 23)
    np.testing.assert_allclose(sheared[inside][:, 0], source[inside] / 32, atol=1e-5)


def test_a_quarter_of_the_largest_turn_is_pillows():
    smooth = np.uint8(Image.fromarray(IMAGE).resize((24, 24)).resize((6, 6)).resize((24, 24)))
    turned = Image.fromarray(smooth).rotate(15, resample=Image.Resampling.BILINEAR)
    one, other = (
        operation("rotate", sign, image=jnp.float32(smooth) / 255)[6:-6, 6:-6] for sign in (1, -1)
    )
    expected = np.float32(turned)[6:-6, 6:-6] / 255
    apart = [np.abs(each - expected).max() for each in (one, other)]
    assert min(apart) < 0.02 < max(apart)


def test_it_is_off_by_default_and_else_follows_from_the_key(key):
    np.testing.assert_array_equal(policies.RandAugment()(key, FLOAT), FLOAT)
    augment = jax.jit(jax.vmap(policies.RandAugment(num_operations=2), (0, None)))
    keys = jax.random.split(key, 32)
    views = np.asarray(augment(keys, FLOAT))
    np.testing.assert_array_equal(views[5:], augment(keys[5:], FLOAT))
    assert len({view.tobytes() for view in views}) > 20
    assert views.min() >= 0 and views.max() <= 1


def test_grey_images_are_augmented_too(key):
    view = policies.RandAugment(num_operations=2)(key, FLOAT[..., :1])
    assert view.shape == (24, 24, 1)


def test_its_magnitude_ends_at_30():
    with pytest.raises(ValueError, match=r"RandAugment: magnitude must be in .*; got 31"):
        policies.RandAugment(num_operations=2, magnitude=31)
