import dataclasses
import json

import augment_reference as reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxssl.augment import geometry, recipes

COUNT = 1500
WHOLE = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0)}
STILL = WHOLE | {"flip_prob": 0.0, "jitter_prob": 0.0, "grayscale_prob": 0.0, "blur_prob": 0.0}


def random_image(height=12, width=12, channels=3, low=0.0, high=1.0):
    draws = np.random.default_rng(4).uniform(low, high, (height, width, channels))
    return jnp.asarray(draws, jnp.float32)


def views(recipe, image, count=COUNT, seed=0):
    keys = jax.random.split(jax.random.key(seed), count)
    return np.asarray(jax.jit(jax.vmap(recipe, in_axes=(0, None)))(keys, image))


def binomial_pvalue(successes, probability):
    return stats.binomtest(int(successes), COUNT, probability).pvalue


ALL = [
    recipes.SimCLR(8),
    recipes.MAE(8),
    recipes.CropFlip(8),
    recipes.PadCropFlip(padding=2),
    recipes.Resize(8),
]


@pytest.mark.parametrize(
    "recipe, channels",
    [(recipe, 3) for recipe in ALL] + [(ALL[0], channels) for channels in (1, 2, 4)],
    ids=lambda value: type(value).__name__,
)
def test_views_are_float32_in_the_unit_interval_from_bytes_or_floats(recipe, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, channels), np.uint8)
    from_bytes = views(recipe, jnp.asarray(pixels), count=4)
    from_floats = views(recipe, jnp.asarray(pixels / np.float32(255)), count=4)
    assert from_bytes.shape == (4, 8, 8, channels) and from_bytes.dtype == np.float32
    assert from_bytes.min() >= 0 and from_bytes.max() <= 1
    np.testing.assert_allclose(from_bytes, from_floats, atol=1e-6)


@pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: type(recipe).__name__)
def test_a_key_fixes_the_view_and_vmap_changes_nothing(recipe, key):
    image = random_image()
    keys = jax.random.split(key, 3)
    batched = jax.jit(jax.vmap(recipe, in_axes=(0, None)))(keys, image)
    single = jax.jit(recipe)
    for k, view in zip(keys, batched):
        np.testing.assert_array_equal(single(k, image), single(k, image))
        np.testing.assert_allclose(single(k, image), view, atol=1e-6)


@pytest.mark.parametrize("recipe", ALL[:4], ids=lambda recipe: type(recipe).__name__)
def test_other_keys_give_other_views(recipe):
    made = views(recipe, random_image(), count=6)
    assert len({view.tobytes() for view in made}) == 6


@pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: type(recipe).__name__)
def test_no_gather_and_no_branch_under_vmap(recipe, key):
    images = jnp.zeros((2, 10, 9, 3), jnp.uint8)
    jaxpr = str(jax.make_jaxpr(jax.vmap(recipe))(jax.random.split(key, 2), images))
    for primitive in ("gather", "scatter", "dynamic_slice", "cond", "while", "conv_general"):
        assert f"{primitive}[" not in jaxpr
    assert jaxpr.count("dot_general[") == (4 if isinstance(recipe, recipes.SimCLR) else 2)
    compiled = jax.jit(jax.vmap(recipe)).lower(jax.random.split(key, 2), images).compile()
    for instruction in (" gather(", " scatter(", " dynamic-slice(", " conditional("):
        assert instruction not in compiled.as_text()


@pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: type(recipe).__name__)
def test_views_stay_float32_where_64_bits_are_enabled(recipe):
    with jax.enable_x64(True):
        view = jax.eval_shape(recipe, jax.random.key(0), jnp.zeros((8, 8, 3), jnp.uint8))
    assert view.dtype == jnp.float32


def test_repeated_calls_compile_once(key):
    traces = []

    @jax.jit
    def view(key, image):
        traces.append(1)
        return recipes.SimCLR(8)(key, image)

    for k in jax.random.split(key, 3):
        view(k, random_image(8, 8))
    assert len(traces) == 1


@pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: type(recipe).__name__)
def test_fields_survive_json(recipe):
    fields = json.loads(json.dumps(dataclasses.asdict(recipe)))
    tuples = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
    assert type(recipe)(**tuples) == recipe


@pytest.mark.parametrize(
    "recipe",
    [
        recipes.SimCLR(12, **STILL),
        recipes.SimCLR(12, **(STILL | {"jitter_prob": 1.0}), jitter_strength=0.0),
        recipes.MAE(12, **WHOLE, flip_prob=0.0),
        recipes.CropFlip(12, **WHOLE, flip_prob=0.0),
        recipes.PadCropFlip(padding=0, flip_prob=0.0),
        recipes.Resize(12),
    ],
    ids=lambda recipe: type(recipe).__name__,
)
def test_identity_settings_give_the_image(recipe, key):
    image = random_image()
    np.testing.assert_array_equal(jax.jit(recipe)(key, image), image)


def test_published_defaults():
    simclr = recipes.SimCLR(224)
    assert simclr.crop_scale == (0.08, 1.0) and simclr.crop_ratio == (3 / 4, 4 / 3)
    assert simclr.jitter == (0.8, 0.8, 0.8, 0.2) and simclr.blur_sigma == (0.1, 2.0)
    gates = (simclr.flip_prob, simclr.jitter_prob, simclr.grayscale_prob, simclr.blur_prob)
    assert gates == (0.5, 0.8, 0.2, 0.5) and simclr.jitter_strength == 1.0
    mae = recipes.MAE(224)
    assert (mae.crop_scale, mae.interpolation, mae.flip_prob) == ((0.2, 1.0), "cubic", 0.5)


def test_flip_blur_and_grey_in_their_order(key):
    sure = {"flip_prob": 1.0, "grayscale_prob": 1.0, "blur_prob": 1.0, "blur_sigma": (0.8, 0.8)}
    image = random_image()
    view = jax.jit(recipes.SimCLR(12, **(STILL | sure)))(key, image)
    expected = reference.grayscale(reference.blur(reference.flip(image), 0.8, 1))
    np.testing.assert_allclose(view, expected, atol=3e-6)


def test_blur_radius_is_a_twentieth_of_the_side(key):
    impulse = jnp.zeros((60, 60, 1)).at[30, 30].set(1.0)
    recipe = recipes.SimCLR(60, **(STILL | {"blur_prob": 1.0, "blur_sigma": (2.0, 2.0)}))
    view = jax.jit(recipe)(key, impulse)[:, :, 0]
    assert (np.asarray(view) > 0).sum() == 7 * 7


def test_jitter_is_its_four_operations_with_factors_in_range():
    """Reads the four factors off the views and repeats each view with the slow operations."""
    image = random_image(6, 6, low=0.45, high=0.55)
    recipe = recipes.SimCLR(6, **(STILL | {"jitter_prob": 1.0}), jitter_strength=0.5)
    made = views(recipe, image)
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
    recipe = recipes.SimCLR(4, **(STILL | {"jitter_prob": 1.0}), jitter=(1.5, 0.0, 0.0, 0.0))
    factor = views(recipe, flat)[:, 0, 0, 0] / 0.1
    assert stats.kstest(factor, stats.uniform(0.0, 2.5).cdf).pvalue > 0.01


def test_hue_turns_both_ways_equally():
    red = jnp.full((1, 1, 3), 0.4).at[0, 0, 0].set(0.6)
    recipe = recipes.SimCLR(1, **(STILL | {"jitter_prob": 1.0}), jitter=(0.0, 0.0, 0.0, 0.2))
    made = views(recipe, red)[:, 0, 0]
    assert binomial_pvalue((made[:, 1] > made[:, 2]).sum(), 0.5) > 0.01


@pytest.mark.parametrize("channels", [1, 4])
def test_without_three_channels_only_brightness_and_contrast_act(channels):
    image = random_image(6, 6, channels, low=0.45, high=0.55)
    recipe = recipes.SimCLR(
        6, **(STILL | {"jitter_prob": 1.0, "grayscale_prob": 1.0}), jitter=(0.5, 0.5, 1.0, 0.5)
    )
    flat = np.asarray(image, np.float64)
    for view in views(recipe, image, count=5):
        # Every channel has the same gain, and the mean of all moves by brightness alone.
        gain = (view.std(axis=(0, 1)) / flat.std(axis=(0, 1))).mean()
        bright = view.mean() / flat.mean()
        expected = reference.contrast(reference.brightness(flat, bright), gain / bright)
        np.testing.assert_allclose(view, np.clip(expected, 0, 1), atol=2e-5)


def test_gates_open_with_their_probabilities():
    image = random_image(6, 6)
    flipped = views(recipes.SimCLR(6, **(STILL | {"flip_prob": 0.3})), image)
    same = np.abs(flipped - np.asarray(image)).max((1, 2, 3)) < 1e-6
    assert binomial_pvalue((~same).sum(), 0.3) > 0.01
    np.testing.assert_allclose(flipped[~same][0], reference.flip(np.asarray(image)), atol=1e-6)

    grey = views(recipes.SimCLR(6, **(STILL | {"grayscale_prob": 0.2})), image)
    assert binomial_pvalue((np.ptp(grey, axis=3).max((1, 2)) < 1e-6).sum(), 0.2) > 0.01

    for name, probability in (("jitter_prob", 0.8), ("blur_prob", 0.4)):
        recipe = recipes.SimCLR(6, **(STILL | {name: probability}), blur_sigma=(0.5, 1.0))
        changed = np.abs(views(recipe, image) - np.asarray(image)).max((1, 2, 3)) > 1e-6
        assert binomial_pvalue(changed.sum(), probability) > 0.01


def test_blur_sigma_is_uniform_in_its_range():
    impulse = jnp.zeros((5, 5, 1)).at[2, 2].set(1.0)
    recipe = recipes.SimCLR(5, **(STILL | {"blur_prob": 1.0}), blur_sigma=(0.5, 1.5))
    made = views(recipe, impulse)[:, :, :, 0]
    # Neighbour over centre is exp(-1 / (2 sigma²)), but each row has its own number of pixels
    # only at the border, which lies outside radius 1 of the middle.
    sigma = np.sqrt(-0.5 / np.log(made[:, 2, 1] / made[:, 2, 2]))
    assert stats.kstest(sigma, stats.uniform(0.5, 1.0).cdf).pvalue > 0.01


def test_crop_and_flip_are_the_box_of_the_key():
    """The crop's numbers come first in a view's draw, so the key alone gives the box."""
    image = random_image(16, 20)
    recipe = recipes.CropFlip(8, crop_scale=(0.3, 0.6), flip_prob=0.5)
    flips = 0
    for key, view in zip(jax.random.split(jax.random.key(0), 12), views(recipe, image, count=12)):
        drawn = geometry.sample_crop(key, 16, 20, scale=(0.3, 0.6), ratio=recipe.crop_ratio)
        expected = reference.crop_resize(image, *(int(number) for number in drawn), 8)
        flipped = np.abs(reference.flip(expected) - view).max() < 1e-5
        flips += flipped
        assert flipped or np.abs(expected - view).max() < 1e-5
    assert 0 < flips < 12


def test_crops_at_fixed_scale_are_cut_anywhere_and_not_resized():
    image = random_image(6, 6, 1)
    made = views(recipes.CropFlip.fixed_scale(4, image_size=6, flip_prob=0.25), image)
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
    recipe = recipes.CropFlip.fixed_scale(4, image_size=6, flip_prob=0.0)
    for key, view in zip(jax.random.split(jax.random.key(0), 4), views(recipe, image, count=4)):
        drawn = geometry.sample_crop(key, 12, 12, scale=recipe.crop_scale, ratio=(1.0, 1.0))
        top, left, height, width = (int(number) for number in drawn)
        assert (height, width) == (8, 8)
        expected = reference.crop_resize(image, top, left, 8, 8, 4)
        np.testing.assert_allclose(view, expected, atol=1e-5)


@pytest.mark.parametrize("size, image_size", [(257, 256), (0, 256)])
def test_crops_that_do_not_fit_are_refused(size, image_size):
    message = (
        f"CropFlip.fixed_scale: size must be 1 to image_size pixels; got {size} of {image_size}. "
        "Resize the images larger, or cut smaller crops."
    )
    with pytest.raises(ValueError) as error:
        recipes.CropFlip.fixed_scale(size, image_size=image_size)
    assert str(error.value) == message


def test_recipes_with_the_same_key_share_their_crop_and_flip(key):
    """More named quantities leave the numbers of the earlier ones as they are."""
    crop = {"crop_scale": (0.3, 0.6), "flip_prob": 0.5}
    image = random_image()
    plain = views(recipes.CropFlip(8, **crop), image, count=8)
    colored = views(
        recipes.SimCLR(8, **(STILL | crop | {"crop_ratio": (3 / 4, 4 / 3)})), image, count=8
    )
    np.testing.assert_allclose(plain, colored, atol=1e-6)


def test_mae_is_bicubic(key):
    image = random_image(9, 9, low=0.3, high=0.7)
    recipe = recipes.MAE(5, **WHOLE, flip_prob=1.0)
    expected = reference.crop_resize(image, 0, 0, 9, 9, 5, reference.keys_cubic)
    view = jax.jit(recipe)(key, image)
    np.testing.assert_allclose(view, reference.flip(expected), atol=3e-6)


def test_pad_crop_moves_pixels_evenly():
    image = random_image(5, 5, 1, low=0.2)
    made = views(recipes.PadCropFlip(padding=1), image)
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
    view = jax.jit(recipes.Resize(5))(key, image)
    np.testing.assert_allclose(view, expected, atol=3e-6)


@pytest.mark.parametrize(
    "recipe, fields, message",
    [
        (
            recipes.SimCLR,
            {"size": 0},
            "SimCLR: size must be at least 1 pixel; got 0. "
            "Use the side the encoder expects, such as 32 or 224.",
        ),
        (
            recipes.Resize,
            {"size": 8, "interpolation": "area"},
            'Resize: interpolation must be "linear" or "cubic"; got "area". '
            'Use "linear" unless the recipe asks for bicubic crops.',
        ),
        (
            recipes.MAE,
            {"size": 8, "crop_scale": (1.0, 0.2)},
            "MAE: crop_scale must be a pair of areas 0 < low <= high <= 1; got (1.0, 0.2). "
            "For the whole image use (1.0, 1.0).",
        ),
        (
            recipes.CropFlip,
            {"size": 8, "crop_ratio": (0.0, 1.0)},
            "CropFlip: crop_ratio must be a pair 0 < low <= high of width/height; got (0.0, 1.0). "
            "The published pair is (3/4, 4/3).",
        ),
        (
            recipes.SimCLR,
            {"size": 8, "grayscale_prob": 1.2},
            "SimCLR: grayscale_prob must be in [0, 1]; got 1.2. "
            "Use 0 to switch it off, 1 to apply it always.",
        ),
        (
            recipes.PadCropFlip,
            {"padding": -1},
            "PadCropFlip: padding must be at least 0 pixels; got -1. The usual value is 4.",
        ),
        (
            recipes.SimCLR,
            {"size": 8, "jitter_strength": -1.0},
            "SimCLR: jitter and jitter_strength must be at least 0; got (0.8, 0.8, 0.8, 0.2) and "
            "-1.0. Use 0 to switch a jitter off.",
        ),
        (
            recipes.SimCLR,
            {"size": 8, "jitter_strength": 3.0},
            "SimCLR: jitter[3] · jitter_strength must be at most 0.5 turns of hue; got 0.2 · 3.0. "
            "Half a turn reaches every hue.",
        ),
        (
            recipes.SimCLR,
            {"size": 8, "blur_sigma": (2.0, 0.1)},
            "SimCLR: blur_sigma must be a pair 0 < low <= high in pixels; got (2.0, 0.1). "
            "The published pair is (0.1, 2.0).",
        ),
    ],
)
def test_impossible_fields_are_refused(recipe, fields, message):
    with pytest.raises(ValueError) as error:
        recipe(**fields)
    assert str(error.value) == message


def test_a_batch_without_vmap_is_refused(key):
    with pytest.raises(ValueError) as error:
        recipes.MAE(8)(key, jnp.zeros((2, 8, 8, 3)))
    assert str(error.value) == (
        "MAE: an image must be [H, W, C], one example; got shape (2, 8, 8, 3). "
        "Map the recipe over a batch with jax.vmap, or add the channel axis."
    )
