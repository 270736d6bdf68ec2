"""Views exactly as published, by their properties; beside torchvision: tests/peers."""

import dataclasses
import itertools
import json

import augment_reference as reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxssl import jsonable
from jaxssl.augment import color, crops, exact, geometry, policies

ORDERS = list(itertools.permutations(range(4)))
OPERATIONS = exact.brightness, exact.contrast, exact.saturation, exact.hue
STILL = {
    "crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0), "flip_prob": 0.0, "jitter_prob": 0.0,
    "grayscale_prob": 0.0, "blur_prob": 0.0, "exact": True,
}  # fmt: skip
VIEW = policies.View(8, solarize_prob=0.3, exact=True)
TWO_VIEWS = ["simclr", "moco_v1", "moco_v2", "moco_v3", "byol"]
MULTI_CROPS = ["swav", "dino", "lejepa"]


def random_image(height=12, width=10, channels=3, seed=0):
    return jax.random.uniform(jax.random.key(seed), (height, width, channels))


def all_views(policy):
    pair = getattr(policy, "pair", None)
    pair = pair if isinstance(pair, policies.Pair) else policy
    local = (policy.local,) if isinstance(policy, policies.MultiCrop) else ()
    return [view for view in (pair.first, pair.second, *local) if view is not None]


def mapped(view, keys, image):
    return jax.jit(jax.vmap(view, in_axes=(0, None)))(keys, image)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_at_rest_every_operation_is_the_identity(channels):
    image = random_image(channels=channels)
    for change in (exact.brightness, exact.contrast, exact.saturation):
        np.testing.assert_array_equal(change(image, 1.0), image)
    np.testing.assert_allclose(exact.hue(image, 0.0), image, atol=1e-6)
    for sigma, radius in ((0.0, 3), (2.0, 0)):
        np.testing.assert_array_equal(exact.blur(image, sigma, radius=radius), image)


def test_without_three_channels_there_is_no_saturation_hue_or_grey():
    for channels in (1, 2, 4):
        image = random_image(channels=channels)
        for made in (exact.saturation(image, 0.3), exact.hue(image, 0.2), exact.grayscale(image)):
            np.testing.assert_array_equal(made, image)
        factors, order = jnp.array([0.8, 1.5, 0.1, 0.4]), jnp.array([2, 1, 3, 0])
        made = exact.jitter(image, factors, order)
        expected = exact.brightness(exact.contrast(image, 1.5), 0.8)
        np.testing.assert_allclose(made, expected, atol=1e-6)


@pytest.mark.parametrize("operation", range(3))
def test_values_are_clipped_after_each_blend(operation):
    image = random_image()
    made = OPERATIONS[operation](image, 1.9)
    assert made.min() >= 0 and made.max() == 1
    slow = (reference.brightness, reference.contrast, reference.saturation)[operation]
    np.testing.assert_allclose(made, np.clip(slow(image, 1.9), 0, 1), atol=1e-4)  # 0.2989


def test_hue_is_that_of_hsv():
    image = random_image(4, 5)
    for shift in (-0.5, -0.1, 0.3):
        made = exact.hue(image, shift)
        np.testing.assert_allclose(made, reference.hue_hsv(image, shift), atol=1e-5)
        np.testing.assert_allclose(made.max(-1), image.max(-1), atol=1e-6)
        np.testing.assert_allclose(made.min(-1), image.min(-1), atol=1e-6)
    np.testing.assert_allclose(exact.hue(image, 1 / 3), jnp.roll(image, 1, -1), atol=1e-5)
    twice = exact.hue(exact.hue(image, 0.15), 0.2)
    np.testing.assert_allclose(twice, exact.hue(image, 0.35), atol=1e-5)
    grey = jnp.full((2, 2, 3), 0.3)
    np.testing.assert_array_equal(exact.hue(grey, 0.4), grey)


def test_greyscale_has_torchvisions_luma():
    made = exact.grayscale(jnp.eye(3)[None])[0, :, 0]
    np.testing.assert_allclose(made, [0.2989, 0.587, 0.114], atol=1e-7)
    assert np.ptp(exact.grayscale(random_image()), axis=-1).max() == 0


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_jitter_is_its_operations_in_their_order(order):
    image, factors = random_image(), jnp.array([1.6, 0.4, 1.8, 0.2])
    expected = image
    for operation in order:
        expected = OPERATIONS[operation](expected, factors[operation])
    made = jax.jit(exact.jitter)(image, factors, jnp.array(order))
    np.testing.assert_allclose(made, expected, atol=2e-6)


def test_orders_give_different_images():
    factors = jnp.array([1.6, 0.4, 1.8, 0.2])
    made = [exact.jitter(random_image(), factors, jnp.array(order)) for order in ORDERS]
    assert len({np.asarray(image).round(4).tobytes() for image in made}) == len(ORDERS)


def test_orders_are_drawn_uniformly(key):
    orders = jax.vmap(exact.draw_order)(jax.random.uniform(key, (4800, 4)))
    counts = [(orders == jnp.array(order)[None]).all(-1).sum() for order in ORDERS]
    assert sum(counts) == 4800 and stats.chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize("radius, sigma", [(1, 0.4), (3, 2.0), (9, 5.0)])
def test_blur_mirrors_the_image_at_its_border(radius, sigma):
    image = random_image(12, 10, 1)
    padding = ((radius, radius), (radius, radius), (0, 0))
    weights = jnp.exp(-0.5 * (jnp.arange(-radius, radius + 1.0) / sigma) ** 2)
    kernel = jnp.outer(weights, weights) / weights.sum() ** 2
    padded = jnp.pad(image, padding, mode="reflect")[:, :, 0]
    expected = jax.scipy.signal.convolve2d(padded, kernel, mode="valid")[:, :, None]
    np.testing.assert_allclose(exact.blur(image, sigma, radius=radius), expected, atol=1e-5)


def test_a_blur_wider_than_the_image_is_refused():
    with pytest.raises(ValueError) as error:
        exact.blur(random_image(12, 10), 1.0, radius=10)
    assert str(error.value) == (
        "blur: radius must be below the shorter side of the image; got 10 and 10 pixels. "
        "Blur larger images, or with a smaller radius."
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_exact_views_are_float32_in_the_unit_interval_from_bytes_or_floats(channels, key):
    pixels = jax.random.randint(key, (9, 11, channels), 0, 256, jnp.uint8)
    keys = jax.random.split(key, 16)
    view = dataclasses.replace(VIEW, interpolation="cubic")
    from_bytes, from_floats = (
        mapped(view, keys, image) for image in (pixels, color.to_float(pixels))
    )
    assert from_bytes.shape == (16, 8, 8, channels) and from_bytes.dtype == jnp.float32
    assert from_bytes.min() >= 0 and from_bytes.max() <= 1
    distance = jnp.abs(from_bytes - from_floats)
    assert (distance < 1e-5).mean() > 0.999  # a value may fall on either side of solarisation
    assert len({view.tobytes() for view in np.asarray(from_bytes)}) == 16


def test_cubic_crops_are_clipped_though_nothing_follows(key):
    fields = STILL | {"crop_scale": (0.1, 0.3), "interpolation": "cubic"}
    image = jnp.round(random_image())
    made = mapped(policies.View(8, **fields), jax.random.split(key, 4), image)
    assert made.min() == 0 and made.max() == 1


def test_the_crop_and_all_numbers_are_those_of_the_fast_view(key):
    """They differ in what is made of the numbers, not in the numbers."""
    view = policies.View(20, jitter_prob=0.0, blur_prob=0.0, solarize_prob=0.5, exact=True)
    view = dataclasses.replace(view, grayscale_prob=0.0)
    keys, image = jax.random.split(key, 12), random_image(24, 30)
    fast = mapped(dataclasses.replace(view, exact=False), keys, image)
    np.testing.assert_allclose(mapped(view, keys, image), fast, atol=1e-6)


@pytest.mark.parametrize("grayscale_first", [False, True])
def test_a_view_is_jitter_grey_blur_and_solarisation_of_its_draws(grayscale_first, key):
    sure = {name: 1.0 for name in ("jitter_prob", "grayscale_prob", "blur_prob", "solarize_prob")}
    sure |= {"blur_sigma": (0.9, 0.9), "jitter_strength": 0.7}
    view = policies.View(20, **(STILL | sure), grayscale_first=grayscale_first)
    image = random_image(20, 20)
    draws = crops.draw(
        key, crop=geometry.NUM_CROP_DRAWS, flip=1, jitter=5, grey=1, blur=2, solarize=1, order=4
    )
    spread = 0.7 * jnp.array([0.8, 0.8, 0.8, 0.2])
    factors = jnp.array([1.0, 1.0, 1.0, 0.0]) + spread * (2 * draws["jitter"][1:] - 1)
    order = jnp.argsort(draws["order"])
    expected = exact.grayscale(image) if grayscale_first else image
    expected = exact.jitter(expected, factors, order)
    expected = expected if grayscale_first else exact.grayscale(expected)
    expected = color.solarize(exact.blur(expected, 0.9, radius=1), 0.5)
    made = jax.jit(view)(key, image)
    assert (jnp.abs(made - expected) < 1e-5).mean() > 0.99
    other = dataclasses.replace(view, grayscale_first=not grayscale_first)
    assert jnp.abs(made - jax.jit(other)(key, image)).max() > 1e-3


def test_closed_gates_give_the_image(key):
    image = random_image(12, 12)
    view = policies.View(12, **STILL)
    np.testing.assert_array_equal(jax.jit(view)(key, image), image)
    barely = {name: 1e-30 for name in ("jitter_prob", "grayscale_prob", "blur_prob")}
    view = dataclasses.replace(view, **barely)
    np.testing.assert_array_equal(jax.jit(view)(key, image), image)


def test_kernels_below_three_pixels_do_not_blur(key):
    """size/10 pixels, as published; the fast view blurs small sides too."""
    for size, blurs in ((19, False), (20, True)):
        image = random_image(size, size)
        view = policies.View(size, **(STILL | {"blur_prob": 1.0}), blur_sigma=(1.0, 1.0))
        assert (jnp.abs(jax.jit(view)(key, image) - image).max() > 1e-3) == blurs


def test_neither_vmap_nor_the_number_of_devices_changes_a_view(key):
    keys, image = jax.random.split(key, 16), random_image()
    single = jax.jit(VIEW)
    together = mapped(VIEW, keys, image)
    mesh = jax.make_mesh((8,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = mapped(VIEW, jax.device_put(keys, jax.NamedSharding(mesh, jax.P("x"))), image)
    assert len(spread.sharding.device_set) == 8
    np.testing.assert_allclose(spread, together, atol=1e-5)
    for k, view in zip(keys, together):
        np.testing.assert_allclose(single(k, image), view, atol=1e-5)


def test_no_gather_and_no_branch_under_vmap(key):
    mapped_view = jax.vmap(dataclasses.replace(VIEW, size=20))
    text = str(jax.make_jaxpr(mapped_view)(jax.random.split(key, 2), jnp.zeros((2, 10, 9, 3))))
    for primitive in ("gather", "scatter", "dynamic_slice", "cond", "while", "conv_general"):
        assert f"{primitive}[" not in text
    with jax.enable_x64(True):
        view = jax.eval_shape(VIEW, jax.random.key(0), jnp.zeros((8, 8, 3), jnp.uint8))
    assert view.dtype == jnp.float32


@pytest.mark.parametrize("name", TWO_VIEWS + MULTI_CROPS)
def test_every_policy_of_colours_is_exact_on_request(name):
    policy = getattr(policies, name)(exact=True)
    assert all(view.exact for view in all_views(policy))
    assert not any(view.exact for view in all_views(getattr(policies, name)()))
    written = json.loads(json.dumps(jsonable.to_json(policy)))
    assert jsonable.from_json(type(policy), written) == policy
    fast = policy.change_views(exact=False)
    own = {"simclr": {"interpolation": "linear"}, "moco_v1": {"grayscale_first": False}}
    assert fast.change_views(**own.get(name, {})) == getattr(policies, name)()


def test_what_the_programs_of_simclr_and_moco_v1_have_of_their_own():
    assert policies.simclr(exact=True).first.interpolation == "cubic"
    assert policies.simclr(exact=True, interpolation="linear").first.interpolation == "linear"
    assert policies.moco_v1(exact=True).first.grayscale_first
    others = {"simclr", "moco_v1"} ^ set(TWO_VIEWS + MULTI_CROPS)
    for view in itertools.chain(*(all_views(getattr(policies, n)(exact=True)) for n in others)):
        assert not view.grayscale_first


def test_a_pair_is_two_calls_of_its_own_views(key):
    policy, image = policies.byol(12, exact=True), random_image()
    view_a, view_b = jax.jit(policy.pair)(key, image)
    first, second = all_views(policy)
    key_a, key_b = jax.random.split(key)
    np.testing.assert_allclose(view_a, jax.jit(first)(key_a, image), atol=1e-6)
    np.testing.assert_allclose(view_b, jax.jit(second)(key_b, image), atol=1e-6)


def test_half_exact_views_are_refused():
    view = policies.View(8)
    published = dataclasses.replace(view, exact=True)
    with pytest.raises(ValueError) as error:
        policies.Pair(published, view)
    assert str(error.value) == (
        "Pair: all views must be exact or none; got first.exact True, second.exact False. "
        "Set all of them."
    )
    with pytest.raises(ValueError, match=r"^MultiCrop: all views must be exact or none; got fir"):
        policies.MultiCrop(policies.Pair(view), published, num_local=2)
    assert policies.MultiCrop(policies.Pair(published), view, num_local=0).num_local == 0
