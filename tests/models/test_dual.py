"""Two towers: each alone, both, the space they share, and what fills a text up."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxssl import jsonable, models

KEY = jax.random.key(0)
CONFIG = models.DualConfig(
    image=tiny.ENCODERS["ResNet"],
    text=models.TextTransformerConfig(width=16, depth=2, num_heads=2, length=20, causal=True),
    dim=8,
    mean=(0.4,),
    std=(0.3,),
)
SEPARATOR = 256


@pytest.fixture(scope="module")
def images():
    return jnp.asarray(tiny.images(3))


@pytest.fixture(scope="module")
def tokens():
    rows = np.full((3, 16), SEPARATOR)
    for row, text in enumerate((b"abcdefg", b"ab", b"")):
        rows[row, : len(text)] = list(text)
    return jnp.asarray(rows, jnp.int32)


@pytest.fixture(scope="module")
def variables(images, tokens):
    variables = jax.jit(CONFIG.build().init)(KEY, images, tokens)
    return jax.tree.map(lambda x: x + 0.1 * jax.random.normal(KEY, x.shape), variables)


def of(variables, name):
    return {kind: tree[name] for kind, tree in variables.items() if name in tree}


def close(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5), a, b)


def test_each_tower_is_its_own_network(variables, images, tokens):
    module = CONFIG.build()
    image, text = CONFIG.towers
    assert (image.mean, image.std) == ((0.4,), (0.3,))
    own = image.build().apply(of(variables, "image"), images)
    close(module.apply(variables, images), own)
    of_text = module.apply(variables, tokens=tokens)
    close(of_text.tokens, text.build().apply(of(variables, "text"), tokens).tokens)
    both = module.apply(variables, images, tokens)
    close(both, (own, of_text))
    embedded = module.apply(variables, images, tokens, method="embed")
    for name, features, got in zip(("image", "text"), both, embedded, strict=True):
        kernel = np.asarray(variables["params"][f"{name}_projection"]["kernel"], np.float64)
        np.testing.assert_allclose(got, features.pooled @ kernel, rtol=1e-3, atol=1e-4)
        assert got.shape == (3, 8) and got.dtype == jnp.float32


@pytest.mark.parametrize("pool", ["last", "mean"])
def test_what_is_read_of_a_text_ends_with_its_first_separator(variables, tokens, pool):
    text = dataclasses.replace(CONFIG.text, pool=pool)
    features = dataclasses.replace(CONFIG, text=text).build().apply(variables, tokens=tokens)
    for row, end in enumerate((7, 2, 0)):
        for rows, got in zip(
            (features.tokens, *features.maps), (features.pooled, *features.stages), strict=True
        ):
            read = rows[row, : end + 1]
            np.testing.assert_allclose(
                got[row], read[-1] if pool == "last" else read.mean(0), rtol=1e-5, atol=1e-6
            )


@pytest.mark.parametrize("pool", ["last", "mean"])
def test_what_fills_a_text_up_changes_nothing(variables, tokens, pool):
    text = dataclasses.replace(CONFIG.text, pool=pool)
    module = dataclasses.replace(CONFIG, text=text).build()
    longer = jnp.pad(tokens, ((0, 0), (0, 4)), constant_values=SEPARATOR)
    other = longer.at[0, 8:].set(5)  # behind the end nothing is read, whatever it is
    expected = module.apply(variables, tokens=tokens, method="embed")
    assert not np.allclose(expected[0], expected[1], atol=1e-2)
    for changed in (tokens[:, :8], longer, other):
        got = module.apply(variables, tokens=changed, method="embed")
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_all_parameters_are_made_from_images_alone(images, tokens):
    module = CONFIG.build()
    shapes = [jax.eval_shape(module.init, KEY, *each) for each in ((images,), (images, tokens))]
    assert jax.tree.map(jnp.shape, shapes[0]) == jax.tree.map(jnp.shape, shapes[1])
    assert set(shapes[0]["params"]) == {"image", "text", "image_projection", "text_projection"}


@pytest.mark.parametrize(
    "image",
    [models.ViTConfig(size="Nano"), models.ResNetConfig(depth=18), models.ConvNeXtConfig()],
    ids=lambda each: type(each).__name__,
)
def test_towers_of_every_kind_survive_json(image):
    config = models.DualConfig(image=image)
    assert jsonable.from_json(models.DualConfig, jsonable.to_json(config)) == config


def test_mistakes_are_named(images):
    for tower, name, value in (
        ("image", "color_space", "lightness"),
        ("image", "mean", (2.0,)),
        ("text", "dtype", "bfloat16"),
    ):
        changed = dataclasses.replace(getattr(CONFIG, tower), **{name: value})
        with pytest.raises(ValueError, match=f"DualConfig: {tower} must leave its {name} alone"):
            dataclasses.replace(CONFIG, **{tower: changed})
    with pytest.raises(
        ValueError, match=r"text must be causal, .*Set --encoder\.text\.causal True"
    ):
        models.DualConfig(text=models.TextTransformerConfig())
    with pytest.raises(ValueError, match="DualConfig: dim must be at least 1; got 0"):
        models.DualConfig(dim=0)
    module = CONFIG.build()
    with pytest.raises(ValueError, match="Dual: must be given image, tokens or both; got neither"):
        module.apply({}, method="embed")
    with pytest.raises(ValueError, match="must be given images where its parameters are made"):
        jax.eval_shape(module.init, KEY)
