import doctest
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.models import resnet

TINY = resnet.ResNetConfig(depth=18, width_multiplier=1 / 16, stem="small")


def _shapes(config, shape=(1, 32, 32, 3)):
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    return jax.eval_shape(config.build().init_with_output, jax.random.key(0), images)


def _random_variables(config, shape):
    """Noise everywhere, so that no parameter hides behind its initial zero or one."""
    generator = np.random.default_rng(0)

    def draw(path, leaf):
        if path[-1].key == "var":
            return jnp.asarray(generator.uniform(0.5, 2.0, leaf.shape), leaf.dtype)
        return jnp.asarray(generator.normal(0, 0.5, leaf.shape), leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, _shapes(config, shape)[1])


def _oracle(variables, image, config):
    """The forward pass of one image in float64, in evaluation mode, with padding written out."""
    cast = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables)
    params, stats = cast["params"], cast["batch_stats"]

    def conv(x, kernel, stride, pad=None):
        size = kernel.shape[0]
        pad = size // 2 if pad is None else pad
        padded = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
        rows = (x.shape[0] + 2 * pad - size) // stride + 1
        columns = (x.shape[1] + 2 * pad - size) // stride + 1
        out = np.zeros((rows, columns, kernel.shape[3]))
        for row in range(rows):
            for column in range(columns):
                y, z = row * stride, column * stride
                window = padded[y : y + size, z : z + size]
                out[row, column] = np.tensordot(window, kernel, 3)
        return out

    def norm(x, p, s):
        return (x - s["mean"]) / np.sqrt(s["var"] + 1e-5) * p["scale"] + p["bias"]

    def block(x, p, s, stride):
        strides = (1, stride, 1) if "conv3" in p else (stride, 1)
        y = x
        for index, step in enumerate(strides, start=1):
            y = conv(y, p[f"conv{index}"]["kernel"], step)
            y = norm(y, p[f"norm{index}"], s[f"norm{index}"])
            if index < len(strides):
                y = np.maximum(y, 0)
        if "shortcut_conv" in p:
            x = conv(x, p["shortcut_conv"]["kernel"], stride)
            x = norm(x, p["shortcut_norm"], s["shortcut_norm"])
        return np.maximum(x + y, 0)

    imagenet = config.stem == "imagenet"
    stride, pad = {"imagenet": (2, 3), "small": (1, 1), "patch": (4, 0)}[config.stem]
    x = conv(np.asarray(image, np.float64), params["stem_conv"]["kernel"], stride, pad)
    x = np.maximum(norm(x, params["stem_norm"], stats["stem_norm"]), 0)
    if imagenet:
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))  # zeros lose to any value after a relu
        rows, columns = (x.shape[0] - 1) // 2 + 1, (x.shape[1] - 1) // 2 + 1
        x = np.stack(
            [
                [padded[2 * r : 2 * r + 3, 2 * c : 2 * c + 3].max((0, 1)) for c in range(columns)]
                for r in range(rows)
            ]
        )
    maps = []
    for stage in range(1, config.num_stages + 1):
        index = 1
        while (name := f"stage{stage}_block{index}") in params:
            x = block(x, params[name], stats[name], 2 if stage > 1 and index == 1 else 1)
            index += 1
        maps.append(x)
    return x.reshape(-1, x.shape[-1]), maps


@pytest.mark.parametrize(
    "config",
    [
        resnet.ResNetConfig(depth=18, width_multiplier=1 / 16, stem="small"),
        resnet.ResNetConfig(depth=50, width_multiplier=1 / 32, stem="imagenet"),
        resnet.ResNetConfig(depth=10, width_multiplier=1 / 16, stem="patch", num_stages=3),
    ],
    ids=["18-small", "50-imagenet", "10-patch"],
)
def test_forward_against_float64_loop(config):
    width = 28 if config.stem == "patch" else 26
    images = jax.random.uniform(jax.random.key(0), (1, 40, width, 3))  # even: tells paddings apart
    variables = _random_variables(config, images.shape)
    got = jax.jit(config.build().apply)(variables, images)
    tokens, maps = _oracle(variables, images[0], config)
    scale = np.abs(tokens).max()
    np.testing.assert_allclose(got.tokens[0], tokens, rtol=1e-4, atol=1e-5 * scale)
    np.testing.assert_allclose(got.pooled[0], tokens.mean(0), rtol=1e-4, atol=1e-5 * scale)
    assert len(got.stages) == len(got.maps) == config.num_stages
    for stage, map_, want in zip(got.stages, got.maps, maps):
        atol = 1e-5 * np.abs(want).max()
        np.testing.assert_allclose(map_[0], want, rtol=1e-4, atol=atol)
        np.testing.assert_allclose(stage[0], want.mean((0, 1)), rtol=1e-4, atol=atol)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize(
    ("depth", "stem", "side", "widths"),
    [(34, "imagenet", 1, (16, 32, 64, 128)), (50, "small", 4, (64, 128, 256, 512))],
)
def test_shapes(channels, depth, stem, side, widths):
    config = resnet.ResNetConfig(depth=depth, width_multiplier=0.25, stem=stem, dtype="bfloat16")
    features, variables = _shapes(config, (2, 32, 32, channels))
    assert features.pooled.shape == (2, widths[-1])
    assert features.tokens.shape == (2, side * side, widths[-1])
    assert tuple(stage.shape for stage in features.stages) == tuple((2, w) for w in widths)
    dtypes = {leaf.dtype for leaf in jax.tree.leaves((features, variables))}
    assert dtypes == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    ("depth", "count"),
    # torchvision's counts with a classifier of 1000: 11,689,512; 21,797,672; 25,557,032;
    # 44,549,160; 60,192,808. Depth 10 is 18 without the second block of each stage.
    [
        (10, 11_689_512 - 513_000 - sum(18 * c**2 + 4 * c for c in (64, 128, 256, 512))),
        (18, 11_689_512 - 513_000),
        (34, 21_797_672 - 513_000),
        (50, 25_557_032 - 2_049_000),
        (101, 44_549_160 - 2_049_000),
        (152, 60_192_808 - 2_049_000),
    ],
)
def test_parameter_counts_are_the_published_ones(depth, count):
    _, variables = _shapes(resnet.ResNetConfig(depth=depth))
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"])) == count


@pytest.fixture(scope="module")
def initialised():
    images = jax.random.uniform(jax.random.key(0), (4, 8, 8, 3))
    return jax.jit(TINY.build().init)(jax.random.key(1), images), images


def test_training_updates_the_running_averages(initialised):
    variables, images = initialised
    apply = TINY.build().apply
    _, state = jax.jit(lambda v: apply(v, images, train=True, mutable=["batch_stats"]))(variables)
    before, after = variables["batch_stats"], state["batch_stats"]
    kernel = np.asarray(variables["params"]["stem_conv"]["kernel"], np.float64)
    padded = np.pad(np.asarray(images, np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    out = np.stack(
        [
            np.tensordot(padded[:, r : r + 3, c : c + 3], kernel, 3)
            for r in range(8)
            for c in range(8)
        ]
    ).reshape(-1, 4)
    mean, var = after["stem_norm"]["mean"], after["stem_norm"]["var"]
    np.testing.assert_allclose(mean, 0.1 * out.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(var, 0.9 + 0.1 * out.var(0), rtol=1e-5)
    moved = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), before, after)
    assert all(jax.tree.leaves(moved))


def test_running_averages_are_proved_equal_on_all_devices():
    images = jax.ShapeDtypeStruct((4, 8, 8, 3), jnp.float32)
    variables = _shapes(TINY)[1]

    def trace(axis_name):
        module = TINY.build(axis_name=axis_name)
        mapped = jax.shard_map(
            lambda v, x: module.apply(v, x, train=True, mutable=["batch_stats"])[1],
            mesh=jax.sharding.Mesh(np.array(jax.devices()[:2]), ("data",)),
            in_specs=(jax.P(), jax.P("data")),
            out_specs=jax.P(),
        )
        return jax.eval_shape(mapped, variables, images)

    assert trace("data")["batch_stats"] == variables["batch_stats"]
    with pytest.raises(ValueError, match="shard_map"):
        trace(None)


def test_evaluation_changes_nothing_and_sees_each_image_alone(initialised):
    variables, images = initialised
    evaluate = jax.jit(lambda x: TINY.build().apply(variables, x, mutable=["batch_stats"]))
    features, state = evaluate(images)
    jax.tree.map(np.testing.assert_array_equal, state["batch_stats"], variables["batch_stats"])
    other, _ = evaluate(images.at[1:].set(0.0))
    np.testing.assert_allclose(features.pooled[0], other.pooled[0], rtol=1e-5, atol=1e-6)


def test_zero_init_residual_zeroes_only_the_last_scale_of_each_block(initialised):
    params = initialised[0]["params"]
    for name, block in params.items():
        if name.startswith("stage"):
            assert not np.any(block["norm2"]["scale"])
            assert np.all(block["norm1"]["scale"] == 1)
    config = resnet.ResNetConfig(50, width_multiplier=1 / 16, zero_init_residual=False)
    module, images = config.build(), jnp.zeros((1, 8, 8, 3))
    block = jax.jit(lambda key: module.init(key, images)["params"]["stage1_block1"])
    scales = block(jax.random.key(0))
    assert np.all(scales["norm3"]["scale"] == 1)


def test_initialisation_is_he_normal_over_the_fan_out(initialised):
    kernel = initialised[0]["params"]["stage4_block2"]["conv2"]["kernel"]  # [3, 3, 32, 32]
    assert abs(float(kernel.std()) / math.sqrt(2 / (9 * 32)) - 1) < 0.05


def test_mean_and_std_are_applied(initialised):
    variables, images = initialised
    config = resnet.ResNetConfig(18, 1 / 16, "small", mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    by_hand = (images - jnp.array([[[config.mean]]])) / jnp.array([[[config.std]]])
    got = jax.jit(config.build().apply)(variables, images)
    want = jax.jit(TINY.build().apply)(variables, by_hand)
    np.testing.assert_allclose(got.pooled, want.pooled, rtol=1e-4, atol=1e-5)


def test_uint8_equals_float(initialised):
    variables, _ = initialised
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)), jnp.uint8)
    apply = jax.jit(TINY.build().apply)
    got, want = apply(variables, images), apply(variables, images.astype(jnp.float32) / 255)
    np.testing.assert_allclose(got.pooled, want.pooled, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"depth": 20}, "ResNetConfig: depth must be one of 10, 18, 34, 50, 101, 152; got 20."),
        ({"stem": "cifar"}, "stem must be one of 'imagenet', 'small', 'patch'; got 'cifar'."),
        ({"num_stages": 5}, "ResNetConfig: num_stages must be one of 1, 2, 3, 4; got 5."),
        ({"dtype": "half"}, "ResNetConfig: dtype must be one of 'float32', 'bfloat16'; got 'half'"),
        ({"width_multiplier": 0.001}, "must leave at least 1 of 64 channels; got 0.001"),
    ],
)
def test_config_errors(fields, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        resnet.ResNetConfig(**fields)


def test_input_error():
    text = "ResNet: images must be [B, H, W, C]; got shape (8, 8, 3)."
    with pytest.raises(ValueError, match=re.escape(text)):
        _shapes(TINY, (8, 8, 3))
    text = (
        "ResNet: images must be multiples of 4 pixels high and wide with stem 'patch'; got 30x32."
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        _shapes(resnet.ResNetConfig(stem="patch"), (1, 30, 32, 3))


def test_docstring_example():
    assert doctest.testmod(resnet).failed == 0
