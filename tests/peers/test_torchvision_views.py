"""Crops, colours, blur and whole exact views beside torchvision's of the same numbers.

Needs the extra ``peers``; skipped where torchvision is not there. On float images, of both of its
interfaces: the functions that the papers' programs call, and their second version.
"""

import dataclasses
import itertools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.augment import color, exact, geometry, policies

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # theirs, not ours
    torch = pytest.importorskip("torch")
    torchvision = pytest.importorskip("torchvision")
    from torchvision.transforms import InterpolationMode, functional, v2

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
LEVEL = 1 / 255  # what is asked for
ROUNDING = 2e-5  # what float32 leaves of it
FUNCTIONS = {"first": functional, "second": v2.functional}
MODES = {"linear": InterpolationMode.BILINEAR, "cubic": InterpolationMode.BICUBIC}
ORDERS = list(itertools.permutations(range(4)))
NAMES = ("adjust_brightness", "adjust_contrast", "adjust_saturation", "adjust_hue")


def images(channels=3, height=20, width=24):
    """Noise, a grey ramp, pure colours and bytes: equal channels, and values at both ends."""
    generator = np.random.default_rng(0)
    shape = height, width, channels
    ramp = np.broadcast_to(np.linspace(0, 1, width)[None, :, None], shape)
    made = generator.random(shape), ramp, generator.integers(0, 2, shape)
    made += (generator.integers(0, 256, shape) / 255, np.ones(shape), np.zeros(shape))
    return [np.asarray(image, np.float32) for image in made]


def theirs(image):
    return torch.tensor(image).permute(2, 0, 1)


def ours(image):
    return image.permute(1, 2, 0).numpy()


def assert_equal(made, expected, atol=ROUNDING):
    """Far nearer than a grey level."""
    assert atol < LEVEL
    np.testing.assert_allclose(made, ours(expected), rtol=0, atol=atol)


@pytest.fixture(params=FUNCTIONS, autouse=True)
def torchvision_functions(request):
    return FUNCTIONS[request.param]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NAMES[:3])
def test_brightness_contrast_and_saturation(name, channels, torchvision_functions):
    made = jax.jit(getattr(exact, name.removeprefix("adjust_")))
    for image, factor in itertools.product(images(channels), (0.0, 0.3, 1.0, 1.8)):
        expected = getattr(torchvision_functions, name)(theirs(image), factor)
        assert_equal(made(image, factor), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_hue(channels, torchvision_functions):
    made = jax.jit(exact.hue)
    for image, shift in itertools.product(images(channels), (-0.5, -0.2, 0.0, 0.01, 0.35, 0.5)):
        assert_equal(made(image, shift), torchvision_functions.adjust_hue(theirs(image), shift))


def test_greyscale_and_solarisation(torchvision_functions):
    for image in images():
        expected = torchvision_functions.rgb_to_grayscale(theirs(image), num_output_channels=3)
        assert_equal(exact.grayscale(image), expected)
        for threshold in (0.0, 0.5, 128 / 255):
            expected = torchvision_functions.solarize(theirs(image), threshold)
            assert_equal(color.solarize(image, threshold), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_jitter_in_each_of_its_orders(channels, torchvision_functions):
    factors = np.array([1.4, 0.5, 1.7, -0.15], np.float32)
    made = jax.jit(exact.jitter)
    for image, order in itertools.product(images(channels)[:4], ORDERS):
        expected = theirs(image)
        for operation in order:
            change = getattr(torchvision_functions, NAMES[operation])
            expected = change(expected, float(factors[operation]))
        assert_equal(made(image, factors, np.array(order)), expected)


@pytest.mark.parametrize("radius, sigma", [(1, 0.1), (1, 2.0), (4, 0.7), (11, 2.0), (19, 30.0)])
def test_blur(radius, sigma, torchvision_functions):
    made = jax.jit(exact.blur, static_argnames="radius")
    for image in images():
        kernel = [2 * radius + 1] * 2
        expected = torchvision_functions.gaussian_blur(theirs(image), kernel, [sigma] * 2)
        assert_equal(made(image, sigma, radius=radius), expected)


@pytest.mark.parametrize("method", MODES)
@pytest.mark.parametrize("box", [(0, 0, 20, 24), (3, 5, 13, 9), (19, 23, 1, 1), (2, 1, 4, 22)])
def test_resized_crops(box, method, torchvision_functions):
    """Smaller and larger than the view; a cubic crop of floats overshoots until it is clipped."""
    size = 9
    for image in images():
        rows, columns = (
            geometry.resize_matrix(start, extent, length=length, size=size, method=method)
            for start, extent, length in zip(box[:2], box[2:], image.shape[:2])
        )
        expected = torchvision_functions.resized_crop(
            theirs(image), *box, [size, size], MODES[method], antialias=True
        )
        assert_equal(geometry.apply(jnp.asarray(image), rows, columns), expected)


def torchvision_view(functions, view, image, draws, box):
    """The published chain, one call after the other; every number from the view's own draws."""
    made = functions.resized_crop(
        theirs(image), *box, [view.size] * 2, MODES[view.interpolation], antialias=True
    ).clamp(0, 1)
    if draws["flip"][0] < view.flip_prob:
        made = functions.hflip(made)

    def jitter(made):
        gate, *numbers = draws["jitter"]
        for operation in np.argsort(draws["order"]):
            change = view.jitter[operation] * view.jitter_strength
            low, high = (-change, change) if operation == 3 else (max(0, 1 - change), 1 + change)
            factor = float(low + (high - low) * numbers[operation])
            made = getattr(functions, NAMES[operation])(made, factor)
        return made if gate < view.jitter_prob else None

    def grey(made):
        if draws["grey"][0] >= view.grayscale_prob:
            return None
        return functions.rgb_to_grayscale(made, num_output_channels=made.shape[0])

    for change in (grey, jitter) if view.grayscale_first else (jitter, grey):
        changed = change(made)
        made = made if changed is None else changed
    if draws["blur"][0] < view.blur_prob:
        low, high = view.blur_sigma
        sigma = float(low + (high - low) * draws["blur"][1])
        made = functions.gaussian_blur(made, [2 * (view.size // 20) + 1] * 2, [sigma] * 2)
    if draws["solarize"][0] < view.solarize_prob:
        near = (made - view.solarize_threshold).abs() < ROUNDING  # may fall on either side
        made = functions.solarize(made, view.solarize_threshold)
        made[near] = torch.nan
    return made


VIEWS = {
    "simclr": policies.simclr(40, exact=True).first,
    "moco_v1": policies.moco_v1(40, exact=True).first,
    "moco_v2": policies.moco_v2(40, exact=True).first,
    "byol": policies.byol(40, exact=True).first,
    "byol second": dataclasses.replace(policies.byol(40, exact=True).second, solarize_prob=0.5),
    "moco_v3": policies.moco_v3(40, exact=True).second,
    "swav": policies.swav(40, exact=True).pair.first,
    "dino local": policies.dino(40, local_size=24, exact=True).local,
    "lejepa": policies.lejepa(40, exact=True).pair.first,
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", VIEWS)
def test_whole_views_of_the_same_numbers(name, channels, torchvision_functions):
    view, image = VIEWS[name], images(channels, 48, 60)[3]
    keys = jax.random.split(jax.random.key(3), 24)
    made = jax.jit(jax.vmap(view, in_axes=(0, None)))(keys, image)
    counts = {"crop": geometry.NUM_CROP_DRAWS, "flip": 1, "jitter": 5, "grey": 1, "blur": 2}
    counts |= {"solarize": 1, "order": 4}
    for key, ours_ in zip(keys, np.asarray(made)):
        numbers = np.asarray(jax.random.uniform(key, (sum(counts.values()),), jnp.float32))
        cuts = np.split(numbers, np.cumsum(list(counts.values()))[:-1])
        draws = dict(zip(counts, cuts, strict=True))
        box = geometry.crop_box(
            jnp.asarray(draws["crop"]), 48, 60, scale=view.crop_scale, ratio=view.crop_ratio
        )
        box = [int(number) for number in box]
        expected = ours(torchvision_view(torchvision_functions, view, image, draws, box))
        seen = ~np.isnan(expected)
        assert seen.mean() > 0.9
        np.testing.assert_allclose(ours_[seen], expected[seen], rtol=0, atol=10 * ROUNDING)
