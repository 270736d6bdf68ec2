import dataclasses
import json

import augment_reference as reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxssl.augment import geometry, policies

COUNT = 1500
WHOLE = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0)}
STILL = WHOLE | {"flip_prob": 0.0, "jitter_prob": 0.0, "grayscale_prob": 0.0, "blur_prob": 0.0}


def random_image(height=12, width=12, channels=3, low=0.0, high=1.0):
    draws = np.random.default_rng(4).uniform(low, high, (height, width, channels))
    return jnp.asarray(draws, jnp.float32)


def views(augment, image, count=COUNT, seed=0):
    keys = jax.random.split(jax.random.key(seed), count)
    return np.asarray(jax.jit(jax.vmap(augment, in_axes=(0, None)))(keys, image))


def box_of(key, height, width, augment):
    """The whole numbers of the box that a key draws: the crop's draws come first."""
    draws = jax.random.uniform(key, (geometry.NUM_CROP_DRAWS,), jnp.float32)
    box = geometry.crop_box(
        draws, height, width, scale=augment.crop_scale, ratio=augment.crop_ratio
    )
    return [int(number) for number in box]


def binomial_pvalue(successes, probability):
    return stats.binomtest(int(successes), COUNT, probability).pvalue


ALL = [
    policies.View(8),
    policies.mae(8),
    policies.CropFlip(8),
    policies.PadCropFlip(padding=2),
    policies.Resize(8),
]


@pytest.mark.parametrize(
    "augment, channels",
    [(augment, 3) for augment in ALL] + [(ALL[0], channels) for channels in (1, 2, 4)],
    ids=lambda value: type(value).__name__,
)
def test_views_are_float32_in_the_unit_interval_from_bytes_or_floats(augment, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, channels), np.uint8)
    from_bytes = views(augment, jnp.asarray(pixels), count=4)
    from_floats = views(augment, jnp.asarray(pixels / np.float32(255)), count=4)
    assert from_bytes.shape == (4, 8, 8, channels) and from_bytes.dtype == np.float32
    assert from_bytes.min() >= 0 and from_bytes.max() <= 1
    np.testing.assert_allclose(from_bytes, from_floats, atol=1e-6)


@pytest.mark.parametrize("augment", ALL, ids=lambda augment: type(augment).__name__)
def test_a_key_fixes_the_view_and_vmap_changes_nothing(augment, key):
    image = random_image()
    keys = jax.random.split(key, 3)
    batched = jax.jit(jax.vmap(augment, in_axes=(0, None)))(keys, image)
    single = jax.jit(augment)
    for k, view in zip(keys, batched):
        np.testing.assert_array_equal(single(k, image), single(k, image))
        np.testing.assert_allclose(single(k, image), view, atol=1e-6)


@pytest.mark.parametrize("augment", ALL[:4], ids=lambda augment: type(augment).__name__)
def test_other_keys_give_other_views(augment):
    made = views(augment, random_image(), count=6)
    assert len({view.tobytes() for view in made}) == 6


@pytest.mark.parametrize("augment", ALL, ids=lambda augment: type(augment).__name__)
def test_no_gather_and_no_branch_under_vmap(augment, key):
    images = jnp.zeros((2, 10, 9, 3), jnp.uint8)
    jaxpr = str(jax.make_jaxpr(jax.vmap(augment))(jax.random.split(key, 2), images))
    for primitive in ("gather", "scatter", "dynamic_slice", "cond", "while", "conv_general"):
        assert f"{primitive}[" not in jaxpr
    assert jaxpr.count("dot_general[") == (4 if isinstance(augment, policies.View) else 2)
    compiled = jax.jit(jax.vmap(augment)).lower(jax.random.split(key, 2), images).compile()
    for instruction in (" gather(", " scatter(", " dynamic-slice(", " conditional("):
        assert instruction not in compiled.as_text()


@pytest.mark.parametrize("augment", ALL, ids=lambda augment: type(augment).__name__)
def test_views_stay_float32_where_64_bits_are_enabled(augment):
    with jax.enable_x64(True):
        view = jax.eval_shape(augment, jax.random.key(0), jnp.zeros((8, 8, 3), jnp.uint8))
    assert view.dtype == jnp.float32


def test_repeated_calls_compile_once(key):
    traces = []

    @jax.jit
    def view(key, image):
        traces.append(1)
        return policies.View(8)(key, image)

    for k in jax.random.split(key, 3):
        view(k, random_image(8, 8))
    assert len(traces) == 1


@pytest.mark.parametrize("augment", ALL, ids=lambda augment: type(augment).__name__)
def test_fields_survive_json(augment):
    fields = json.loads(json.dumps(dataclasses.asdict(augment)))
    tuples = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
    assert type(augment)(**tuples) == augment


@pytest.mark.parametrize(
    "augment",
    [
        policies.View(12, **STILL),
        policies.View(12, **(STILL | {"jitter_prob": 1.0}), jitter_strength=0.0),
        policies.mae(12, **WHOLE, flip_prob=0.0),
        policies.CropFlip(12, **WHOLE, flip_prob=0.0),
        policies.PadCropFlip(padding=0, flip_prob=0.0),
        policies.Resize(12),
    ],
    ids=lambda augment: type(augment).__name__,
)
def test_identity_settings_give_the_image(augment, key):
    image = random_image()
    np.testing.assert_array_equal(jax.jit(augment)(key, image), image)


def test_published_defaults():
    simclr = policies.simclr()
    assert simclr.size == 224 and simclr.second is None
    simclr = simclr.first
    assert simclr.crop_scale == (0.08, 1.0) and simclr.crop_ratio == (3 / 4, 4 / 3)
    assert simclr.jitter == (0.8, 0.8, 0.8, 0.2) and simclr.blur_sigma == (0.1, 2.0)
    gates = (simclr.flip_prob, simclr.jitter_prob, simclr.grayscale_prob, simclr.blur_prob)
    assert gates == (0.5, 0.8, 0.2, 0.5) and simclr.jitter_strength == 1.0
    mae = policies.mae()
    assert mae.size == 224
    assert (mae.crop_scale, mae.interpolation, mae.flip_prob) == ((0.2, 1.0), "cubic", 0.5)


def test_flip_blur_and_grey_in_their_order(key):
    sure = {"flip_prob": 1.0, "grayscale_prob": 1.0, "blur_prob": 1.0, "blur_sigma": (0.8, 0.8)}
    image = random_image()
    view = jax.jit(policies.View(12, **(STILL | sure)))(key, image)
    expected = reference.grayscale(reference.blur(reference.flip(image), 0.8, 1))
    np.testing.assert_allclose(view, expected, atol=3e-6)


def test_a_whole_view_equals_the_loops(key):
    """The crop read off its key, then flip, blur, grey and solarisation one by one."""
    image = random_image(16, 20)
    augment = policies.View(
        9,
        crop_scale=(0.3, 0.9),
        interpolation="cubic",
        **{name: 1.0 for name in ("flip_prob", "grayscale_prob", "blur_prob", "solarize_prob")},
        jitter_prob=0.0,
        blur_sigma=(0.7, 0.7),
        solarize_threshold=0.45,
    )
    box = box_of(key, 16, 20, augment)
    steps = reference.flip(reference.crop_resize(image, *box, 9, reference.keys_cubic))
    grey = np.clip(reference.grayscale(reference.blur(steps, 0.7, 1)), 0, 1)
    assert (grey >= 0.45).any() and (grey < 0.45).any()
    view = jax.jit(augment)(key, image)
    np.testing.assert_allclose(view, reference.solarize(grey, 0.45), atol=5e-6)


def test_blur_radius_is_a_twentieth_of_the_side(key):
    impulse = jnp.zeros((60, 60, 1)).at[30, 30].set(1.0)
    augment = policies.View(60, **(STILL | {"blur_prob": 1.0, "blur_sigma": (2.0, 2.0)}))
    view = jax.jit(augment)(key, impulse)[:, :, 0]
    assert (np.asarray(view) > 0).sum() == 7 * 7


def test_solarisation_is_the_last_operation():
    """The same keys with and without it: it acts on the finished view."""
    sure = {"jitter_prob": 1.0, "jitter": (0.9, 0.5, 0.0, 0.0), "grayscale_prob": 1.0}
    plain = policies.View(6, **(STILL | sure))
    solarising = dataclasses.replace(plain, solarize_prob=1.0, solarize_threshold=0.4)
    image = random_image(6, 6)
    for view, made in zip(views(plain, image, count=4), views(solarising, image, count=4)):
        np.testing.assert_allclose(made, reference.solarize(view, 0.4), atol=1e-6)


def test_views_without_solarisation_are_those_of_before():
    """One pixel each of four views, as SimCLR made them before it could solarise."""
    ramp = jnp.arange(6 * 7 * 3, dtype=jnp.float32).reshape(6, 7, 3) / (6 * 7 * 3)
    before = [
        [0.09689328819513321, 0.09743882715702057, 0.13113440573215485],
        [0.031754136085510254, 0.038504745811223984, 0.034156862646341324],
        [0.3631303906440735, 0.3631303906440735, 0.3631303906440735],
        [0.6759692430496216, 0.6839057207107544, 0.691842257976532],
    ]
    view = jax.jit(policies.View(5))
    for seed, pixel in enumerate(before):
        made = view(jax.random.key(seed), ramp)[seed, 4 - seed]
        np.testing.assert_allclose(made, pixel, atol=1e-6)


def test_jitter_is_its_four_operations_with_factors_in_range():
    """Reads the four factors off the views and repeats each view with the slow operations."""
    image = random_image(6, 6, low=0.45, high=0.55)
    augment = policies.View(6, **(STILL | {"jitter_prob": 1.0}), jitter_strength=0.5)
    made = views(augment, image)
    pixels = np.concatenate([np.asarray(image).reshape(-1, 3), np.ones((36, 1))], axis=1)
    factors = []
    for view in made:
        matrix = np.linalg.lstsq(pixels.astype(np.float64), view.reshape(-1, 3), rcond=None)[0].T
        gain = matrix[:, :3].sum(1).mean()  # brightness · contrast: all that a grey pixel feels
        mean_luma = np.asarray(image).mean((0, 1)) @ [0.299, 0.587, 0.114]
        bright = gain + matrix[:, 3].mean() / mean_luma
        chroma = matrix[:, :3] / gain
        # One eigenvalue is luma's 1; the other two are saturation · exp(± i angle).
        values = np.linalg.eigvals(chroma)
        turning = values[np.argsort(np.abs(values - 1))[1:]]
        saturation, angle = np.abs(turning).mean(), np.abs(np.angle(turning)).mean()
        factors.append((bright, gain / bright, saturation, angle / (2 * np.pi)))
    factors = np.array(factors)
    for column in range(3):
        assert stats.kstest(factors[:, column], stats.uniform(0.6, 0.8).cdf).pvalue > 0.01
    assert stats.kstest(factors[:, 3], stats.uniform(0.0, 0.1).cdf).pvalue > 0.01
    for (bright, contrast, saturation, turns), view in list(zip(factors, made))[:5]:
        steps = reference.contrast(reference.brightness(image, bright), contrast)
        steps = reference.saturation(steps, saturation)
        either = [reference.hue_yiq(steps, sign * turns) for sign in (1, -1)]
        assert min(np.abs(view - np.clip(e, 0, 1)).max() for e in either) < 2e-5


def test_factors_never_go_below_zero():
    flat = jnp.full((4, 4, 1), 0.1)
    augment = policies.View(4, **(STILL | {"jitter_prob": 1.0}), jitter=(1.5, 0.0, 0.0, 0.0))
    factor = views(augment, flat)[:, 0, 0, 0] / 0.1
    assert stats.kstest(factor, stats.uniform(0.0, 2.5).cdf).pvalue > 0.01


def test_hue_turns_both_ways_equally():
    red = jnp.full((1, 1, 3), 0.4).at[0, 0, 0].set(0.6)
    augment = policies.View(1, **(STILL | {"jitter_prob": 1.0}), jitter=(0.0, 0.0, 0.0, 0.2))
    made = views(augment, red)[:, 0, 0]
    assert binomial_pvalue((made[:, 1] > made[:, 2]).sum(), 0.5) > 0.01


@pytest.mark.parametrize("channels", [1, 4])
def test_without_three_channels_only_brightness_and_contrast_act(channels):
    image = random_image(6, 6, channels, low=0.45, high=0.55)
    augment = policies.View(
        6, **(STILL | {"jitter_prob": 1.0, "grayscale_prob": 1.0}), jitter=(0.5, 0.5, 1.0, 0.5)
    )
    flat = np.asarray(image, np.float64)
    for view in views(augment, image, count=5):
        # Every channel has the same gain, and the mean of all moves by brightness alone.
        gain = (view.std(axis=(0, 1)) / flat.std(axis=(0, 1))).mean()
        bright = view.mean() / flat.mean()
        expected = reference.contrast(reference.brightness(flat, bright), gain / bright)
        np.testing.assert_allclose(view, np.clip(expected, 0, 1), atol=2e-5)


def test_gates_open_with_their_probabilities():
    image = random_image(6, 6)
    flipped = views(policies.View(6, **(STILL | {"flip_prob": 0.3})), image)
    same = np.abs(flipped - np.asarray(image)).max((1, 2, 3)) < 1e-6
    assert binomial_pvalue((~same).sum(), 0.3) > 0.01
    np.testing.assert_allclose(flipped[~same][0], reference.flip(np.asarray(image)), atol=1e-6)

    grey = views(policies.View(6, **(STILL | {"grayscale_prob": 0.2})), image)
    assert binomial_pvalue((np.ptp(grey, axis=3).max((1, 2)) < 1e-6).sum(), 0.2) > 0.01

    for name, probability in (("jitter_prob", 0.8), ("blur_prob", 0.4)):
        augment = policies.View(6, **(STILL | {name: probability}), blur_sigma=(0.5, 1.0))
        changed = np.abs(views(augment, image) - np.asarray(image)).max((1, 2, 3)) > 1e-6
        assert binomial_pvalue(changed.sum(), probability) > 0.01


def test_blur_sigma_is_uniform_in_its_range():
    impulse = jnp.zeros((5, 5, 1)).at[2, 2].set(1.0)
    augment = policies.View(5, **(STILL | {"blur_prob": 1.0}), blur_sigma=(0.5, 1.5))
    made = views(augment, impulse)[:, :, :, 0]
    # Neighbour over centre is exp(-1 / (2 sigma²)), but each row has its own number of pixels
    # only at the border, which lies outside radius 1 of the middle.
    sigma = np.sqrt(-0.5 / np.log(made[:, 2, 1] / made[:, 2, 2]))
    assert stats.kstest(sigma, stats.uniform(0.5, 1.0).cdf).pvalue > 0.01


def test_crop_and_flip_are_the_box_of_the_key():
    """The crop's numbers come first in a view's draw, so the key alone gives the box."""
    image = random_image(16, 20)
    augment = policies.CropFlip(8, crop_scale=(0.3, 0.6), flip_prob=0.5)
    flips = 0
    for key, view in zip(jax.random.split(jax.random.key(0), 12), views(augment, image, count=12)):
        expected = reference.crop_resize(image, *box_of(key, 16, 20, augment), 8)
        flipped = np.abs(reference.flip(expected) - view).max() < 1e-5
        flips += flipped
        assert flipped or np.abs(expected - view).max() < 1e-5
    assert 0 < flips < 12


def test_crops_at_fixed_scale_are_cut_anywhere_and_not_resized():
    image = random_image(6, 6, 1)
    made = views(policies.CropFlip.fixed_scale(4, image_size=6, flip_prob=0.25), image)
    places = {
        (y, x, flip): (reference.flip(cut) if flip else cut).tobytes()
        for flip in (False, True)
        for y in range(3)
        for x in range(3)
        for cut in [np.asarray(image)[y : y + 4, x : x + 4]]
    }
    counts = np.array([sum(view.tobytes() == place for view in made) for place in places.values()])
    assert counts.sum() == COUNT
    expected = COUNT / 9 * np.repeat([0.75, 0.25], 9)
    assert stats.chisquare(counts, expected).pvalue > 0.01


def test_fixed_scale_keeps_its_part_of_images_of_other_sizes():
    image = random_image(12, 12)
    augment = policies.CropFlip.fixed_scale(4, image_size=6, flip_prob=0.0)
    for key, view in zip(jax.random.split(jax.random.key(0), 4), views(augment, image, count=4)):
        top, left, height, width = box_of(key, 12, 12, augment)
        assert (height, width) == (8, 8)
        expected = reference.crop_resize(image, top, left, 8, 8, 4)
        np.testing.assert_allclose(view, expected, atol=1e-5)


def test_views_with_the_same_key_share_their_crop_and_flip(key):
    """More named quantities leave the numbers of the earlier ones as they are."""
    crop = {"crop_scale": (0.3, 0.6), "flip_prob": 0.5}
    image = random_image()
    plain = views(policies.CropFlip(8, **crop), image, count=8)
    colored = views(
        policies.View(8, **(STILL | crop | {"crop_ratio": (3 / 4, 4 / 3)})), image, count=8
    )
    np.testing.assert_allclose(plain, colored, atol=1e-6)


def test_mae_is_bicubic(key):
    image = random_image(9, 9, low=0.3, high=0.7)
    augment = policies.mae(5, **WHOLE, flip_prob=1.0)
    expected = reference.crop_resize(image, 0, 0, 9, 9, 5, reference.keys_cubic)
    view = jax.jit(augment)(key, image)
    np.testing.assert_allclose(view, reference.flip(expected), atol=3e-6)


def test_pad_crop_moves_pixels_evenly():
    image = random_image(5, 5, 1, low=0.2)
    made = views(policies.PadCropFlip(padding=1), image)
    padded = np.pad(np.asarray(image), ((1, 1), (1, 1), (0, 0)))
    places = {
        (y, x, flip): (reference.flip(cut) if flip else cut).tobytes()
        for y in range(3)
        for x in range(3)
        for cut in [padded[y : y + 5, x : x + 5]]
        for flip in (False, True)
    }
    counts = [sum(view.tobytes() == place for view in made) for place in places.values()]
    assert sum(counts) == COUNT and stats.chisquare(counts).pvalue > 0.01


def test_resize_equals_the_loops(key):
    image = random_image(9, 7)
    expected = reference.crop_resize(image, 0, 0, 9, 7, 5)
    view = jax.jit(policies.Resize(5))(key, image)
    np.testing.assert_allclose(view, expected, atol=3e-6)
