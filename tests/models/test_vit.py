import dataclasses
import doctest
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import types
from jaxssl.models import patches, transformer, vit

TINY = vit.ViTConfig(width=16, depth=2, num_heads=2, patch_size=4)


def _images(channels=3, height=12, width=8):
    return jax.random.uniform(jax.random.key(0), (2, height, width, channels))


def _init(config, images):
    return jax.jit(config.build().init)(jax.random.key(1), images)


def _random_variables(config, images):
    """Noise everywhere, so that no parameter hides behind its initial zero or one."""
    shapes = jax.eval_shape(config.build().init, jax.random.key(0), images)
    generator = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: jnp.asarray(generator.normal(0, 0.3, leaf.shape), leaf.dtype), shapes
    )


def _oracle(params, images, config, hide=None, mask_token=None):
    """The forward pass in float64, one image and one head at a time."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    width, depth, num_heads = config.dimensions
    size = config.patch_size
    height, breadth = images.shape[1:3]

    def norm(x, p):
        centred = x - x.mean(-1, keepdims=True)
        variance = (centred**2).mean(-1, keepdims=True)
        return centred / np.sqrt(variance + 1e-6) * p["scale"] + p["bias"]

    def pool(x, num_extra):
        return x[0] if config.pool == "class" else x[num_extra:].mean(0)

    def dense(x, p):
        return x @ p["kernel"] + p["bias"]

    pooled, tokens, stages = [], [], [[] for _ in range(depth)]
    maps, class_tokens = ([[] for _ in range(depth)] for _ in range(2))
    for number, image in enumerate(np.asarray(images, np.float64)):
        image = (image - np.array(config.mean)) / np.array(config.std)
        rows = [
            image[y : y + size, x : x + size].ravel()
            for y in range(0, height, size)
            for x in range(0, breadth, size)
        ]
        if config.position == "sincos":
            grid = (height // size, breadth // size)
            position = patches.sincos_positions(*grid, width).astype(np.float64)
        else:
            position = params["position"].reshape(-1, width)
        x = dense(np.stack(rows), params["patch_embedding"])
        if hide is not None:
            for patch in np.flatnonzero(hide[number]):
                x[patch] = mask_token
        x = x + position
        extra = []
        if config.pool == "class":
            extra = [params["class_token"][0, 0]]
            if config.position == "learned":
                extra = [extra[0] + params["class_position"][0, 0]]
        if config.num_registers:
            extra += list(params["registers"][0])
        x = np.stack(extra + list(x))

        num_extra = len(extra)
        for index in range(depth):
            block = params[f"block_{index}"]
            qkv = dense(norm(x, block["norm1"]), block["attention"]["qkv"])
            query, key_, value = np.split(qkv, 3, axis=-1)
            heads = []
            for head in range(num_heads):
                part = slice(head * width // num_heads, (head + 1) * width // num_heads)
                scores = query[:, part] @ key_[:, part].T / math.sqrt(width // num_heads)
                weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
                heads.append(weights @ value[:, part])
            branch = dense(np.concatenate(heads, -1), block["attention"]["proj"])
            x = x + branch * block.get("layer_scale1", 1)
            hidden = dense(norm(x, block["norm2"]), block["mlp_in"])
            hidden = hidden * 0.5 * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2)))
            x = x + dense(hidden, block["mlp_out"]) * block.get("layer_scale2", 1)
            stages[index].append(pool(x, num_extra))
            maps[index].append(x[num_extra:].reshape(height // size, breadth // size, width))
            class_tokens[index].append(norm(x[0], params["norm"]))
        x = norm(x, params["norm"])
        pooled.append(pool(x, num_extra))
        tokens.append(x[num_extra:])
    return types.Features(
        np.stack(pooled),
        np.stack(tokens),
        *(tuple(np.stack(block) for block in kind) for kind in (stages, maps)),
        tuple(np.stack(block) for block in class_tokens) if config.pool == "class" else (),
    )


OPTIONS = {
    "class": TINY,
    "mean": dataclasses.replace(TINY, pool="mean", mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4)),
    "learned": dataclasses.replace(TINY, position="learned", num_registers=2),
    "layer_scale": dataclasses.replace(TINY, layer_scale=1e-4),
    "mean_registers": dataclasses.replace(TINY, pool="mean", position="learned", num_registers=1),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_forward_against_float64_loop(name):
    config, images = OPTIONS[name], _images()
    variables = _random_variables(config, images)
    got = jax.jit(config.build().apply)(variables, images)
    want = _oracle(variables["params"], images, config)
    assert got.tokens.shape == (2, 6, 16) and got.maps[0].shape == (2, 3, 2, 16)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), got, want)


@pytest.mark.parametrize("channels", [1, 5])
def test_any_number_of_channels(channels):
    images = jax.ShapeDtypeStruct((2, 8, 8, channels), jnp.uint8)
    module = TINY.build()
    features, variables = jax.eval_shape(module.init_with_output, jax.random.key(0), images)
    assert variables["params"]["patch_embedding"]["kernel"].shape == (16 * channels, 16)
    assert features.pooled.shape == (2, 16)


def test_uint8_equals_float():
    config = OPTIONS["mean"]
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (2, 12, 8, 3)), jnp.uint8)
    variables = _random_variables(config, _images())
    apply = jax.jit(config.build().apply)
    got, want = apply(variables, images), apply(variables, images.astype(jnp.float32) / 255)
    np.testing.assert_allclose(got.tokens, want.tokens, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("position", ["sincos", "learned"])
def test_keep_of_all_patches_permutes_the_tokens(position):
    config, images = dataclasses.replace(TINY, position=position), _images()
    module = config.build()
    variables = _random_variables(config, images)
    keep = jnp.array([[3, 1, 0, 5, 4, 2], [0, 5, 1, 4, 2, 3]], jnp.int32)
    full = jax.jit(module.apply)(variables, images)
    got = jax.jit(module.apply)(variables, images, keep=keep)
    np.testing.assert_allclose(got.pooled, full.pooled, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        got.tokens, patches.gather_rows(full.tokens, keep), rtol=1e-4, atol=1e-4
    )
    flat = full.maps[0].reshape(2, 6, -1)
    np.testing.assert_allclose(got.maps[0], patches.gather_rows(flat, keep), rtol=1e-4, atol=1e-4)


def test_keep_selects_when_tokens_do_not_mix():
    # Without the attention's output each token goes its own way, so a subset must agree.
    config, images = OPTIONS["mean"], _images()
    module = config.build()
    variables = _random_variables(config, images)
    for index in range(2):
        proj = variables["params"][f"block_{index}"]["attention"]["proj"]
        proj["kernel"] = jnp.zeros_like(proj["kernel"])
    keep = jnp.array([[3, 1], [0, 5]], jnp.int32)
    full = jax.jit(module.apply)(variables, images)
    got = jax.jit(module.apply)(variables, images, keep=keep)
    want = patches.gather_rows(full.tokens, keep)
    np.testing.assert_allclose(got.tokens, want, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(got.pooled, want.mean(axis=1), rtol=1e-5, atol=1e-5)


def test_keep_embeds_only_the_kept_patches():
    module, keep = TINY.build(), jnp.zeros((2, 2), jnp.int32)
    variables = jax.eval_shape(module.init, jax.random.key(0), _images())
    lowered = str(jax.make_jaxpr(module.apply)(variables, _images(), keep=keep))
    assert "f32[2,2,16] = dot_general" in lowered
    assert "f32[2,6,16] = dot_general" not in lowered


HIDE = np.array([[True, False, False, True, True, False], [False] * 6])


@pytest.mark.parametrize("name", OPTIONS)
def test_hidden_patches_against_float64_loop(name):
    config, images = OPTIONS[name], _images()
    variables = _random_variables(config, images)
    token = np.random.default_rng(1).normal(size=16).astype(np.float32)
    got = jax.jit(config.build().apply)(variables, images, hide=HIDE, mask_token=token)
    want = _oracle(variables["params"], images, config, HIDE, token)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), got, want)


def test_what_a_hidden_patch_showed_does_not_matter():
    images, token = _images(), jnp.ones(16)
    variables = _random_variables(TINY, images)
    apply = jax.jit(
        lambda images: TINY.build().apply(variables, images, False, None, None, HIDE, token)
    )
    got = apply(images.at[0, :4, :4].set(0.3)).tokens
    np.testing.assert_array_equal(got, apply(images).tokens)


def test_hiding_makes_no_parameter():
    images, token = _images(), jnp.ones(16)
    module, key = TINY.build(), jax.random.key(0)
    init = lambda **hidden: jax.eval_shape(lambda: module.init(key, images, **hidden))  # noqa: E731
    assert init(hide=HIDE, mask_token=token) == init()


@pytest.mark.parametrize("scan_layers", [False, True])
def test_layer_scale_begins_with_its_value_in_every_block(scan_layers):
    config = dataclasses.replace(TINY, layer_scale=0.1, scan_layers=scan_layers)
    params = jax.device_get(_init(config, _images())["params"])
    blocks = transformer.unstack_layers(params) if scan_layers else params
    for index in range(2):
        for name in ("layer_scale1", "layer_scale2"):
            np.testing.assert_array_equal(blocks[f"block_{index}"][name], np.full(16, 0.1, "f4"))


def test_scanned_layers_equal_the_loop_in_value_and_gradient():
    images = _images()
    config = dataclasses.replace(TINY, num_registers=1, layer_scale=0.1)
    params = _random_variables(config, images)["params"]

    def run(config, params):
        def loss(params):
            features = config.build().apply({"params": params}, images)
            return jnp.sum(features.pooled**2) + jnp.sum(features.stages[0] ** 3), features

        return jax.jit(jax.grad(loss, has_aux=True))(params)

    want_gradient, want = run(config, params)
    for remat in (False, True):
        scanned = dataclasses.replace(config, scan_layers=True, remat=remat)
        gradient, got = run(scanned, transformer.stack_layers(params))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), got, want)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3),
            transformer.unstack_layers(gradient),
            want_gradient,
        )


def test_scanned_layers_start_different_from_each_other():
    config = dataclasses.replace(TINY, scan_layers=True)
    params = _init(config, _images())["params"]
    unstacked = transformer.unstack_layers(params)
    shapes = jax.eval_shape(TINY.build().init, jax.random.key(0), _images())["params"]
    assert jax.tree.map(jnp.shape, unstacked) == jax.tree.map(jnp.shape, shapes)
    kernels = params["blocks"]["mlp_in"]["kernel"]
    assert float(jnp.abs(kernels[0] - kernels[1]).max()) > 0.01


@pytest.mark.parametrize("scan_layers", [False, True])
def test_bfloat16_computes_low_and_returns_float32(scan_layers):
    images = _images()
    config = dataclasses.replace(TINY, dtype="bfloat16", scan_layers=scan_layers)
    reference = dataclasses.replace(config, dtype="float32")
    variables = _init(config, images)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    got = jax.jit(config.build().apply)(variables, images)
    want = jax.jit(reference.build().apply)(variables, images)
    assert {leaf.dtype for leaf in jax.tree.leaves(got)} == {jnp.dtype("float32")}
    error = float(jnp.abs(got.tokens - want.tokens).max())
    assert 1e-4 < error < 0.1
    gradient = jax.eval_shape(
        jax.grad(lambda v: jnp.sum(config.build().apply(v, images).pooled)), variables
    )
    assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {jnp.dtype("float32")}


@pytest.mark.parametrize("scan_layers", [False, True])
def test_gradient_is_typed_equal_on_all_devices(scan_layers):
    config = dataclasses.replace(OPTIONS["learned"], scan_layers=scan_layers, remat=True)
    module, images = config.build(axis_name="data"), _images()
    keep = jnp.zeros((2, 3), jnp.int32)
    variables = jax.eval_shape(module.init, jax.random.key(0), images)

    def step(variables, images, keep):
        def loss(variables):
            features = module.apply(variables, images, keep=keep)
            return jax.lax.pmean(jnp.mean(features.pooled) + jnp.mean(features.tokens), "data")

        return jax.lax.pmean(jax.grad(loss)(variables), "data")

    mapped = jax.shard_map(
        step,
        mesh=jax.sharding.Mesh(np.array(jax.devices()[:2]), ("data",)),
        in_specs=(jax.P(), jax.P("data"), jax.P("data")),
        out_specs=jax.P(),
    )
    assert jax.eval_shape(mapped, variables, images, keep) == variables


def test_learned_positions_are_resized_bilinearly():
    config, small = OPTIONS["learned"], _images(height=8, width=8)
    module = config.build()
    variables = _random_variables(config, small)
    large = jax.random.uniform(jax.random.key(2), (1, 16, 8, 3))
    got = jax.jit(module.apply)(variables, large)
    # Two rows at 0.5 and 1.5 of four: weights at the centres of the new cells.
    weights = np.array([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    position = np.einsum("io,ocd->icd", weights, variables["params"]["position"])
    params = variables["params"] | {"position": jnp.asarray(position, jnp.float32)}
    pooled, tokens, *_ = _oracle(params, large, config)
    np.testing.assert_allclose(got.pooled, pooled, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(got.tokens, tokens, rtol=1e-4, atol=1e-4)


def test_sincos_positions_of_a_crop_span_the_grid_they_are_told_of():
    """A crop of 4 x 2 patches beside global views of 8 x 8: cell centres in the latter's units."""
    config, images = dataclasses.replace(TINY, position_grid=8), _images(height=16, width=8)
    variables = _random_variables(config, images)
    got = jax.jit(config.build().apply)(variables, images)
    position = np.zeros((4, 2, 16))
    for row, y in enumerate((0.5, 2.5, 4.5, 6.5)):
        for column, x in enumerate((1.5, 5.5)):
            for i in range(4):
                angles = x / 10000 ** (i / 4), y / 10000 ** (i / 4)
                values = [f(angle) for angle in angles for f in (math.sin, math.cos)]
                position[row, column, i::4] = values
    learned = dataclasses.replace(TINY, position="learned")
    params = variables["params"] | {"position": position, "class_position": np.zeros((1, 1, 16))}
    pooled, tokens, *_ = _oracle(params, images, learned)
    np.testing.assert_allclose(got.pooled, pooled, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(got.tokens, tokens, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scan_layers", [False, True])
def test_branches_are_multiplied_by_the_scale_of_their_block_and_image(scan_layers):
    """Against parameters that hold the scale: each branch is linear in its last layer."""
    images = _images()
    scale = np.random.default_rng(3).uniform(0, 2, (2, 2, 2)).astype(np.float32)
    scale[1, 0, 0] = 0
    params = _random_variables(TINY, images)["params"]
    config = dataclasses.replace(TINY, scan_layers=scan_layers, remat=scan_layers)
    ours = transformer.stack_layers(params) if scan_layers else params
    run = jax.jit(lambda p, s: config.build().apply({"params": p}, images, branch_scale=s))
    got = run(ours, scale)
    for image in range(2):
        scaled = dict(params)
        for index in range(2):
            block = dict(params[f"block_{index}"])
            attention, mlp = scale[index, :, image]
            proj = jax.tree.map(lambda x, a=attention: a * x, block["attention"]["proj"])
            block["attention"] = block["attention"] | {"proj": proj}
            block["mlp_out"] = jax.tree.map(lambda x, m=mlp: m * x, block["mlp_out"])
            scaled[f"block_{index}"] = block
        pooled, tokens, *_ = _oracle(scaled, images[image : image + 1], TINY)
        np.testing.assert_allclose(got.pooled[image], pooled[0], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(got.tokens[image], tokens[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "patch_size", "count"),
    [
        ("Ti", 16, 5_524_416),
        ("S", 16, 21_665_664),
        ("B", 16, 85_798_656),
        ("L", 16, 303_301_632),
        ("H", 14, 630_764_800),
    ],
)
def test_parameter_counts_are_the_published_ones(size, patch_size, count):
    config = vit.ViTConfig(size, patch_size=patch_size, position="learned", scan_layers=True)
    images = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.uint8)
    variables = jax.eval_shape(config.build().init, jax.random.key(0), images)
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables)) == count


def test_nano_is_width_128_depth_4_heads_4():
    assert vit.ViTConfig("Nano").dimensions == (128, 4, 4)
    assert vit.ViTConfig("Nano", depth=2).dimensions == (128, 2, 4)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"size": "M"}, "ViTConfig: size must be one of 'Nano', 'Ti', 'S', 'B', 'L', 'H'; got 'M'"),
        ({"pool": "max"}, "ViTConfig: pool must be one of 'class', 'mean'; got 'max'"),
        ({"position": "polar"}, "position must be one of 'sincos', 'learned', 'rope'; got 'polar'"),
        (
            {"initialization": "timm"},
            "initialization must be one of 'mae', 'moco_v3', 'dino'; got 'timm'",
        ),
        ({"position_grid": 0}, "ViTConfig: position_grid must be at least 1; got 0"),
        (
            {"position": "learned", "position_grid": 14},
            "ViTConfig: position_grid must be None with position 'learned', which spans crops of "
            "any size anyway; got 14.",
        ),
        ({"dtype": "float16"}, "dtype must be one of 'float32', 'bfloat16'; got 'float16'"),
        ({"depth": 0}, "ViTConfig: depth must be at least 1; got 0"),
        ({"patch_size": 0}, "ViTConfig: patch_size must be at least 1; got 0"),
        ({"num_registers": -1}, "ViTConfig: num_registers must be at least 0; got -1"),
        ({"layer_scale": 0.0}, "ViTConfig: layer_scale must be finite and above 0; got 0.0"),
        (
            {"width": 100, "num_heads": 3},
            "ViTConfig: width must be a multiple of num_heads; got width 100, num_heads 3",
        ),
        (
            {"width": 6, "num_heads": 2},
            "ViTConfig: width must be a multiple of 4 with position 'sincos'; got 6",
        ),
    ],
)
def test_config_errors(fields, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        vit.ViTConfig(**fields)


@pytest.mark.parametrize(
    ("shape", "keep", "error", "text"),
    [
        ((8, 8, 3), None, ValueError, "ViT: images must be [B, H, W, C]; got shape (8, 8, 3)"),
        ((1, 9, 9, 3), None, ValueError, "ViT: height and width must be multiples of the patch"),
        ((1, 9, 9, 3), None, ValueError, "got image 9x9, patch 4; nearest sizes 8 or 12."),
        ((1, 8, 8, 3), jnp.zeros((1, 2)), TypeError, "integer patch indices; got float32"),
        (
            (1, 8, 8, 3),
            jnp.zeros((1, 5), jnp.int32),
            ValueError,
            "with B = 1 images and 0 < K <= 4 patches; got shape (1, 5)",
        ),
        ((1, 8, 8, 3), jnp.zeros((2, 1), jnp.int32), ValueError, "got shape (2, 1)"),
        ((1, 8, 8, 3), jnp.zeros((1,), jnp.int32), ValueError, "got shape (1,)"),
    ],
)
def test_input_errors(shape, keep, error, text):
    with pytest.raises(error, match=re.escape(text)):
        jax.eval_shape(TINY.build().init, jax.random.key(0), jnp.zeros(shape), keep=keep)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"hide": HIDE}, "hide and mask_token must come together, and without keep; got hide."),
        ({"mask_token": jnp.ones(16)}, "and without keep; got mask_token."),
        (
            {"hide": HIDE, "mask_token": jnp.ones(16), "keep": jnp.zeros((2, 1), jnp.int32)},
            "and without keep; got hide, mask_token, keep.",
        ),
        (
            {"hide": HIDE[:1], "mask_token": jnp.ones(16)},
            "hide must be bool [B, N], here [2, 6]; got bool [1, 6].",
        ),
        (
            {"hide": jnp.ones((2, 6)), "mask_token": jnp.ones(16)},
            "hide must be bool [B, N], here [2, 6]; got float32 [2, 6].",
        ),
        ({"hide": HIDE, "mask_token": jnp.ones(8)}, "mask_token must be [D], here [16]; got [8]."),
    ],
)
def test_errors_of_what_is_hidden(given, text):
    with pytest.raises(ValueError, match=re.escape(f"ViT: {text}" if "must" in text else text)):
        jax.eval_shape(lambda: TINY.build().init(jax.random.key(0), _images(), **given))


def test_docstring_example():
    assert doctest.testmod(vit).failed == 0
