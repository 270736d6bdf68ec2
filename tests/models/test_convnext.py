import dataclasses
import doctest
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_runs

from jaxssl.cli import arguments
from jaxssl.models import convnext

TINY = convnext.ConvNeXtConfig(depths=(1, 1, 1, 1), dims=(4, 8, 8, 16), stem_patch=2)


def _shapes(config, shape=(1, 32, 32, 3)):
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    return jax.eval_shape(config.build().init_with_output, jax.random.key(0), images)


def _random_variables(config, shape):
    """Noise everywhere, so that no parameter hides behind its initial zero, one or millionth."""
    generator = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: jnp.asarray(generator.normal(0, 0.3, leaf.shape), leaf.dtype),
        _shapes(config, shape)[1],
    )


def _oracle(params, image, config):
    """The forward pass of one image in float64, one cell at a time."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)

    def norm(x, p):
        centred = x - x.mean(-1, keepdims=True)
        variance = (centred**2).mean(-1, keepdims=True)
        return centred / np.sqrt(variance + 1e-6) * p["scale"] + p["bias"]

    def patches(x, p):
        size = len(p["kernel"])
        rows, columns = x.shape[0] // size, x.shape[1] // size
        out = np.zeros((rows, columns, p["kernel"].shape[-1]))
        for row in range(rows):
            for column in range(columns):
                y, z = row * size, column * size
                window = x[y : y + size, z : z + size]
                out[row, column] = np.tensordot(window, p["kernel"], 3) + p["bias"]
        return out

    def depthwise(x, p):
        padded = np.pad(x, ((3, 3), (3, 3), (0, 0)))
        out = np.zeros_like(x)
        for row in range(x.shape[0]):
            for column in range(x.shape[1]):
                for channel in range(x.shape[2]):
                    window = padded[row : row + 7, column : column + 7, channel]
                    out[row, column, channel] = np.sum(window * p["kernel"][:, :, 0, channel])
        return out + p["bias"]

    def block(x, p):
        hidden = norm(depthwise(x, p["depthwise"]), p["norm"])
        hidden = hidden @ p["mlp_in"]["kernel"] + p["mlp_in"]["bias"]
        hidden = hidden * 0.5 * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2)))
        return x + p["layer_scale"] * (hidden @ p["mlp_out"]["kernel"] + p["mlp_out"]["bias"])

    image = (np.asarray(image, np.float64) - np.array(config.mean)) / np.array(config.std)
    x = norm(patches(image, params["stem_conv"]), params["stem_norm"])
    maps = []
    for stage, depth in enumerate(config.dimensions.depths, start=1):
        if stage > 1:
            x = norm(x, params[f"stage{stage}_downsample_norm"])
            x = patches(x, params[f"stage{stage}_downsample_conv"])
        for index in range(1, depth + 1):
            x = block(x, params[f"stage{stage}_block{index}"])
        maps.append(x)
    return norm(x.mean((0, 1)), params["norm"]), x.reshape(-1, x.shape[-1]), maps


# Odd sizes on the way: a row or a column is left over at most of the halvings.
OPTIONS = {
    "stem2": (TINY, (1, 35, 51, 3), 6),
    "stem4": (
        dataclasses.replace(
            TINY, depths=(1, 2, 1, 1), stem_patch=4, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4)
        ),
        (1, 43, 64, 3),
        2,
    ),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_forward_against_float64_loop(name):
    config, shape, num_cells = OPTIONS[name]
    images = jax.random.uniform(jax.random.key(0), shape)
    variables = _random_variables(config, shape)
    got = jax.jit(config.build().apply)(variables, images)
    assert got.tokens.shape == (len(images), num_cells, 16)
    assert len(got.stages) == len(got.maps) == 4
    for index, image in enumerate(images):
        pooled, tokens, maps = _oracle(variables["params"], image, config)
        np.testing.assert_allclose(got.pooled[index], pooled, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(got.tokens[index], tokens, rtol=1e-5, atol=1e-5)
        for stage, map_, want in zip(got.stages, got.maps, maps):
            np.testing.assert_allclose(map_[index], want, rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(stage[index], want.mean((0, 1)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize(("stem_patch", "num_tokens"), [(4, 1), (2, 4), (1, 16)])
def test_shapes(channels, stem_patch, num_tokens):
    config = dataclasses.replace(TINY, stem_patch=stem_patch)
    features, variables = _shapes(config, (2, 32, 32, channels))
    assert features.pooled.shape == (2, 16)
    assert features.tokens.shape == (2, num_tokens, 16)
    assert [stage.shape for stage in features.stages] == [(2, 4), (2, 8), (2, 8), (2, 16)]
    kernel = variables["params"]["stem_conv"]["kernel"]
    assert kernel.shape == (stem_patch, stem_patch, channels, 4)


@pytest.fixture(scope="module")
def initialised():
    images = jax.random.uniform(jax.random.key(0), (2, 16, 16, 3))
    return jax.jit(TINY.build().init)(jax.random.key(1), images), images


def test_uint8_equals_float():
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)), jnp.uint8)
    variables = _random_variables(TINY, images.shape)
    apply = jax.jit(TINY.build().apply)
    got, want = apply(variables, images), apply(variables, images.astype(jnp.float32) / 255)
    np.testing.assert_allclose(got.tokens, want.tokens, rtol=1e-4, atol=1e-4)


def test_bfloat16_computes_low_and_returns_float32(initialised):
    variables, images = initialised
    variables = jax.tree.map(lambda leaf: leaf, variables)  # a copy of the dictionaries
    for name, tree in variables["params"].items():
        if "block" in name:
            tree["layer_scale"] = jnp.full_like(tree["layer_scale"], 0.5)
    module = dataclasses.replace(TINY, dtype="bfloat16").build()
    got = jax.jit(module.apply)(variables, images)
    want = jax.jit(TINY.build().apply)(variables, images)
    assert {leaf.dtype for leaf in jax.tree.leaves((got, variables))} == {jnp.dtype("float32")}
    error = float(jnp.abs(got.pooled - want.pooled).max())
    assert 1e-4 < error < 0.1
    program = jax.jit(module.apply).trace(variables, images).lower(lowering_platforms=("cuda",))
    found = re.findall(
        r"stablehlo\.(convolution|dot_general).*-> tensor<[\dx]*x(\w+)>", program.as_text()
    )
    assert set(found) == {("convolution", "bf16"), ("dot_general", "bf16")}


def test_the_residual_stream_is_float32_whatever_the_dtype():
    """A block whose scale is a millionth must give back its input, to more digits than bfloat16."""
    block = convnext.ConvNeXtBlock(1e-6, "bfloat16")
    x = jax.random.normal(jax.random.key(0), (1, 2, 2, 4))
    got, _ = jax.jit(block.init_with_output)(jax.random.key(1), x)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, x, rtol=0, atol=1e-5)


def test_gradient_is_typed_equal_on_all_devices():
    module, images = TINY.build(axis_name="data"), jnp.zeros((2, 16, 16, 3))
    variables = _shapes(TINY, images.shape)[1]

    def step(variables, images):
        def loss(variables):
            features = module.apply(variables, images, train=True)
            return jax.lax.pmean(jnp.mean(features.pooled) + jnp.mean(features.tokens), "data")

        return jax.lax.pmean(jax.grad(loss)(variables), "data")

    mapped = jax.shard_map(
        step,
        mesh=jax.sharding.Mesh(np.array(jax.devices()[:2]), ("data",)),
        in_specs=(jax.P(), jax.P("data")),
        out_specs=jax.P(),
    )
    assert jax.eval_shape(mapped, variables, images) == variables


@pytest.mark.slow
def test_initialisation_is_the_official_one():
    config = dataclasses.replace(TINY, dims=(64, 64, 8, 8), layer_scale_init=1e-5)
    module, images = config.build(), jnp.zeros((1, 16, 16, 3))
    params = jax.jit(lambda key: module.init(key, images)["params"])(jax.random.key(0))
    block = params["stage1_block1"]
    kernels = [block[name]["kernel"] for name in ("depthwise", "mlp_in", "mlp_out")]
    for kernel in [*kernels, params["stage2_downsample_conv"]["kernel"]]:
        assert abs(float(kernel.std()) / 0.02 - 1) < 0.06
    np.testing.assert_array_equal(block["layer_scale"], np.full(64, 1e-5, np.float32))
    biases = [leaf for path, leaf in jax.tree.leaves_with_path(params) if path[-1].key == "bias"]
    assert len(biases) == 2 + 4 * 4 + 3 * 2 + 1  # stem, blocks, downsampling, last norm
    assert not any(map(np.any, biases))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "count"),
    # torchvision's counts with a classifier of 1000: 28,589,128; 50,223,688; 88,591,464;
    # 197,767,336; timm's for XL: 350,196,968.
    [
        ("T", 28_589_128 - 769_000),
        ("S", 50_223_688 - 769_000),
        ("B", 88_591_464 - 1_025_000),
        ("L", 197_767_336 - 1_537_000),
        ("XL", 350_196_968 - 2_049_000),
    ],
)
def test_parameter_counts_are_the_published_ones(size, count):
    _, variables = _shapes(convnext.ConvNeXtConfig(size))
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables)) == count


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "millions"), [("Atto", 3.70), ("Femto", 5.22), ("Pico", 9.05), ("Nano", 15.59)]
)
def test_parameter_counts_of_the_small_sizes_are_those_of_timm(size, millions):
    """timm gives them in millions with two decimals, a classifier of 1000 included."""
    config = convnext.ConvNeXtConfig(size)
    _, variables = _shapes(config)
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables))
    classifier = 1000 * (config.dimensions.dims[-1] + 1)
    assert round((count + classifier) / 1e6, 2) == millions


def test_depths_and_dims_override_the_size():
    config = convnext.ConvNeXtConfig("B", depths=(1, 2, 3, 4))
    assert config.dimensions == ((1, 2, 3, 4), (128, 256, 512, 1024))
    config = convnext.ConvNeXtConfig("Atto", dims=(4, 8, 8, 16))
    assert config.dimensions == ((2, 2, 6, 2), (4, 8, 8, 16))


def test_fields_are_options_of_the_command_line():
    @dataclasses.dataclass(frozen=True)
    class Options:
        encoder: convnext.ConvNeXtConfig = convnext.ConvNeXtConfig()

    words = tiny_runs.SMALL_ENCODERS["ConvNeXtConfig"].split()
    assert arguments.parse(Options, words, prog="jaxssl").encoder == TINY


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"size": "M"}, "size must be one of 'Atto', 'Femto', 'Pico', 'Nano', 'T', 'S', 'B', 'L',"),
        ({"dtype": "half"}, "ConvNeXtConfig: dtype must be one of 'float32', 'bfloat16'; got 'hal"),
        ({"color_space": "hsv"}, "ConvNeXtConfig: color_space must be one of 'rgb', 'lightness'"),
        (
            {"depths": (1, 1, 1)},
            "ConvNeXtConfig: depths must be 4 numbers of at least 1, one per stage; got (1, 1, 1).",
        ),
        ({"dims": (4, 8, 0, 8)}, "ConvNeXtConfig: dims must be 4 numbers of at least 1"),
        ({"stem_patch": 0}, "ConvNeXtConfig: stem_patch must be at least 1; got 0."),
        (
            {"layer_scale_init": 0.0},
            "layer_scale_init must be finite and above 0; got 0.0.",
        ),
    ],
)
def test_config_errors(fields, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        convnext.ConvNeXtConfig(**fields)


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((8, 8, 3), "ConvNeXt: images must be [B, H, W, C]; got shape (8, 8, 3). Add a batch"),
        (
            (1, 28, 15, 3),
            "ConvNeXt: images must be at least 16 pixels high and wide with stem_patch 2; got "
            "28x15. Use a smaller stem_patch.",
        ),
    ],
)
def test_input_errors(shape, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        _shapes(TINY, shape)


def test_images_that_are_neither_uint8_nor_floating():
    with pytest.raises(TypeError, match="standardise: images must be uint8 or floating; got int32"):
        jax.eval_shape(
            TINY.build().init, jax.random.key(0), jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.int32)
        )


def test_docstring_example():
    assert doctest.testmod(convnext).failed == 0
